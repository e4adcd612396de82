"""`assert_not_worse`: a gate's question in a plain test. Knows no model, no suite and no Git: only what both sides scored."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from promptreg.core.contest import Contest, Rules
from promptreg.core.excerpt import one_line
from promptreg.core.pair import Graded, On, Pair, Unit
from promptreg.core.suite import Policy
from promptreg.core.verdict import Comparison, Verdict

Scored: TypeAlias = bool | float | None
"""Whether a case passed, or its score in [0, 1]; None where there is no answer."""
Results: TypeAlias = Sequence[Scored] | Mapping[Any, Scored]

NAMED = 5  # cases that a message names


def assert_not_worse(
    candidate: Results,
    baseline: Results,
    margin: float = 0.05,
    *,
    on: On | None = None,
    alpha: float = 0.05,
    undecided: Literal["fail", "warn"] = "fail",
) -> Comparison:
    """Asserts that *candidate* is shown to be less than *margin* worse than *baseline*, by the tests of a gate in fixed mode.

    Both hold the same cases: by position, or by name in mappings. A case is a bool (passed) or a score in [0, 1]; None is a missing
    answer, which counts against the candidate. *on* is `passed` if all are bools, else `score`. Each side of the question errs
    with a chance of at most *alpha*. Too little evidence (fewer than 20 cases never suffice) fails, or warns, as *undecided* says.

    Returns the comparison. Raises AssertionError with the drop and its limits; ValueError for results that cannot be compared.
    """
    __tracebackhide__ = True
    _check(margin, alpha, undecided)
    pairs = _pairs(candidate, baseline)
    kind = on or _kind(pairs)
    policy = Policy(on=kind, margin=margin, alpha=alpha, mode="fixed")
    rules = Rules(
        kind="base",
        revision="the baseline",
        suite_from="head",
        policy_from="head",
        prompt="",
        model="",
        policy=policy,
        planned=len(pairs),
        binary=kind == "passed",
        seed="assert_not_worse",
    )
    contest = Contest(rules)
    for name, old, new in pairs:
        pair = Pair(case=name, base=(_graded(name, old, kind),), head=(_graded(name, new, kind),))
        contest.add(Unit(name, (pair,)))
    found = contest.finish(consumed_all=True)
    if found.verdict is Verdict.PASS:
        return found
    text = _text(found)
    if found.verdict is Verdict.UNDECIDED and undecided == "warn":
        warnings.warn(text, stacklevel=2)
        return found
    raise AssertionError(text)


def _check(margin: float, alpha: float, undecided: str) -> None:
    if not 0 <= margin < 1:
        raise ValueError(f"margin is a share of the cases, at least 0 and below 1, not {margin!r}")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha is a chance between 0 and 0.5, not {alpha!r}")
    if undecided not in ("fail", "warn"):
        raise ValueError(f"undecided is 'fail' or 'warn', not {undecided!r}")


def _pairs(candidate: Results, baseline: Results) -> list[tuple[str, Scored, Scored]]:
    """Name, baseline's and candidate's result of each case. ValueError where the two sides are not of the same cases."""
    if isinstance(candidate, Mapping) != isinstance(baseline, Mapping):
        raise ValueError("one side names its cases and the other does not: give two mappings, or two sequences")
    if isinstance(candidate, Mapping) and isinstance(baseline, Mapping):
        lost, extra = _missing(baseline, candidate), _missing(candidate, baseline)
        if lost or extra:
            said = [
                *([f"only the baseline has {_some(lost)}"] if lost else ()),
                *([f"only the candidate has {_some(extra)}"] if extra else ()),
            ]
            raise ValueError(f"the two sides are not of the same cases: {'; '.join(said)}")
        found = [(str(name), baseline[name], candidate[name]) for name in sorted(baseline, key=_rank)]
    else:
        old, new = list(baseline), list(candidate)
        if len(old) != len(new):
            raise ValueError(f"{len(new):,} results against {len(old):,}: both sides must be of the same cases")
        found = [(f"#{number}", one, other) for number, (one, other) in enumerate(zip(old, new, strict=True))]
    if not found:
        raise ValueError("no cases: nothing shows that nothing got worse")
    return found


def _missing(of: Mapping[Any, Scored], among: Mapping[Any, Scored]) -> list[Hashable]:
    return sorted((name for name in of if name not in among), key=_rank)


def _rank(name: Hashable) -> tuple[str, str]:
    return type(name).__name__, str(name)


def _kind(pairs: Iterable[tuple[str, Scored, Scored]]) -> On:
    return "passed" if all(value is None or isinstance(value, bool) for _, *both in pairs for value in both) else "score"


def _graded(name: str, value: Scored, on: On) -> Graded:
    """ValueError for what is no result."""
    if value is None:
        return Graded(passed=None, score=None)
    try:
        score = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"case {name}: {value!r} is neither a bool nor a score") from None
    if not math.isfinite(score) or not 0 <= score <= 1:
        raise ValueError(f"case {name}: {value!r} is not between 0 and 1")
    if on == "passed" and score not in (0.0, 1.0):
        raise ValueError(f"case {name}: {value!r} neither passed nor failed: ask with on='score'")
    return Graded(passed=bool(score) if on == "passed" else None, score=score)


def _text(found: Comparison) -> str:
    lines = [f"{_headline(found)}: {_rate(found.head_score)} against {_rate(found.base_score)} over {found.n:,} cases"]
    if found.drop is not None:
        lines.append(f"  drop    {_points(found.drop)}, margin {_points(found.margin)}")
    if found.lower is not None and found.upper is not None:
        lines.append(f"  limits  at least {_points(found.lower)}, at most {_points(found.upper)} (each at {1 - found.alpha:.4g})")
    if found.missing:
        lines.append(f"  missing {found.missing:,} of {found.n:,} cases lack an answer")
    if found.broken:
        names = [one_line(each.case, 60) for each in found.cases_broken[:NAMED]]
        more = f" and {found.broken - len(names):,} more" if found.broken > len(names) else ""
        lines.append(f"  worse   {', '.join(names)}{more}; better: {found.fixed:,}")
    if found.note:
        lines.append(f"  note    {found.note}")
    if found.needed:
        lines.append(f"  about {found.needed:,} more cases would tell")
    return "\n".join(lines)


def _headline(found: Comparison) -> str:
    if found.verdict is Verdict.FAIL:
        return "the candidate is worse than the baseline"
    if found.verdict is Verdict.UNMEASURED:
        return "too many answers are missing to tell whether the candidate is worse"
    return "too little evidence that the candidate is not worse"


def _rate(score: float | None) -> str:
    return "nothing" if score is None else f"{100 * score:.1f} %"


def _points(share: float) -> str:
    return f"{100 * share:+.1f} points" if share < 0 else f"{100 * share:.1f} points"


def _some(names: Sequence[Hashable]) -> str:
    shown = ", ".join(one_line(str(name), 60) for name in names[:NAMED])
    return f"{shown} and {len(names) - NAMED:,} more" if len(names) > NAMED else shown
