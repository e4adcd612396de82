"""Conclusions that hold whenever one stops: each answer is a fair bet against what is to be disproved. Knows numbers only.

    Betting    is there a drop, and is it below the margin?       cases as drawn from all that could be asked
    Golden     would the whole golden set show the margin?        cases as drawn from that set, without replacement
    Mean       is a mean in [0, 1] below its floor?
    Increase   is a mean in [-1, 1] above zero?

A bettor who starts with 1 and may not win on average under the null holds 1 / alpha or more, ever, with a chance of at most alpha
(J. Ville, Étude critique de la notion de collectif, 1939). How much is staked may depend on everything already seen, so that any
tuning keeps the promise, at any stopping time.

bets      I. Waudby-Smith and A. Ramdas, Estimating means of bounded random variables by betting, JRSS B 86 (2024) 1-27, with and
          without replacement; limits are the means that no bettor has disproved.
targets   the stake that would reach 1 / alpha at the planned end: after STaR-Bets, arXiv 2505.22422 (2025).

Differences d are in [-1, 1], and positive when the candidate is worse. Logarithms are natural.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

DISCORDANCE = 0.10  # the mean square of a difference, before any was seen: that of an edited prompt
_PRIOR_CASES = 20  # how many cases that supposition weighs
_LEAST_SPREAD, _GREATEST_SPREAD = 0.002, 0.999  # bounds of the estimate, so that equal answers never suggest an infinite stake
_STAKE = 0.9  # of what one holds, at most: nobody is ruined by one answer
_LARGEST_NULL = 0.99  # at 1, where every answer must be 1, the best stake is infinite
_CAUTIOUS_STAKE = 0.5  # where nothing says how many answers will come; Waudby-Smith and Ramdas's own choice for limits
_STEPS = 400  # of the grid on which limits are sought, for a length of 1: a quarter of a point each
_ROUNDING = 1e-9  # by which a difference may leave [-1, 1], and a sum its bound, through rounding alone


class Betting:
    """Two bettors on one stream of differences: one against "there is no drop", one against "the drop is *margin* or more".

    The first stakes as if each answer's drop were *margin*, the second as if it were 0, and both more where the *planned* number
    of updates would otherwise end before 1 / *a_fail* and 1 / *a_pass* are reached. *discordance* is the supposed mean square of a
    difference; a wrong one costs answers, never validity. More updates than planned are allowed.
    """

    _finite = False

    def __init__(self, *, margin: float, a_fail: float, a_pass: float, planned: int, discordance: float = DISCORDANCE) -> None:
        """Raises ValueError unless 0 <= margin < 1, 0 < a_fail, a_pass < 1, planned >= 0 and 0 <= discordance <= 1."""
        if not (0 <= margin < 1 and planned >= 0 and 0 <= discordance <= 1):
            raise ValueError(f"no bets with a margin of {margin}, {planned} planned updates and a discordance of {discordance}")
        self.margin, self.planned = margin, planned
        self._worse = _Stream(discordance)  # of -d: a small mean is what the first bettor wants to show
        self._within = _Stream(discordance)  # of d, so that both are one procedure
        self._fail = _Bettor(-margin if self._finite else 0.0, _goal(a_fail), margin, planned, self._finite)
        self._pass = _Bettor(margin, _goal(a_pass), margin, planned, self._finite)

    @property
    def consumed(self) -> int:
        """How many updates there were."""
        return self._within.consumed

    @property
    def log_fail(self) -> float:
        """What the first bettor holds, as a logarithm."""
        return self._fail.log

    @property
    def log_pass(self) -> float:
        """What the second bettor holds, as a logarithm."""
        return self._pass.log

    @property
    def max_log_fail(self) -> float:
        """The most that the first bettor ever held, as a logarithm; at least 0."""
        return self._fail.peak

    @property
    def max_log_pass(self) -> float:
        """The most that the second bettor ever held, as a logarithm; at least 0."""
        return self._pass.peak

    @property
    def failed(self) -> bool:
        """Whether a drop (under `Golden`, one of the margin) has been shown, after any update."""
        return self._fail.peak >= self._fail.goal

    @property
    def passed(self) -> bool:
        """Whether the drop has been shown to be below the margin, after any update."""
        return self._pass.peak >= self._pass.goal

    @property
    def fail_now(self) -> bool:
        """As `failed`, by what the bettor holds now."""
        return self._fail.log >= self._fail.goal

    @property
    def pass_now(self) -> bool:
        """As `passed`, by what the bettor holds now."""
        return self._pass.log >= self._pass.goal

    def update(self, d_fail: float, d_pass: float | None = None) -> None:
        """One unit's difference. With answers missing the bettors see its two bounds: the first the least, the second the greatest.

        Raises ValueError outside [-1, 1].
        """
        least, greatest = _within(d_fail, -1.0), _within(d_fail if d_pass is None else d_pass, -1.0)
        self._fail.bet(-least, self._worse)
        self._pass.bet(greatest, self._within)
        self._worse.add(-least)
        self._within.add(greatest)

    def upper(self, alpha: float) -> float:
        """Upper limit of the drop at one-sided confidence 1 - *alpha*, whenever it is read; 1 where nothing is shown.

        At the `a_pass` of its own it is at most the margin where the second bettor has won.
        """
        return self._limit(self._within, alpha)

    def lower(self, alpha: float) -> float:
        """Lower limit of the drop at one-sided confidence 1 - *alpha*, whenever it is read: the mirror image of `upper`."""
        return -self._limit(self._worse, alpha)

    def _limit(self, stream: _Stream, alpha: float) -> float:
        """The least mean on the grid such that it and every greater one are disproved by *stream*."""
        goal, lowest = _goal(alpha), 1.0
        for null in _grid(-_STEPS, self.margin):
            if not _Bettor(null, goal, self.margin, self.planned, self._finite).wins(stream):
                break
            lowest = null
        return lowest


class Golden(Betting):
    """As `Betting`, where *planned* is the whole golden set and the question what all of it would show: FAIL, a drop of *margin* or
    more; PASS, a smaller one. Every answer leaves less to be drawn, so that both bet against the mean that must remain
    (Waudby-Smith and Ramdas, section 5), and win for certain once what remains cannot change the answer."""

    _finite = True

    def update(self, d_fail: float, d_pass: float | None = None) -> None:
        """As `Betting.update`. Raises ValueError also when the golden set is exhausted."""
        if self.consumed >= self.planned:
            raise ValueError(f"a golden set of {self.planned} has no further answer")
        super().update(d_fail, d_pass)
        left = self.planned - self.consumed
        if self._within.sum + left < self.margin * self.planned - _ROUNDING:
            self._pass.win()
        if -self._worse.sum - left >= self.margin * self.planned - _ROUNDING:
            self._fail.win()


class Mean:
    """A mean of values in [0, 1], such as a pass rate, at any stopping time."""

    def __init__(self) -> None:
        self._values: list[float] = []

    def update(self, x: float) -> None:
        """One more value. Raises ValueError outside [0, 1]."""
        self._values.append(_within(x, 0.0))

    def below(self, floor: float, alpha: float) -> bool:
        """Whether "the mean is *floor* or more" is disproved at level *alpha*. Raises ValueError unless 0 <= floor <= 1."""
        return _mean_below(self._values, _within(floor, 0.0), _goal(alpha))

    def upper(self, alpha: float) -> float:
        """Upper limit of the mean at one-sided confidence 1 - *alpha*; 1 where nothing is shown."""
        return _mean_limit(self._values, alpha)

    def lower(self, alpha: float) -> float:
        """Lower limit of the mean at one-sided confidence 1 - *alpha*; 0 where nothing is shown."""
        return 1 - _mean_limit([1 - x for x in self._values], alpha)


class Increase:
    """Is the mean of values in [-1, 1] above 0? At any stopping time; *planned* and *alpha* only tune the stakes."""

    def __init__(self, *, planned: int = 0, alpha: float = 0.05) -> None:
        self.planned = planned
        self.log = self.max_log = 0.0
        self._goal = _goal(alpha)
        self._consumed, self._sum, self._squares = 0, 0.0, 0.25  # 0.25: one value's worth of doubt, before any was seen

    def update(self, x: float) -> None:
        """One more value. Raises ValueError outside [-1, 1]."""
        x = _within(x, -1.0)
        spread = self._squares / (self._consumed + 1)
        growth = max(0.0, self._sum) / (self._consumed + 1) / spread
        self.log += math.log1p(_stake(growth, self.log, self._goal, spread, self.planned - self._consumed, 1.0) * x)
        self.max_log = max(self.max_log, self.log)
        self._consumed += 1
        self._sum += x
        self._squares += x * x

    def rejects(self, alpha: float) -> bool:
        """Whether "the mean is 0 or less" is disproved at level *alpha*."""
        return self.max_log >= _goal(alpha)


def optimal_stake(margin: float, spread: float) -> float:
    """The stake on "the drop is below *margin*" under which wealth grows fastest when there is no drop.

    *spread* is the discordance: d is 1 or -1 with half of it each, else 0. Maximises
    (1 - s)·ln(1 + l·m) + s/2·ln(1 - l·(1 - m)) + s/2·ln(1 + l·(1 + m)); the derivative's three fractions on one denominator leave
    m(1 - m²)·l² + (s - 2m²)·l - m = 0, whose positive root this is.
    """
    linear = spread - 2 * margin * margin
    root = math.sqrt(linear * linear + 4 * margin * margin * (1 - margin * margin))
    if linear > 0:  # the same root either way, never as the difference of two nearly equal numbers
        return 2 * margin / (root + linear)
    return (root - linear) / (2 * margin * (1 - margin * margin))


class _Stream:
    """Values in [-1, 1] as they came, and what was known before each: their estimated mean square."""

    __slots__ = ("_prior", "_squares", "spreads", "sum", "values")

    def __init__(self, discordance: float) -> None:
        self.values: list[float] = []
        self.sum = 0.0
        self._squares = _PRIOR_CASES * discordance
        self.spreads: list[float] = []
        self._estimate()

    @property
    def consumed(self) -> int:
        return len(self.values)

    def add(self, value: float) -> None:
        self.values.append(value)
        self.sum += value
        self._squares += value * value
        self._estimate()

    def _estimate(self) -> None:
        spread = self._squares / (_PRIOR_CASES + len(self.values))
        self.spreads.append(min(max(spread, _LEAST_SPREAD), _GREATEST_SPREAD))


class _Bettor:
    """Bets on each value of a stream against "its mean is *null* or more"; with *finite*, the mean of all *planned* values."""

    __slots__ = ("finite", "goal", "log", "margin", "null", "peak", "planned")

    def __init__(self, null: float, goal: float, margin: float, planned: int, finite: bool) -> None:
        self.null, self.goal, self.margin, self.planned, self.finite = null, goal, margin, planned, finite
        self.log = self.peak = 0.0

    def bet(self, value: float, past: _Stream) -> None:
        self._settle(value, past.spreads[-1], self.planned - past.consumed, past.sum)

    def win(self) -> None:
        """What was left to show is certain."""
        self.log = max(self.log, self.goal)
        self.peak = max(self.peak, self.log)

    def wins(self, stream: _Stream) -> bool:
        """Whether *stream* would at any time have made it reach its goal, or what is left of a finite one can't exceed its null."""
        total = 0.0
        for consumed, (value, spread) in enumerate(zip(stream.values, stream.spreads, strict=False)):
            self._settle(value, spread, self.planned - consumed, total)
            if self.log >= self.goal:
                return True
            total += value
        return self.finite and total + self.planned - stream.consumed <= self.null * self.planned + _ROUNDING

    def _settle(self, value: float, spread: float, left: int, total: float) -> None:
        null = (self.null * self.planned - total) / left if self.finite else self.null
        growth = (
            optimal_stake(min(max(null, self.margin), _LARGEST_NULL), spread) if self.null >= self.margin else self.margin / spread
        )
        self.log += math.log1p(_stake(growth, self.log, self.goal, spread, left, 1 - null) * (null - value))
        if self.log > self.peak:
            self.peak = self.log


