"""A repository and a sentence in, a pull request out."""

__version__ = "0.1.0"
