"""What of a trace needs no run: whose it says it is (the rest is tests/docker/test_otel.py)."""

from __future__ import annotations

import pytest

from tiny_backspace.telemetry.otel import _resource


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("OTEL_SERVICE_NAME", "", "tiny-backspace"),
        ("OTEL_SERVICE_NAME", "nightly", "nightly"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=mine,team=a", "mine"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=a", "tiny-backspace"),
    ],
)
def test_the_standard_variables_name_the_service(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str
) -> None:
    for each in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(variable, value)

    told = _resource().attributes

    assert told["service.name"] == name
    assert told.get("team") == ("a" if "team" in value else None)
    assert told["service.version"]
