"""`serve`: the service."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiny_backspace.cli import options
from tiny_backspace.errors import UsageError

if TYPE_CHECKING:
    from tiny_backspace.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(serve)


def serve(
    host: Annotated[
        str | None,
        typer.Option(help="Listen at this address [127.0.0.1].", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="And port; 0 takes a free one [8321].", show_default=False
        ),
    ] = None,
    env_file: options.EnvFile = None,
    new_token: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Make a token for somebody, and end.", show_default=False
        ),
    ] = None,
) -> None:
    """Serve runs over HTTP: start them, follow them, look back (docs/service.md).

    It listens to this machine only, and needs no token until the settings have
    one. SIGTERM and Ctrl-C drain it: no new runs, and those that go on get their
    time; a second one cancels them.

    \b
    Examples:
      tiny-backspace serve
      tiny-backspace serve --new-token ci
      curl -N localhost:8321/code --json \\
        '{"repoUrl": "owner/name", "prompt": "fix the typo in README.md"}'
    """  # noqa: D301 - \b keeps the lines of an example apart
    from tiny_backspace.settings import config_file, env_file_variables, load
    from tiny_backspace.statedir import private_dir, state_dir

    if new_token is not None:
        _tell_token(new_token)
        return
    environment = dict(os.environ)
    config = config_file(environment)
    settings = _with(load({}, environment, config, env_file), host=host, port=port)
    if env_file is not None:  # the runs have it as environment, which wins as it would for them
        environment = env_file_variables(env_file) | {k: v for k, v in environment.items() if v}
    listening = _server()
    state = private_dir(state_dir(environment))
    listening.serve(settings, environment, state, lambda url: _tell_start(url, settings), _say)
    _say("Ended: all runs are over.")


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _server() -> Any:  # noqa: ANN401 - a module that may not be there
    try:
        from tiny_backspace.server import listening
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("fastapi", "starlette", "uvicorn"):
            raise
        raise UsageError(
            f"The service needs the package {error.name}, which is not installed",
            hint="pip install 'tiny-backspace[server]'",
        ) from None
    return listening


def _with(settings: Settings, **flags: str | int | None) -> Settings:
    given = {name: value for name, value in flags.items() if value is not None}
    return settings.model_copy(update={"server": settings.server.model_copy(update=given)})


def _tell_start(url: str, settings: Settings) -> None:
    limits = settings.server
    who = (
        "Tokens: " + ", ".join(limits.tokens)
        if limits.tokens
        else "No token: every program on this machine may use it"
    )
    _say(f"Serving at {url} (its description: {url}/docs). Ctrl-C ends it.")
    _say(f"{who}. Runs: {limits.workers} at once, {limits.queue} more may wait.")


def _tell_token(name: str) -> None:
    """The token to standard output, for once; what the settings keep of it to standard error."""
    from pydantic import ValidationError

    from tiny_backspace.server.auth import new_token
    from tiny_backspace.serving import ServerSettings
    from tiny_backspace.settings import config_file

    token, kept = new_token()
    try:
        ServerSettings(tokens={name: kept})
    except ValidationError as error:
        raise UsageError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    typer.echo(token)
    path = config_file(os.environ)
    _say(f"This is the only time that it is shown. Put into {path}:\n")
    _say(f'[server.tokens]\n{name} = "{kept}"')
