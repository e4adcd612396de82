"""`python -m promptreg`, and the console scripts."""

from __future__ import annotations

from promptreg.cli import main

if __name__ == "__main__":
    main()
