"""Looks: what a test may claim that shared its run with one that could stop it. Beside the folds of a gate; knows p-values only.

A run that may stop early ends when the comparison is decided. Whatever else is tested on its answers is then looked at after a
number of units that chance chose, and a test made for the whole order would err more often than alpha. So floors, guards and slices
have a process and a test of the whole order wherever a run could stop, and halve for it, as hybrid comparisons do:

    fixed                   p_fixed
    sequential, hybrid      min(1, 2 · min(1 / max E, p_fixed)), where p_fixed = 1 unless the whole order was consumed
"""

from __future__ import annotations

import math

from promptreg.core.verdict import Mode


def either(mode: Mode, *, max_log: float, p_fixed: float | None) -> float:
    """The p-value of a process that reached exp(*max_log*) and of a test of the whole order; None where that was not consumed."""
    if mode == "fixed" and p_fixed is not None:
        return p_fixed
    return min(1.0, 2 * min(math.exp(-max(0.0, max_log)), 1.0 if p_fixed is None else p_fixed))


def level(mode: Mode, alpha: float) -> float:
    """What each of the two may err, so that both together err *alpha*."""
    return alpha if mode == "fixed" else alpha / 2
