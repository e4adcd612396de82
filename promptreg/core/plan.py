"""Wanted calls, less known calls = missing calls; and what those would cost.

*Plan* in the sentence. The calls of the first stage are counted exactly, each distinct one once. Judges ask about answers that do
not exist yet, so theirs are an upper bound, and the plan says which is which. Tokens are estimates, never a bill. A plan holds
counts and one small number for each distinct call, so that a million calls fit. It does not know where known answers are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeAlias

from promptreg.core.canonical import Json, canonical
from promptreg.core.catalogue import Price, estimate_tokens
from promptreg.core.run import Call, Fingerprint
from promptreg.errors import BudgetExceeded

ASSUMED_OUTPUT_TOKENS = 256  # for a call without max_tokens; the plan counts such calls as open-ended
MESSAGE_TOKENS = 4  # what a chat template adds to each message, roughly
LOOKED_UP_TOGETHER = 500

Known: TypeAlias = Callable[[Sequence[Call]], Collection[Fingerprint]]  # which of these calls have an answer already


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one command may spend; None means without limit."""

    usd: float | None = None
    calls: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A call that a metric will make of *model* (an alias) once it has an answer: its size is a guess, its key unknown."""

    model: str
    input_tokens: int
    output_tokens: int = ASSUMED_OUTPUT_TOKENS
    price: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A first-stage call to *model* (an alias), and what its answer may be asked about."""

    model: str
    call: Call
    price: Price | None = None
    judgements: tuple[Judgement, ...] = ()


@dataclass(frozen=True, slots=True)
class Tokens:
    """An estimate for one call. `open_ended`: the prompt sets no max_tokens, so the output is assumed."""

    input: int
    output: int
    open_ended: bool = False

    def usd(self, price: Price | None) -> float:
        return 0.0 if price is None else price.usd(self.input, self.output)


def estimate(call: Call) -> Tokens:
    """Tokens of one call: its text at four characters a token, its output at max_tokens."""
    count = sum(estimate_tokens(message.text) + MESSAGE_TOKENS for message in call.messages)
    if call.tools:
        count += estimate_tokens(canonical(list(call.tools)).decode())
    limit = call.params.max_tokens
    return Tokens(count, ASSUMED_OUTPUT_TOKENS if limit is None else limit, limit is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One model's part. `wanted`, `known`, `missing` count distinct first-stage calls and are exact.

    `judgements` bounds the calls that judge the missing answers; `rejudgements` those that judge known ones, most of which are
    themselves known. Tokens and dollars cover `missing` and `judgements`.
    """

    model: str
    wanted: int = 0
    known: int = 0
    missing: int = 0
    judgements: int = 0
    rejudgements: int = 0
    open_ended: int = 0  # missing calls without max_tokens: their output is assumed, not bounded
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0  # None: the catalogue has no price

    @property
    def to_make(self) -> int:
        """Calls this run may have to make, re-judging apart."""
        return self.missing + self.judgements

    def as_json(self) -> dict[str, Json]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One line for each model, in the order they were first wanted."""

    lines: tuple[Line, ...] = field(default=())

    @property
    def missing(self) -> int:
        """First-stage calls that nobody has made: exact."""
        return sum(line.missing for line in self.lines)

    @property
    def to_make(self) -> int:
        """With the judges' calls about their answers: an upper bound."""
        return sum(line.to_make for line in self.lines)

    @property
    def exact(self) -> bool:
        """Whether the number of calls is exact, because no judge is asked."""
        return not any(line.judgements or line.rejudgements for line in self.lines)

    @property
    def usd(self) -> float:
        """The priced models' part."""
        return sum(line.usd or 0.0 for line in self.lines)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Models with calls to make and no price in the catalogue."""
        return tuple(line.model for line in self.lines if line.usd is None and line.to_make)

    def as_json(self) -> dict[str, Json]:
        """What `--dry-run --json` prints, beside the schema."""
        return {
            "lines": [line.as_json() for line in self.lines],
            "missing": self.missing,
            "to_make": self.to_make,
            "exact": self.exact,
            "usd": self.usd,
            "unpriced": list(self.unpriced),
        }


def plan(wanted: Iterable[Wanted], known: Known) -> Plan:
    """Counts what *wanted* needs and *known* lacks, streaming."""
    lines: dict[str, Line] = {}
    seen: set[int] = set()
    for chunk in _chunks(wanted):
        found = known([each.call for each in chunk])
        for each in chunk:
            missing = each.call.fingerprint not in found
            name = _short(each.call)
            if name not in seen:
                seen.add(name)
                _count(lines, each, missing=missing)
            for judgement in each.judgements:
                _count_judgement(lines, judgement, fresh=missing)
    return Plan(lines=tuple(lines.values()))


def refuse(plan: Plan, budget: Budget) -> None:
    """Raises BudgetExceeded, with figures, when the plan needs more than the budget allows."""
    about = "" if plan.exact else "up to "
    if budget.calls is not None and plan.to_make > budget.calls:
        raise BudgetExceeded(
            f"the run needs {about}{plan.to_make:,} calls, the budget allows {budget.calls:,}", hint=_remedy("calls", plan.to_make)
        )
    if budget.usd is not None and plan.usd > budget.usd:
        enough = f"{plan.usd + 0.01:.2f}"
        raise BudgetExceeded(
            f"the run may cost {_money(plan.usd)}, the budget allows {_money(budget.usd)}", hint=_remedy("usd", enough)
        )


def _money(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= 1 else "$" + (f"{usd:.8f}".rstrip("0").rstrip(".") or "0")


def _remedy(key: str, enough: object) -> str:
    return f"set `budget: {{{key}: {enough}}}` in promptreg.yaml, or choose fewer suites or models, or a smaller `sample`"


def _chunks(wanted: Iterable[Wanted]) -> Iterator[list[Wanted]]:
    source = iter(wanted)
    while chunk := list(islice(source, LOOKED_UP_TOGETHER)):
        yield chunk


def _short(call: Call) -> int:
    """64 bits of the fingerprint: among a million calls two meet with a chance of 3 in 10⁸, and then a count is one too low."""
    return (int(call.key[-16:], 16) + call.slot * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF


def _count(lines: dict[str, Line], each: Wanted, *, missing: bool) -> None:
    line = lines.get(each.model) or Line(model=each.model)
    if not missing:
        lines[each.model] = replace(line, wanted=line.wanted + 1, known=line.known + 1)
        return
    tokens = estimate(each.call)
    lines[each.model] = replace(
        _grown(line, tokens, each.price),
        wanted=line.wanted + 1,
        missing=line.missing + 1,
        open_ended=line.open_ended + tokens.open_ended,
    )


def _count_judgement(lines: dict[str, Line], judgement: Judgement, *, fresh: bool) -> None:
    line = lines.get(judgement.model) or Line(model=judgement.model)
    if not fresh:
        lines[judgement.model] = replace(line, rejudgements=line.rejudgements + 1)
        return
    tokens = Tokens(judgement.input_tokens, judgement.output_tokens)
    lines[judgement.model] = replace(_grown(line, tokens, judgement.price), judgements=line.judgements + 1)


def _grown(line: Line, tokens: Tokens, price: Price | None) -> Line:
    usd = None if price is None or line.usd is None else line.usd + tokens.usd(price)
    return replace(line, input_tokens=line.input_tokens + tokens.input, output_tokens=line.output_tokens + tokens.output, usd=usd)
