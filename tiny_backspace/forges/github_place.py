"""One repository on GitHub, by the name that it has now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Concatenate, ParamSpec, TypeVar

from tiny_backspace.errors import ForgeError
from tiny_backspace.forges import github_questions as asks
from tiny_backspace.forges.github_client import Answer, Client, Question
from tiny_backspace.forges.github_failures import Failure
from tiny_backspace.forges.interface import Repository

P = ParamSpec("P")
T = TypeVar("T")

_MOVES = 3  # redirects, one after another


class Place:
    """What is asked here is asked of that repository; if it has been renamed, by its new name."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name

    @property
    def owner(self) -> str:
        return self.name.partition("/")[0]

    def need(
        self, make: Callable[Concatenate[str, P], Question[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Answer[T]:
        """The answer to the question that `make` makes of the repository's name and the rest.

        Raises:
            ForgeError: there is none.
        """
        match self.ask(make, *args, **kwargs):
            case Failure(error=error):
                raise error
            case answer:
                return answer

    def ask(
        self, make: Callable[Concatenate[str, P], Question[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Answer[T] | Failure:
        """The answer, or why there is none."""
        outcome = self.client.ask(make(self.name, *args, **kwargs))
        if isinstance(outcome, Failure) and outcome.reason == "moved":
            before = self.name
            try:
                self.repository()
            except ForgeError as error:
                return Failure("moved", error)
            if self.name != before:  # otherwise it is not the repository that has moved
                return self.client.ask(make(self.name, *args, **kwargs))
        return outcome

    def repository(self) -> Repository:
        """What it is. Everything after this goes by the name that it says.

        Raises:
            ForgeError: it is not there, or has moved to where the token must not go.
        """
        answer = self._followed()
        told = answer.value
        self.name = told.full_name
        may_push = told.may_push and self.client.may_propose(answer.headers)
        return replace(
            told, may_push=may_push, empty=told.empty and self._lacks(told.default_branch)
        )

    def _lacks(self, branch: str) -> bool:
        outcome = self.client.ask(asks.branch(self.name, branch))
        return isinstance(outcome, Failure) and outcome.reason == "missing"

    def _followed(self) -> Answer[Repository]:
        outcome = self.client.ask(asks.repository(self.name))
        for _ in range(_MOVES):
            if isinstance(outcome, Answer):
                return outcome
            if outcome.reason != "moved":
                raise outcome.error
            url = asks.within(self.client.api_url, outcome.location)
            if url is None:
                raise ForgeError(
                    f"GitHub: repository {self.name} has moved to another server, which is not followed"
                )
            outcome = self.client.ask(asks.repository(self.name, url))
        raise ForgeError(f"GitHub: repository {self.name} has moved too many times")
