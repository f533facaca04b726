"""What a whole batch may cost. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Purse:
    """US dollars; `limit` is None where there is none. What a run may spend is set aside for it when it begins, so that
    all together never spend more, whatever each of them does within its own limit.
    """

    limit: float | None = None
    spent: float = 0.0
    _aside: dict[str, float] = field(default_factory=dict)

    def grant(self, key: str, wanted: float) -> float | None:
        """What this task may spend, and sets it aside; None: not now, and if nothing is at work, not at all.

        Less than it wanted only where it is the last that there is something left for.
        """
        if self.limit is None:
            return wanted
        left = self.limit - self.spent - sum(self._aside.values())
        if left < wanted and (self._aside or left <= 0):
            return None
        self._aside[key] = min(wanted, left)
        return self._aside[key]

    def spend(self, key: str, cost: float) -> None:
        self.spent += cost
        if key in self._aside:
            self._aside[key] = max(self._aside[key] - cost, 0.0)

    def close(self, key: str) -> None:
        """The task has ended: what it did not spend is there again."""
        self._aside.pop(key, None)
