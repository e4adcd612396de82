"""promptreg: a Git-native prompt registry and regression-testing tool."""

from __future__ import annotations

__version__ = "0.1.0"
