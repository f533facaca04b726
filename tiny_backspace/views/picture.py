"""A run as a picture: one SVG file that needs nothing else."""

from __future__ import annotations

import io
import re

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, RenderableType
from rich.terminal_theme import TerminalTheme

_WIDTH = 100
# Rich's own format takes its font from the network; whoever looks at the picture has one of these.
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code, monospace", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
)
_THEME = TerminalTheme(
    (24, 26, 32),
    (222, 226, 234),
    [(40, 42, 54), (232, 98, 92), (94, 196, 118), (229, 181, 84), (98, 150, 232), (190, 130, 220), (84, 190, 200), (222, 226, 234)],
)  # fmt: skip


def svg(title: str, *shown: RenderableType, width: int = _WIDTH) -> str:
    """What would be on a terminal of that width. `title` stands above it."""
    console = Console(
        file=io.StringIO(), width=width, record=True, force_terminal=True, color_system="truecolor",
        legacy_windows=False,
    )  # fmt: skip
    for each in shown:
        console.print(each, crop=False, no_wrap=True, overflow="ellipsis")
    return console.export_svg(title=title, theme=_THEME, code_format=_FORMAT, unique_id="run")
