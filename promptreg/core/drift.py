"""Drift: how answers changed apart from being right or wrong, each kind with its own paired test. Needs no golden answers.

    mismatch   the answer is another one: as a check read it (a label, a number), else its text, spacing and case aside; held
               against how often repeats of one side differ
    format     it has the demanded form (a `json` check, an output schema)
    wrapping   it stands in a code fence, in quotes, in a JSON object around one text
    refusal    somebody would not answer
    length     characters; tokens, latency: the median of log(head / base), tested by flipping signs
    language   by its commonest little words, or where its letters are not Latin by its writing system
    tools      which tools were called with which arguments

Every test asks whether base's answers and head's could change places: where nothing changed they could, whatever the noise of the
model. A kind is shown to have changed at `ALPHA`, corrected over the kinds of one comparison by Holm's procedure. Whether that
alarms anybody is another question: a change of size must also be large, and a mismatch more than repeats of one side show; without
repeats it is reported, and alarms nobody. Clusters flip whole. Knows no model and no file.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median
from typing import Literal, TypeAlias, get_args

from promptreg.core.canonical import digest_bytes
from promptreg.core.language import language
from promptreg.core.pair import Graded, Unit
from promptreg.core.stats.families import holm
from promptreg.core.stats.paired import mcnemar_midp
from promptreg.core.stats.resampling import Cluster, sign_flip
from promptreg.core.unwrapped import wrapped

Kind: TypeAlias = Literal["mismatch", "format", "wrapping", "refusal", "length", "tokens", "latency", "language", "tools"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ALPHA = 0.01  # METHODS E2
LARGE = math.log(1.5)  # of a ratio: half as long again, or a third shorter
RATIOS: Mapping[Kind, float] = {"length": 1.0, "tokens": 1.0, "latency": 0.001}  # what is added, so that nothing has a logarithm
STEPS = 16  # of a logarithm, to the nearest of which it is tested: few distinct values have an exact test, and 3 % is no change
SHAPE = 500  # characters of the tools called; longer ones are known by their digest
MOVES = 5  # the most common changes between shapes that are tested, each: corrected for by Bonferroni
UNREPEATED = "no repeats to hold it against: reported, not alarmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftResult:
    """One kind of drift over *n* cases. Rates, or medians in their unit for length, tokens and latency, of which `ratio` is
    head's over base's. For a mismatch `base` is how often repeats of one side differ; for language and tools both are the share of
    the usual one.

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
class _Rate:
    """A yes or no on both sides."""

    n: int = 0
    base: float = 0.0
    head: float = 0.0
    clusters: list[Cluster] = field(default_factory=list)

    def add(self, cases: Sequence[tuple[float, float]]) -> None:
        """One cluster: of each case the share of yes on both sides."""
        if cases:
            self.n += len(cases)
            self.base += math.fsum(one for one, _ in cases)
            self.head += math.fsum(other for _, other in cases)
            self.clusters.append((math.fsum(other - one for one, other in cases), len(cases)))


@dataclass(slots=True)
class _Sizes:
    """A size on both sides."""

    base: list[float] = field(default_factory=list)
    head: list[float] = field(default_factory=list)
    logs: list[float] = field(default_factory=list)
    clusters: list[Cluster] = field(default_factory=list)  # of clipped logarithms, which one endless answer cannot move far

    def add(self, cases: Sequence[tuple[float, float]], offset: float) -> None:
        if cases:
            logs = [math.log((other + offset) / (one + offset)) for one, other in cases]
            self.base += [one for one, _ in cases]
            self.head += [other for _, other in cases]
            self.logs += logs
            clipped = (max(-1.0, min(1.0, round(STEPS * each) / STEPS)) for each in logs)
            self.clusters.append((math.fsum(clipped), len(cases)))


