"""`image build`: the image that agents work in."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    group = typer.Typer(help="The sandbox image.", no_args_is_help=True)
    group.command()(build)
    app.add_typer(group, name="image")


def build(
    base: Annotated[
        str | None,
        typer.Option(
            help="Build on this image: tiny-backspace-base:bookworm if there, else debian:bookworm-slim.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option(help="Build again, with the newest packages.")] = False,
) -> None:
    """Build the sandbox image, unless it is there already. A first run does this by itself.

    \b
    Examples:
      tiny-backspace image build
      tiny-backspace image build --base registry.example/debian:bookworm-slim
    """  # noqa: D301 - \b keeps the lines of an example apart
    from tiny_backspace.events import Event, StepStarted, ThoughtDelta
    from tiny_backspace.redact import clean_line
    from tiny_backspace.sandbox import image
    from tiny_backspace.sandbox.engine import connect
    from tiny_backspace.sandbox.known import IMAGES, expect, is_known, learn
    from tiny_backspace.settings import docker_host
    from tiny_backspace.statedir import state_dir

    def tell(event: Event | ThoughtDelta) -> None:
        if isinstance(event, StepStarted):
            sys.stderr.write(f"{clean_line(event.message)}\n")

    api = connect(docker_host(os.environ)).api
    chosen = base or image.default_base(api)
    context = image.context_dir()
    tag = image.content_tag(chosen, context)
    known = state_dir(os.environ) / IMAGES
    found = None if force else image.find(api, tag)
    if found and is_known(known, tag, found):
        expect(known, tag, found)
    else:
        made = image.build(api, base=chosen, context=context, tag=tag, emit=tell, fresh=force)
        learn(known, tag, made)
    typer.echo(tag)
