"""How long promptreg takes to say its version, against `import click`; and what `import promptreg` adds to bare Python."""

from __future__ import annotations

import sys
from pathlib import Path

from measure import PROMPTREG, Figures, once, verdict

RUNS = 21
COMMANDS = {
    "bare python": (sys.executable, "-c", "pass"),
    "import click": (sys.executable, "-c", "import click"),
    "import promptreg": (sys.executable, "-c", "import promptreg"),
    "promptreg --version": (*PROMPTREG, "--version"),
}


def main() -> int:
    for command in COMMANDS.values():
        once(command, Path.cwd())
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            taken[name].append(once(command, Path.cwd()))
    figures = {name: Figures(tuple(seconds)) for name, seconds in taken.items()}
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    start = verdict("--version / import click", figures["promptreg --version"].median / figures["import click"].median, 2.0, "x")
    added = (figures["import promptreg"].median - figures["bare python"].median) * 1000
    return 0 if verdict("import promptreg above bare Python", added, 20.0, " ms") and start else 1


if __name__ == "__main__":
    raise SystemExit(main())
