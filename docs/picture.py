"""Draws docs/table.svg, the README's picture: the beginning of what `promptreg run` really prints for the shipped suites.

Runs them (known answers are used again), keeps the terminal's own colours, and cuts after the first failing cases. Needs the
weights of the embedded model; `python docs/picture.py` draws it anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "table.svg"
WIDTH = 116  # columns: room for every column of the table
TROUBLED = 1  # cells whose failing cases are shown below the table
CLEAR = TerminalTheme(
    (250, 250, 250),
    (36, 41, 47),
    [(36, 41, 47), (207, 34, 46), (26, 127, 55), (154, 103, 0), (9, 105, 218), (130, 80, 223), (27, 124, 131), (110, 119, 129)],
    [(87, 96, 106), (164, 14, 38), (45, 164, 78), (191, 135, 0), (33, 139, 255), (163, 113, 247), (49, 146, 170), (140, 149, 159)],
)
# GitHub shows pictures without fonts from elsewhere; any monospace font will do, since every run of text has its length.
TEMPLATE = re.sub(r"@font-face \{\{.*?\n    \}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code, monospace", "monospace"
)


def main() -> int:
    command = [sys.executable, "-m", "promptreg", "run", "--quiet", "--color", "always"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"COLUMNS": str(WIDTH)}, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        print(done.stderr, file=sys.stderr)
        return done.returncode
    PICTURE.write_text(drawn(done.stdout), "utf-8")
    print(f"wrote docs/{PICTURE.name}")
    return 0


def drawn(printed: str) -> str:
    """The SVG of the table, the first troubled cells, and the verdict."""
    console = Console(
        record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor", legacy_windows=False
    )
    console.print(Text.from_ansi(f"$ promptreg run\n{shortened(printed)}"), soft_wrap=True)
    svg = console.export_svg(title="promptreg", theme=CLEAR, code_format=TEMPLATE, unique_id="table")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def shortened(printed: str) -> str:
    """Table, TROUBLED blocks of failing cases, verdict; what is left out is said."""
    table, *blocks = printed.strip("\n").split("\n\n")
    *cells, verdict = blocks
    shown = [cell for cell in cells if "│" in cell][:TROUBLED]
    left_out = ["\x1b[2m⋮\x1b[0m"] if len(cells) > len(shown) else []
    return "\n\n".join([table, *shown, *left_out, verdict])


if __name__ == "__main__":
    raise SystemExit(main())
