"""Named volumes of the engine: what a setup leaves for the containers after it."""

from __future__ import annotations

from tiny_backspace.sandbox.engine import OWNER_LABEL, Engine, translated

KEY_LABEL = "tiny-backspace.setup"
_IN_USE = 409


def create(engine: Engine, name: str, owner: str, key: str) -> None:
    """An empty volume."""
    with translated("making a volume"):
        engine.api.create_volume(name, labels={OWNER_LABEL: owner, KEY_LABEL: key})


def exists(engine: Engine, name: str) -> bool:
    from docker.errors import NotFound

    with translated("looking for a volume"):
        try:
            engine.api.inspect_volume(name)
        except NotFound:
            return False
    return True


def of_owner(engine: Engine, owner: str) -> dict[str, str]:
    """The setups' volumes of this state folder: name to key."""
    with translated("looking for volumes"):
        found = engine.api.volumes(filters={"label": [f"{OWNER_LABEL}={owner}", KEY_LABEL]})
    return {v["Name"]: v["Labels"][KEY_LABEL] for v in found["Volumes"] or ()}


def remove(engine: Engine, name: str) -> bool:
    """Whether it is gone now. One that a container has mounted stays."""
    from docker.errors import APIError, NotFound

    with translated("removing a volume"):
        try:
            engine.api.remove_volume(name)
        except NotFound:
            return True
        except APIError as error:
            if error.status_code == _IN_USE:
                return False
            raise
    return True