@dataclass(slots=True)
class _Shapes:
    """One of many shapes on both sides, and who changed from which to which."""

    n: int = 0
    base: Counter[str] = field(default_factory=Counter)
    head: Counter[str] = field(default_factory=Counter)
    moves: dict[tuple[str, str], list[Cluster]] = field(default_factory=dict)

    def add(self, cases: Sequence[tuple[str, str]]) -> None:
        net: Counter[tuple[str, str]] = Counter()
        sizes: Counter[tuple[str, str]] = Counter()
        for one, other in cases:
            self.n += 1
            self.base[one] += 1
            self.head[other] += 1
            if one != other:
                move = min(one, other), max(one, other)
                net[move] += 1 if one == move[0] else -1
                sizes[move] += 1
        for move, size in sizes.items():
            self.moves.setdefault(move, []).append((float(net[move]), size))

    @property
    def changed(self) -> int:
        return sum(size for clusters in self.moves.values() for _, size in clusters)

    @property
    def usual(self) -> str:
        """The shape that most answers of both sides have."""
        both = self.base + self.head
        return min(both, key=lambda shape: (-both[shape], shape))

    def p(self, seed: str) -> float:
        """Whether changes go one way: of the most common ones, as many in one direction as in the other if nothing changed. Which
        ones are the most common says nothing about their direction."""
        common = sorted(self.moves.items(), key=lambda item: (-sum(size for _, size in item[1]), item[0]))[:MOVES]
        return min(1.0, len(common) * min((_two_sided(clusters, seed) for _, clusters in common), default=1.0))


@dataclass(slots=True)
class _Mismatch:
    """How often head's answer is another one than base's, and than its own repeat.

    With two answers of each side, x, X and y, Y: whether x differs from y and X from Y, against whether x differs from X and y from
    Y. If nothing changed, X and y could change places, which makes the one count the other. Where head has one answer: x and y
    against x and X.
    """

    cases: int = 0
    other: float = 0.0
    tested: int = 0
    own: float = 0.0
    cross: float = 0.0
    clusters: list[Cluster] = field(default_factory=list)

    def add(self, cases: Sequence[tuple[Sequence[str], Sequence[str]]]) -> None:
        total, count = 0.0, 0
        for base, head in cases:
            both = list(zip(base, head, strict=False))
            if both:
                self.cases += 1
                self.other += fmean(one != other for one, other in both)
            if (found := _repeated(base, head)) is not None:
                own, cross = found
                self.own, self.cross = self.own + own, self.cross + cross
                total, count = total + cross - own, count + 1
        if count:
            self.tested += count
            self.clusters.append((total, count))


def _repeated(base: Sequence[str], head: Sequence[str]) -> tuple[float, float] | None:
    """How often repeats differ, and how often the sides do, in the same number of comparisons; None without repeats."""
    own, cross = [], []
    for at in range(0, min(len(base), len(head)) - 1, 2):
        own += [base[at] != base[at + 1], head[at] != head[at + 1]]
        cross += [base[at] != head[at], base[at + 1] != head[at + 1]]
    if not own and len(base) > 1 and head:
        own, cross = [base[0] != base[1]], [base[0] != head[0]]
    return (fmean(own), fmean(cross)) if own else None


