from dataclasses import dataclass


@dataclass
class User:
    name: str
    email: str


@dataclass
class Post:
    author: str
    title: str
    body: str


@dataclass
class Comment:
    author: str
    post: int
    body: str


MODELS = {"users": User, "posts": Post, "comments": Comment}
