"""Metric `number`: the number that the answer gives."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from typing import ClassVar, Literal

from promptreg.core.canonical import Json
from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.metrics.patterns import compiled
from promptreg.metrics.wording import EXPECTED, binary, quoted, text_of

CURRENCY = "$€£¥"


@dataclass(frozen=True, slots=True)
class _Notation:
    """How numbers are written around one decimal sign.

    A number is never the middle of a word (`H2O`) or of a version (`1.2.3` holds 1.2); a hyphen after a digit or a word is
    no minus (`10-20` holds 10 and 20), nor is one that a space follows (a list's dash).
    """

    decimal: str
    group: str
    pattern: re.Pattern[str]

    @classmethod
    def around(cls, decimal: str, thousands: str) -> _Notation:
        point, group = re.escape(decimal), f"[{thousands}'’_\u00a0\u2009\u202f]"
        whole = rf"(?:\d{{1,3}}(?:{group}\d{{3}})+(?!\d)|\d+)"
        pattern = (
            rf"(?:(?<![^\W_])(?<![)\]%])(?P<sign>[-+−])[{CURRENCY}]?)?(?<![^\W_])(?<!\d{point})"
            rf"(?P<digits>(?:{whole}(?:{point}\d+)?|{point}\d+)(?:[eE][-+]?\d+)?)(?:\s?(?P<percent>%))?"
        )
        return cls(decimal, group, re.compile(pattern))

    def whole(self, text: str, percent: bool) -> Decimal | None:
        """The number that *text* is, or None."""
        found = self.pattern.fullmatch(text.strip().strip(CURRENCY))
        return found and self._value(found, percent)

    def last(self, text: str, percent: bool) -> tuple[Decimal, str] | None:
        """The last number in *text* and how it is written there, or None."""
        found = None
        for found in self.pattern.finditer(text):  # noqa: B007  the last one counts
            pass
        number = found and self._value(found, percent)
        return None if found is None or number is None else (number, found.group())

    def _value(self, found: re.Match[str], percent: bool) -> Decimal | None:
        sign = "-" if found["sign"] in ("-", "−") else ""
        try:
            number = Decimal(sign + re.sub(self.group, "", found["digits"]).replace(self.decimal, "."))
            return number.scaleb(-2) if percent and found["percent"] else number
        except DecimalException:  # beyond a million digits: no number anybody expects
            return None


NOTATIONS = {".": _Notation.around(".", ","), ",": _Notation.around(",", ".")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """Is the last number in the answer the expected one? `1,234.50`, `-3`, `−3`, `.5`, `2e-3`, `$7` and `45%` are read.

    expected: a number, or a text that is one.
    tolerance: largest absolute difference.
    relative: largest difference as a share of the expected number; the larger of the two allowances holds.
    pattern: a regular expression; the number is looked for in group 1 of its last match only.
    decimal: the decimal sign; the other of `.` and `,` then separates thousands.
    percent: read `45%` as 0.45, in the answer and in `expected`; else the sign is overlooked.
    """

    name: ClassVar[str] = "number"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expected"
    cached: ClassVar[bool] = False

    expected: Json = EXPECTED
    tolerance: float = 0.0
    relative: float = 0.0
    pattern: str | None = None
    decimal: Literal[".", ","] = "."
    percent: bool = False

    def __post_init__(self) -> None:
        for option in ("tolerance", "relative"):
            if not (math.isfinite(getattr(self, option)) and getattr(self, option) >= 0):
                raise ValueError(f"'{option}' must be a number from 0")
        if self.decimal not in NOTATIONS:
            raise ValueError("'decimal' must be '.' or ','")
        if self.pattern is not None:
            compiled(self.pattern)
        self._wanted()

    def score(self, answer: Answer) -> Score:
        text: str | None = answer.text
        if self.pattern is not None:
            text = compiled(self.pattern).last_capture(answer.text)
        if text is None:
            return Score(value=0.0, reason=f"{quoted(self.pattern or '')} does not match {quoted(answer.text)}", read="")
        found = NOTATIONS[self.decimal].last(text, self.percent)
        if found is None:
            return Score(value=0.0, reason=f"found no number in {quoted(text)}", read="")
        number, written = found
        return binary(
            self._near(number), lambda: f"expected {quoted(text_of(self.expected))}, got {quoted(written)}", _one_spelling(number)
        )

    def _near(self, found: Decimal) -> bool:
        wanted = self._wanted()
        try:
            allowed = max(Decimal(repr(self.tolerance)), Decimal(repr(self.relative)) * abs(wanted))
            return found == wanted or (allowed > 0 and abs(found - wanted) <= allowed)
        except DecimalException:
            return False

    def _wanted(self) -> Decimal:
        if isinstance(self.expected, (int, float)) and not isinstance(self.expected, bool) and math.isfinite(self.expected):
            return Decimal(repr(self.expected))
        text = text_of(self.expected)
        number = NOTATIONS[self.decimal].whole(text, self.percent)
        if number is None:
            raise ValueError(f"expected {quoted(text)} is not a number")
        return number


def _one_spelling(number: Decimal) -> str:
    """*number* so that 1.50 and 1.5 are spelt alike."""
    try:
        return str(number.normalize())
    except DecimalException:  # an exponent beyond what can be computed with
        return str(number)
