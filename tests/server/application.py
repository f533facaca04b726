"""The service's application without a server around it: requests go in, answers come out. No run begins."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from httpx2 import ASGITransport, AsyncClient, Response

from tiny_backspace.errors import SandboxError
from tiny_backspace.server.app import create_app
from tiny_backspace.server.readiness import Readiness
from tiny_backspace.server.service import Service
from tiny_backspace.serving import ServerSettings
from tiny_backspace.settings import Settings

URL = "http://127.0.0.1:8321"


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Application:
    """`given` is what stands in [server]; every request is of a client and a loop of its own."""

    state: Path
    given: Mapping[str, Any] = field(default_factory=dict)
    engine: bool = True
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        settings = Settings(server=ServerSettings.model_validate(self.given))
        self.service = Service(settings, {}, self.state, print)
        self.app = create_app(self.service, Readiness(self._probe), self.clock)

    def ask(self, method: str, path: str, *, url: str = URL, **request: Any) -> Response:
        async def asked() -> Response:
            transport = ASGITransport(self.app, raise_app_exceptions=False)
            async with AsyncClient(transport=transport, base_url=url) as client:
                return await client.request(method, path, **request)

        return asyncio.run(asked())

    def get(self, path: str, **request: Any) -> Response:
        return self.ask("GET", path, **request)

    def post(self, body: object, **request: Any) -> Response:
        """To /code."""
        return self.ask("POST", "/code", json=body, **request)

    def _probe(self) -> None:
        if not self.engine:
            raise SandboxError("no Docker engine answers at unix:///secret/path")