def _stake(growth: float, log: float, goal: float, spread: float, left: int, loss: float) -> float:
    """What to stake on the next of *left* answers: enough to grow, enough to reach the *goal* in time, and never so much that the
    greatest *loss* an answer can bring is ruin."""
    if left > 0 and log < goal:
        growth = max(growth, math.sqrt(2 * (goal - log) / (spread * left)))
    return min(growth, _STAKE / max(loss, _ROUNDING))


def _mean_below(values: list[float], floor: float, goal: float) -> bool:
    """Waudby-Smith and Ramdas's predictable plug-in bets (their section 4.2) against "the mean is *floor* or more"."""
    log, total, squares = 0.0, 0.5, 0.25  # as if one value of 1/2 with a variance of 1/4 had been seen
    greatest = _CAUTIOUS_STAKE / max(1 - floor, _ROUNDING)
    for count, x in enumerate(values, 1):
        stake = min(greatest, math.sqrt(2 * goal / (squares / count * count * math.log(count + 1))))
        log += math.log1p(stake * (floor - x))
        if log >= goal:
            return True
        total += x
        squares += (x - total / (count + 1)) ** 2
    return False


def _mean_limit(values: list[float], alpha: float) -> float:
    goal, lowest = _goal(alpha), 1.0
    for null in _grid(0, 1.0):
        if not _mean_below(values, null, goal):
            break
        lowest = null
    return lowest


def _grid(lowest: int, extra: float) -> Iterator[float]:
    """Means from just below 1 down to *lowest* steps, with *extra* and its mirror image at their places."""
    yield from sorted({step / _STEPS for step in range(lowest, _STEPS)} | ({extra, -extra} if extra < 1 else set()), reverse=True)


def _goal(alpha: float) -> float:
    if not 0 < alpha < 1:
        raise ValueError(f"an alpha of {alpha} is not between 0 and 1")
    return -math.log(alpha)


def _within(value: float, least: float) -> float:
    if not least - _ROUNDING <= value <= 1 + _ROUNDING:  # also refuses NaN
        raise ValueError(f"{value} is not between {least:g} and 1")
    return min(max(value, least), 1.0)
