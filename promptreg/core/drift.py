"""Drift: how answers changed apart from being right or wrong, each kind with its own paired test. Needs no golden answers.

    mismatch   the answer is another one, its spacing and case aside; held against how often base's own repeats differ
    format     it has the demanded form (a `json` check, an output schema)
    refusal    somebody would not answer
    length     characters; tokens, latency: the median of log(head / base), tested by flipping signs
    script     the writing system of most of its letters
    tools      which tools were called with which arguments

A kind is shown to have changed at `ALPHA`, corrected over the kinds by Holm's procedure. Whether that alarms anybody is another
question: a change of length must also be large, and a mismatch more than repeats of one model show. Knows no model and no file.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Literal, TypeAlias, get_args

from promptreg.core.pair import Graded, Unit
from promptreg.core.stats import wilson
from promptreg.core.stats.families import holm
from promptreg.core.stats.paired import mcnemar_midp
from promptreg.core.stats.resampling import sign_flip

Kind: TypeAlias = Literal["mismatch", "format", "refusal", "length", "tokens", "latency", "script", "tools"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ALPHA = 0.01  # METHODS E2
LARGE = math.log(1.5)  # of a ratio: half as long again, or a third shorter
RATIOS: frozenset[Kind] = frozenset(("length", "tokens", "latency"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftResult:
    """One kind of drift. Rates, or for length, tokens and latency medians in their unit; `ratio` is head's over base's there.

    `p` is two-sided and corrected over the kinds; None where nothing could be compared. `alarm`: shown, and large enough to matter.
    """

    kind: Kind
    n: int
    base: float | None = None
    head: float | None = None
    ratio: float | None = None
    p: float | None = None
    alarm: bool = False
    note: str = ""


@dataclass(slots=True)
class _Both:
    """A yes or no on both sides: how often head gained it and lost it."""

    n: int = 0
    base: int = 0
    head: int = 0
    gained: int = 0
    lost: int = 0

    def add(self, one: bool, other: bool) -> None:
        self.n += 1
        self.base += one
        self.head += other
        self.gained += other and not one
        self.lost += one and not other

    @property
    def p(self) -> float:
        """Two-sided: twice the smaller of the one-sided mid-p values."""
        return min(1.0, 2 * min(mcnemar_midp(self.lost, self.gained), mcnemar_midp(self.gained, self.lost)))


@dataclass(slots=True)
class _Ratio:
    """A size on both sides."""

    base: list[float] = field(default_factory=list)
    head: list[float] = field(default_factory=list)
    logs: list[float] = field(default_factory=list)

    def add(self, one: float, other: float) -> None:
        self.base.append(one)
        self.head.append(other)
        self.logs.append(math.log((other + 1) / (one + 1)))

    def p(self, seed: str) -> float:
        """Two-sided, of the clipped logarithms, which one endless answer cannot move far."""
        clipped = [max(-1.0, min(1.0, each)) for each in self.logs]
        up = sign_flip([(each, 1) for each in clipped], seed)
        down = sign_flip([(-each, 1) for each in clipped], seed)
        return min(1.0, 2 * min(up, down))


class Drift:
    """Folds units of one comparison: `add` each, then ask for the `results`. *refuses* says of a text whether it is a refusal."""

    def __init__(self, seed: str = "", refuses: Callable[[str], bool] | None = None) -> None:
        self._seed = seed
        self._refuses = refuses
        self._rates: dict[Kind, _Both] = {kind: _Both() for kind in ("format", "refusal")}
        self._differs: dict[Kind, _Both] = {kind: _Both() for kind in ("mismatch", "script", "tools")}
        self._ratios: dict[Kind, _Ratio] = {kind: _Ratio() for kind in ("length", "tokens", "latency")}
        self._repeats = _Both()  # pairs of base's own repeats, and how many differ

    def add(self, unit: Unit) -> None:
        for pair in unit.pairs:
            base = next((each for each in pair.base if each.failure is None), None)
            head = next((each for each in pair.head if each.failure is None), None)
            self._own(pair.base)
            if base is not None and head is not None and not pair.same:
                self._compare(base, head)

    def _own(self, repeats: Sequence[Graded]) -> None:
        answers = [normal(each.answer) for each in repeats if each.failure is None]
        for one, other in pairwise(answers):
            self._repeats.add(False, one != other)

    def _compare(self, base: Graded, head: Graded) -> None:
        self._differs["mismatch"].add(False, normal(base.answer) != normal(head.answer))
        self._differs["tools"].add(False, base.tools != head.tools)
        one, other = script(base.answer), script(head.answer)
        if one and other:
            self._differs["script"].add(False, one != other)
        if base.well_formed is not None and head.well_formed is not None:
            self._rates["format"].add(base.well_formed, head.well_formed)
        self._rates["refusal"].add(self._refused(base), self._refused(head))
        for kind, pair in (
            ("length", (base.length, head.length)),
            ("tokens", (base.tokens, head.tokens)),
            ("latency", (base.latency_s, head.latency_s)),
        ):
            if pair[0] is not None and pair[1] is not None:
                self._ratios[kind].add(float(pair[0]), float(pair[1]))  # type: ignore[index]

    def _refused(self, answer: Graded) -> bool:
        return answer.refused or (self._refuses is not None and self._refuses(answer.answer))

    def results(self) -> tuple[DriftResult, ...]:
        """Every kind of which there is something to say, its p corrected over all of them."""
        found = [result for kind in KINDS if (result := self._result(kind)) is not None]
        corrected = iter(holm([each.p for each in found if each.p is not None]))
        return tuple(_judged(each, None if each.p is None else next(corrected)) for each in found)

    def _result(self, kind: Kind) -> DriftResult | None:
        if kind in self._rates:
            both = self._rates[kind]
            if not both.n or (kind == "refusal" and not (both.base or both.head)):
                return None
            return DriftResult(kind=kind, n=both.n, base=both.base / both.n, head=both.head / both.n, p=both.p)
        if kind in self._ratios:
            return self._ratio(kind, self._ratios[kind])
        both = self._differs[kind]
        if not both.n or (kind != "mismatch" and not both.head):
            return None
        return self._difference(kind, both)

    def _ratio(self, kind: Kind, sizes: _Ratio) -> DriftResult | None:
        if not sizes.logs:
            return None
        return DriftResult(
            kind=kind,
            n=len(sizes.logs),
            base=median(sizes.base),
            head=median(sizes.head),
            ratio=math.exp(median(sizes.logs)),
            p=sizes.p(self._seed),
        )

    def _difference(self, kind: Kind, both: _Both) -> DriftResult:
        """How often the answers differ, held against how often base's own repeats do: else nobody can say what is much."""
        rate = both.head / both.n
        own = self._repeats if kind == "mismatch" else None
        if own is None:
            return DriftResult(kind=kind, n=both.n, head=rate, p=min(1.0, 2 * mcnemar_midp(both.head, 0)))
        if not own.n:
            return DriftResult(kind=kind, n=both.n, head=rate, note="no stored repeats to hold it against: reported, not alarmed")
        p = _more_often(both.head, both.n, own.head, own.n)
        return DriftResult(kind=kind, n=both.n, base=own.head / own.n, head=rate, p=p)


