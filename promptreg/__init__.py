"""promptreg: a Git-native prompt registry and regression-testing tool.

Public names are found on first use, so that `import promptreg` costs a millisecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from promptreg.core.run import Score
    from promptreg.hookspecs import hookimpl
    from promptreg.runtime import open_tree as open  # noqa: A004  read as promptreg.open

__version__ = "0.1.0"
__all__ = ["Score", "__version__", "hookimpl", "open"]

_HOMES = {
    "Score": ("promptreg.core.run", "Score"),
    "hookimpl": ("promptreg.hookspecs", "hookimpl"),
    "open": ("promptreg.runtime", "open_tree"),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'promptreg' has no attribute '{name}'")
    from importlib import import_module

    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