class Drift:
    """Folds units of one comparison: `add` each, then ask for the `results`. *refuses* says of a text whether it is a refusal."""

    def __init__(self, seed: str = "", refuses: Callable[[str], bool] | None = None) -> None:
        self._seed = seed
        self._refuses = refuses
        self._mismatch = _Mismatch()
        self._rates: dict[Kind, _Rate] = {kind: _Rate() for kind in ("format", "wrapping", "refusal")}
        self._sizes: dict[Kind, _Sizes] = {kind: _Sizes() for kind in RATIOS}
        self._shapes: dict[Kind, _Shapes] = {kind: _Shapes() for kind in ("language", "tools")}

    def add(self, unit: Unit) -> None:
        """The next unit. Pairs that are the same by nature, and answers that are missing, say nothing."""
        cases = [_case(pair.base, pair.head) for pair in unit.pairs if not pair.same]
        cases = [each for each in cases if each]
        for kind, rate in self._rates.items():
            rate.add([shares for each in cases if (shares := _shares(each, lambda one: self._yes(kind, one))) is not None])  # noqa: B023
        for kind, sizes in self._sizes.items():
            sizes.add([means for each in cases if (means := _shares(each, lambda one: _size(kind, one))) is not None], RATIOS[kind])  # noqa: B023
        for kind, shapes in self._shapes.items():
            of = _language_of if kind == "language" else _tools_of
            shapes.add([(one, other) for ((base, head), *_) in cases if (one := of(base)) and (other := of(head))])
        self._mismatch.add([(_texts(pair.base), _texts(pair.head)) for pair in unit.pairs if not pair.same])

    def _yes(self, kind: Kind, answer: Graded) -> float | None:
        match kind:
            case "format":
                return None if answer.well_formed is None else float(answer.well_formed)
            case "wrapping":
                return float(wrapped(answer.answer))
            case _:
                return float(answer.refused or (self._refuses is not None and self._refuses(answer.answer)))

    def results(self) -> tuple[DriftResult, ...]:
        """Every kind of which there is something to say, its p corrected over all of them."""
        found = [result for kind in KINDS if (result := self._result(kind)) is not None]
        corrected = iter(holm([each.p for each in found if each.p is not None]))
        return tuple(_judged(each, None if each.p is None else next(corrected)) for each in found)

    def _result(self, kind: Kind) -> DriftResult | None:
        if kind == "mismatch":
            return self._differing(self._mismatch)
        if kind in self._sizes:
            return self._resized(kind, self._sizes[kind])
        if kind in self._shapes:
            return self._reshaped(kind, self._shapes[kind])
        rate = self._rates[kind]
        if not rate.n or (kind != "format" and not (rate.base or rate.head)):
            return None
        p = _two_sided(rate.clusters, self._seed)
        return DriftResult(kind=kind, n=rate.n, base=rate.base / rate.n, head=rate.head / rate.n, p=p)

    def _resized(self, kind: Kind, sizes: _Sizes) -> DriftResult | None:
        if not sizes.logs:
            return None
        return DriftResult(
            kind=kind,
            n=len(sizes.logs),
            base=median(sizes.base),
            head=median(sizes.head),
            ratio=math.exp(median(sizes.logs)),
            p=_two_sided(sizes.clusters, self._seed),
        )

    def _reshaped(self, kind: Kind, shapes: _Shapes) -> DriftResult | None:
        if not shapes.changed:
            return None
        usual, n = shapes.usual, shapes.n
        p = shapes.p(self._seed)
        return DriftResult(kind=kind, n=n, base=shapes.base[usual] / n, head=shapes.head[usual] / n, p=p)

    def _differing(self, found: _Mismatch) -> DriftResult | None:
        if found.tested:
            p = sign_flip(found.clusters, self._seed)
            own, cross = found.own / found.tested, found.cross / found.tested
            return DriftResult(kind="mismatch", n=found.tested, base=own, head=cross, p=p)
        if not found.cases:
            return None
        return DriftResult(kind="mismatch", n=found.cases, head=found.other / found.cases, note=UNREPEATED)


_Case: TypeAlias = list[tuple[Graded, Graded]]  # the answers of both sides, repeat by repeat, as far as both are there


def _case(base: Sequence[Graded], head: Sequence[Graded]) -> _Case:
    return list(zip(_there(base), _there(head), strict=False))


def _there(side: Sequence[Graded]) -> list[Graded]:
    return [each for each in side if each.failure is None]


def _texts(side: Sequence[Graded]) -> list[str]:
    return [normal(each.answer) if each.read is None else f"read {each.read}" for each in _there(side)]


def _shares(case: _Case, of: Callable[[Graded], float | None]) -> tuple[float, float] | None:
    """The means of both sides, over the repeats for which both are known."""
    known = [(one, other) for base, head in case if (one := of(base)) is not None and (other := of(head)) is not None]
    return (fmean(one for one, _ in known), fmean(other for _, other in known)) if known else None


def _size(kind: Kind, answer: Graded) -> float | None:
    found = answer.length if kind == "length" else answer.tokens if kind == "tokens" else answer.latency_s
    return None if found is None else float(found)


def _language_of(answer: Graded) -> str:
    return language(answer.answer)


def _tools_of(answer: Graded) -> str:
    tools = answer.tools or "none"
    return tools if len(tools) <= SHAPE else digest_bytes(tools.encode("utf-8", "surrogatepass"))


def _two_sided(clusters: Sequence[Cluster], seed: str) -> float:
    """Twice the smaller of the one-sided p-values. Where every cluster is one case that changed or did not: mid-p McNemar."""
    if all(size == 1 and change in (-1.0, 0.0, 1.0) for change, size in clusters):
        more, less = (sum(change == sign for change, _ in clusters) for sign in (1, -1))
        return min(1.0, 2 * min(mcnemar_midp(more, less), mcnemar_midp(less, more)))
    down = sign_flip([(-change, size) for change, size in clusters], seed)
    return min(1.0, 2 * min(sign_flip(clusters, seed), down))


def _judged(result: DriftResult, p: float | None) -> DriftResult:
    large = result.ratio is None or abs(math.log(result.ratio)) > LARGE
    return replace(result, p=p, alarm=p is not None and p <= ALPHA and large)


def normal(text: str) -> str:
    """*text* as far as a mismatch is one: spacing and case aside."""
    return " ".join(text.casefold().split())
