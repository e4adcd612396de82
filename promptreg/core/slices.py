"""The parts of a cell: how the cases of each tag did. Part of the fold in `tally`; judges nothing.

A slice below about forty cases only shows catastrophes: the interval beside it says so.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

from promptreg.core.report import SliceSummary
from promptreg.core.select import stratum
from promptreg.core.stats import Interval
from promptreg.core.suite import Case

LISTED = 50  # values of one tag that are told apart; a tag with more is no slice but an id
REST = "(other values)"


class SliceTally:
    """Where each graded answer belongs; eight bytes an answer for each way of slicing."""

    def __init__(self, by: Sequence[str]) -> None:
        self._places: dict[str, dict[str, array[int]]] = {name: {} for name in by}

    def add(self, case: Case, place: int) -> None:
        """The graded answer number *place* is one of *case*."""
        for by, values in self._places.items():
            value = stratum(case, by)
            if value not in values and len(values) >= LISTED:
                value = REST
            values.setdefault(value, array("L")).append(place)

    def summaries(self, verdicts: Sequence[int], interval: Callable[[Sequence[int]], Interval]) -> tuple[SliceSummary, ...]:
        """One summary for each value, by name; *interval* gives the limits for the answers at the given places."""
        out = []
        for by, values in self._places.items():
            for value, places in sorted(values.items()):
                lower, upper = interval(places)
                passed = sum(verdicts[place] for place in places)
                out.append(SliceSummary(by=by, value=value, n=len(places), passed=passed, lower=lower, upper=upper))
        return tuple(out)
