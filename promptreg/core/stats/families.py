"""Several tests at once: p-values adjusted so that each can be held against alpha. Knows no gates and no slices.

Holm                S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979)
                    65-70: the chance of even one false rejection stays at alpha, whatever the dependence.
Benjamini-Hochberg  Y. Benjamini, Y. Hochberg, Controlling the false discovery rate, JRSS B 57 (1995) 289-300: the expected share
                    of false ones among the rejected stays at alpha, under independence or positive dependence.
"""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p-values, in the order given. Raises ValueError on what is no p-value."""
    order = _ascending(p_values)
    adjusted = [1.0] * len(order)
    least = 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = least
    return tuple(adjusted)


def benjamini_hochberg(p_values: Sequence[float]) -> tuple[float, ...]:
    """Benjamini and Hochberg's adjusted p-values, in the order given. Raises ValueError on what is no p-value."""
    order = _ascending(p_values)
    adjusted = [1.0] * len(order)
    greatest = 1.0
    for rank in range(len(order), 0, -1):
        greatest = min(greatest, len(order) / rank * p_values[order[rank - 1]])
        adjusted[order[rank - 1]] = greatest
    return tuple(adjusted)


def _ascending(p_values: Sequence[float]) -> list[int]:
    if not all(0 <= p <= 1 for p in p_values):  # also refuses NaN, which no order could place
        raise ValueError("a p-value is a number between 0 and 1")
    return sorted(range(len(p_values)), key=p_values.__getitem__)
