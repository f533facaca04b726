"""The image that this user's runs have used under a name: whoever may speak to the engine may move a name."""

from __future__ import annotations

import re
from pathlib import Path

from tiny_backspace.errors import SandboxUnverified
from tiny_backspace.statedir import claim_private, private_dir, temporary_file, write_private

IMAGES = "images"  # in the state folder: a file a name, with the image's ID
_ID = re.compile(r"sha256:[0-9a-f]{64}")


def is_known(folder: Path, tag: str, image: str) -> bool:
    """Whether `tag` means `image` (`sha256:…`); a name that was never used means what it is first seen to mean."""
    noted = _noted(folder, tag)
    return noted is None or noted == image


def expect(folder: Path, tag: str, image: str) -> None:
    """Note the first use of a name, and hold every later one against it.

    Raises:
        SandboxUnverified: the name is another image's now.
    """
    if _noted(folder, tag) is None:
        claim_private(_file(folder, tag), temporary_file(_file(folder, tag), image.encode()))
    if not is_known(folder, tag, image):
        raise SandboxUnverified(
            f"{tag} is not the image that it was when your runs used it first",
            hint="Somebody built it again or gave its name to another one. "
            "`tiny-backspace image build` makes it from this installation's own files.",
        )


def learn(folder: Path, tag: str, image: str) -> None:
    """This image was just built here for that name."""
    write_private(_file(folder, tag), image.encode())


def _noted(folder: Path, tag: str) -> str | None:
    """None too where the note is damaged: then it is learnt anew, as after the loss of the state folder."""
    file = _file(folder, tag)
    try:
        text = file.read_bytes().decode("ascii", "replace")
    except FileNotFoundError:
        return None
    if _ID.fullmatch(text):
        return text
    file.unlink(missing_ok=True)
    return None


def _file(folder: Path, tag: str) -> Path:
    return private_dir(folder) / tag.rpartition(":")[2]