def _judged(result: DriftResult, p: float | None) -> DriftResult:
    large = result.kind not in RATIOS or (result.ratio is not None and abs(math.log(result.ratio)) > LARGE)
    alarm = p is not None and p <= ALPHA and large
    return DriftResult(
        kind=result.kind,
        n=result.n,
        base=result.base,
        head=result.head,
        ratio=result.ratio,
        p=p,
        alarm=alarm,
        note=result.note,
    )


def _more_often(hits: int, n: int, own_hits: int, own_n: int) -> float:
    """One-sided p that head differs from base no more often than base from itself: the hypergeometric tail, its own point halved
    (Fisher's exact test, mid-p)."""
    total, marked = n + own_n, hits + own_hits
    every = math.lgamma(total + 1) - math.lgamma(marked + 1) - math.lgamma(total - marked + 1)

    def chance(k: int) -> float:
        if not (0 <= k <= n and 0 <= marked - k <= own_n):
            return 0.0
        here = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        there = math.lgamma(own_n + 1) - math.lgamma(marked - k + 1) - math.lgamma(own_n - marked + k + 1)
        return math.exp(here + there - every)

    tail = math.fsum(chance(k) for k in range(hits, min(n, marked) + 1))
    return max(0.0, min(1.0, tail - chance(hits) / 2))


def noisy(results: Iterable[DriftResult]) -> float | None:
    """The upper limit (95 %, Wilson) of how often repeats differ, where it is known."""
    for each in results:
        if each.kind == "mismatch" and each.base is not None:
            return wilson(each.base * each.n, each.n)[1]
    return None


def normal(text: str) -> str:
    """*text* as far as a mismatch is one: spacing and case aside."""
    return " ".join(text.casefold().split())


def script(text: str) -> str:
    """The writing system of most letters of *text* (LATIN, CYRILLIC, CJK …), as Unicode names begin; empty without letters."""
    counts = Counter(unicodedata.name(letter, "?").partition(" ")[0] for letter in text[:2000] if letter.isalpha())
    return counts.most_common(1)[0][0] if counts else ""
