"""How long a model will be there, and how long ago it was tested: dates, levels, and what several sources say of one model.

A source's newer word takes the place of its older one; among different sources the earliest date counts, and that they differ is
kept, to be shown. Days are counted, never asked for: *now* is an argument, in seconds since the epoch. Reads no file, asks nobody.
"""

from __future__ import annotations

import math
import re
from calendar import monthrange, timegm
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from promptreg.core.canonical import Json
from promptreg.core.catalogue import ModelSpec, Price
from promptreg.errors import UsageError

Level: TypeAlias = Literal["ok", "plan", "warning", "error", "past"]
Freshness: TypeAlias = Literal["fresh", "ageing", "stale"]
# api: the provider's own endpoint. page: the provider's page, read by a person. registry: `retires` in promptreg.yaml.
Source: TypeAlias = Literal["api", "page", "model-eol", "litellm", "registry"]
# exact: that day. earliest: not before that day. none: the source says that no end is scheduled. silent: it speaks of prices only.
Precision: TypeAlias = Literal["exact", "earliest", "none", "silent"]

ORDER: tuple[Source, ...] = ("api", "page", "model-eol", "litellm", "registry")  # whose replacement, price and name come first
DAY_S = 86400
# Days to shutdown (METHODS E2): more than 180 are no news, from 180 on it is planned, from 90 on it warns, below 30 it is an error.
PLAN_DAYS, WARNING_DAYS, ERROR_DAYS = 180, 90, 30
FRESH_DAYS, AGEING_DAYS = 30, 90  # days since the last PASS (METHODS E2)
MOVING = 0.5  # of the allowed age, for an alias that its provider may move
# Rot risk (METHODS E2): half a FAIL in ten months is what is believed of a prompt with no history.
PRIOR_FAILS, PRIOR_MONTHS = 0.5, 10.0

MAKERS = frozenset({"openai", "anthropic", "google"})  # whose names mean the same model wherever a proxy offers them
HOSTS: Mapping[str, str] = {
    "openai.com": "openai",
    "anthropic.com": "anthropic",
    "azure.com": "azure",
    "generativelanguage.googleapis.com": "google",
    "aiplatform.googleapis.com": "vertex",
    "amazonaws.com": "aws-bedrock",
}
_AT_HOME: Mapping[str, str] = {"openai": "openai", "anthropic": "anthropic"}  # whom a provider asks when no base_url is given
_FIRMNESS: Mapping[Precision, int] = {"silent": 0, "none": 1, "earliest": 2, "exact": 3}
_HERE = frozenset({"local", "recorded", "echo"})  # nobody can shut these down
_DATE = re.compile(r"(20\d\d|21\d\d)-(\d\d)-(\d\d)", re.ASCII)
# A dated name is one model for ever: gpt-4o-2024-08-06, claude-sonnet-4@20250514, gpt-4-0613, gemini-2.5-flash-preview-05-20.
_DATED = re.compile(r"[-@](?:20\d\d-?[01]\d-?[0-3]\d|\d\d-?\d\d)(?:-preview)?(?:-v\d+(?::\d+)*)?$", re.ASCII)
_REGION = re.compile(r"(?:us|eu|apac|global|us-gov|jp|au|ca|sa)\.")
_MAKER = re.compile(r"[a-z0-9-]+\.(?=[a-z])")
_REVISION = re.compile(r"(?<=\d{8})-v\d+(?::\d+)+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What one source says of one model, on one channel (openai, anthropic, google, azure, aws-bedrock, vertex …).

    `edition` tells which state of the source it was (a version, a day, a page), `fetched_at` the day it was read. `notice_days` is
    the shortest notice that the provider promises. `shipped`: it came with promptreg, nobody here has refreshed it.
    """

    channel: str
    model: str
    source: Source
    edition: str
    fetched_at: str
    date: str | None = None
    precision: Precision = "silent"
    replacement: str | None = None
    price: Price | None = None
    notice_days: int | None = None
    shipped: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """Two facts with one key are an older and a newer word of the same speaker."""
        speaker = "provider" if self.source in ("api", "page") else self.source
        return self.channel, plain_name(self.channel, self.model), speaker

    @property
    def name(self) -> str:
        """The source as reports name it."""
        if self.source == "registry":
            return "promptreg.yaml"
        named = {"api": f"{self.channel} API", "page": f"{self.channel} page"}.get(self.source, self.source)
        return f"{named} {self.edition}".rstrip() + (f" (shipped, read {self.fetched_at})" if self.shipped else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What is known of one model: all `facts`, the first in ORDER first, and what follows from them.

    `date` is the earliest that any source gives, None when none is published; `not_before` is then the end of the notice that the
    provider promises, counted from the day on which no end was scheduled. `disagree`: others give another day, or deny it.
    """

    facts: tuple[Fact, ...] = ()
    date: str | None = None
    precision: Precision = "silent"
    replacement: str | None = None
    price: Price | None = None
    not_before: str | None = None
    disagree: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """Who says the date that counts."""
        return tuple(fact.name for fact in self.facts if fact.date is not None and fact.date == self.date)

    @property
    def firm(self) -> str | None:
        """The earliest day that somebody calls the end, rather than a day before which nothing happens."""
        return min((fact.date for fact in self.facts if fact.date is not None and fact.precision == "exact"), default=None)

    def level(self, now: float) -> Level:
        """How near the end is. A day that is only the earliest possible, and over, warns: nobody said that it has happened."""
        found, firm = level(self.date, now), level(self.firm, now)
        if found not in ("error", "past"):
            return found
        return firm if firm in ("error", "past") else "warning"

    def days(self, now: float) -> int | None:
        return None if self.date is None else days_to(self.date, now)


# days -------------------------------------------------------------------------------------------------------------------------


def day_number(date: str) -> int:
    """Days from 1970-01-01 to *date*. UsageError for what is no day of this or the next century."""
    found = _DATE.fullmatch(date)
    if found is None:
        raise UsageError(f"{date[:40]!r} is not a date like 2027-01-14")
    year, month, day = map(int, found.groups())
    if not (1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]):
        raise UsageError(f"{date!r} is no day of the calendar")
    return timegm((year, month, day, 0, 0, 0)) // DAY_S


def date_of(number: int) -> str:
    """The inverse of `day_number` (Howard Hinnant's civil_from_days, for years after 1970)."""
    era, of_era = divmod(number + 719468, 146097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    day_of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153  # months counted from March
    month = shifted + 3 if shifted < 10 else shifted - 9
    return f"{year_of_era + 400 * era + (month <= 2):04d}-{month:02d}-{day_of_year - (153 * shifted + 2) // 5 + 1:02d}"


def today(now: float) -> str:
    """The day, in UTC, in which *now* lies."""
    return date_of(math.floor(now / DAY_S))


def days_to(date: str, now: float) -> int:
    """Whole days from the day of *now* to *date*, both in UTC; negative when it is over."""
    return day_number(date) - math.floor(now / DAY_S)


def level(date: str | None, now: float) -> Level:
    """How near the end is (METHODS E2). On the day itself the model counts as gone: calls may fail from its first second."""
    if date is None:
        return "ok"
    days = days_to(date, now)
    if days <= 0:
        return "past"
    if days < ERROR_DAYS:
        return "error"
    if days <= WARNING_DAYS:
        return "warning"
    return "plan" if days <= PLAN_DAYS else "ok"


# how old a measurement is -----------------------------------------------------------------------------------------------------


def freshness(last_tested: float | None, now: float, pinned: bool) -> Freshness:
    """How old the last PASS is (METHODS E2), both in seconds since the epoch.

    *last_tested* is of the very behaviour, model and judge that are asked for now: None (never, or another one) is stale. What is
    not *pinned* may change behind its name, and is granted half the age.
    """
    if last_tested is None:
        return "stale"
    age, share = (now - last_tested) / DAY_S, 1.0 if pinned else MOVING
    if age <= FRESH_DAYS * share:
        return "fresh"
    return "ageing" if age <= AGEING_DAYS * share else "stale"


def risk(fails: int, months: float, age: float) -> float:
    """The chance that a prompt has rotted *age* months after its last test: 1 - exp(-h·age), a heuristic (METHODS E2).

    The hazard h, per month, is that of its own history: *fails* FAILs while it was unchanged, in *months* of re-testing.
    """
    hazard = (max(fails, 0) + PRIOR_FAILS) / (max(months, 0.0) + PRIOR_MONTHS)
    return -math.expm1(-hazard * max(age, 0.0))


def is_pinned(spec: ModelSpec) -> bool:
    """Whether the name means one model for ever: a dated snapshot, or weights and recordings that lie here."""
    return spec.provider in _HERE or _DATED.search(spec.model) is not None


# which facts are of a model ---------------------------------------------------------------------------------------------------


def channel(spec: ModelSpec) -> str | None:
    """Who would shut *spec* down: None for what lies here, a host's own name for one that nobody knows (a proxy, a server of
    one's own), "" where not even that is said."""
    if spec.provider in _HERE:
        return None
    base_url = spec.options.get("base_url")
    if not isinstance(base_url, str):
        return _AT_HOME.get(spec.provider, "")
    try:
        parts = urlsplit(base_url.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return ""
    known = next((name for end, name in HOSTS.items() if host == end or host.endswith(f".{end}")), None)
    return known or (f"{host}:{port}" if port else host)


def plain_name(channel: str, model: str) -> str:
    """*model* without what differs between two spellings of one name on the same channel."""
    if channel == "aws-bedrock":
        return _REVISION.sub("", _MAKER.sub("", _REGION.sub("", model, count=1), count=1))
    if channel == "vertex":
        return model.removeprefix("publishers/").rpartition("/")[2].replace("@", "-")
    if channel == "google":
        return model.removeprefix("models/")
    return ":".join(model.split(":")[:2]) if model.startswith("ft:") else model  # a fine-tune ends with its base


def speaks_of(fact: Fact, spec: ModelSpec) -> bool:
    """Whether *fact* is of the model that *spec* asks for. Other hosts' clocks are others' (Azure keeps what OpenAI shuts down)."""
    where = channel(spec)
    if where is None or not (fact.channel == where or (where not in HOSTS.values() and fact.channel in MAKERS)):
        return False
    return plain_name(fact.channel, fact.model) == plain_name(fact.channel, spec.model)


def newest(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """*facts* without those that the same speaker has replaced; of two from one day the earlier end stays."""
    kept: dict[tuple[str, str, str], Fact] = {}
    for fact in facts:
        old = kept.get(fact.key)
        if old is None or _weight(fact) > _weight(old):
            kept[fact.key] = fact
    return tuple(kept.values())


def _weight(fact: Fact) -> tuple[str, bool, bool, int, int]:
    """Larger counts more: newer, then refreshed here, then with an end, then the earlier end, then the firmer word."""
    end = -day_number(fact.date) if fact.date is not None else 0
    return fact.fetched_at, not fact.shipped, fact.date is not None, end, _FIRMNESS[fact.precision]


def life(spec: ModelSpec, facts: Iterable[Fact]) -> Life:
    """What *facts*, and `retires` in promptreg.yaml, say of *spec*."""
    found = [fact for fact in facts if speaks_of(fact, spec)]
    if spec.retires is not None:
        own = Fact(channel=channel(spec) or "", model=spec.model, source="registry", edition="", fetched_at="", date=spec.retires)
        found.append(replace(own, precision="exact"))
    said = tuple(sorted(newest(found), key=lambda fact: (ORDER.index(fact.source), fact.shipped, fact.channel)))
    dates = {fact.date for fact in said if fact.date is not None}
    date = min(dates, default=None)
    exact = any(fact.date == date and fact.precision == "exact" for fact in said)
    none = any(fact.precision == "none" for fact in said)
    return Life(
        facts=said,
        date=date,
        precision=("exact" if exact else "earliest") if date is not None else "none" if none else "silent",
        replacement=next((fact.replacement for fact in said if fact.replacement is not None), None),
        price=next((fact.price for fact in said if fact.price is not None), None),
        not_before=_not_before(said) if date is None else None,
        disagree=len(dates) > 1 or _denied(said, date),
    )


def _denied(facts: Iterable[Fact], date: str | None) -> bool:
    """Whether somebody says that no end is scheduled who could have known *date*: an older word only did not know it yet."""
    since = min((fact.fetched_at for fact in facts if fact.date is not None and fact.date == date), default=None)
    return since is not None and any(fact.precision == "none" and fact.fetched_at >= since for fact in facts)


def _not_before(facts: Iterable[Fact]) -> str | None:
    ends = [day_number(fact.fetched_at) + fact.notice_days for fact in facts if fact.notice_days and fact.precision == "none"]
    return date_of(max(ends)) if ends else None


# words and JSON ---------------------------------------------------------------------------------------------------------------


def in_words(found: Life, now: float) -> str:
    """The end of life as a table shows it: `2027-01-14 (55 days)`, `not before 2026-12-01`, or why there is no date."""
    if found.date is None:
        notice = f", not before {found.not_before}" if found.not_before and found.not_before > today(now) else ""
        return ("none scheduled" if found.precision == "none" else "no date published") + notice
    days = days_to(found.date, now)
    when = "over" if days < 0 else "today" if days == 0 else f"{days:,} day{'' if days == 1 else 's'}"
    differ = ", sources differ" if found.disagree else ""
    return f"{'not before ' if found.precision == 'earliest' else ''}{found.date} ({when}{differ})"


def as_json(found: Life, now: float) -> dict[str, Json]:
    """`end_of_life` of one model in `promptreg/models/1`."""
    return {
        "date": found.date,
        "precision": found.precision,
        "level": found.level(now),
        "days": found.days(now),
        "not_before": found.not_before,
        "replacement": found.replacement,
        "disagree": found.disagree,
        "sources": [fact_json(fact) for fact in found.facts],
    }


def fact_json(fact: Fact) -> dict[str, Json]:
    """One fact as `--json` shows it."""
    return {
        "source": fact.source,
        "edition": fact.edition,
        "fetched_at": fact.fetched_at or None,
        "shipped": fact.shipped,
        "channel": fact.channel,
        "model": fact.model,
        "date": fact.date,
        "precision": fact.precision,
        "replacement": fact.replacement,
        "price": price_json(fact.price),
    }


def price_json(price: Price | None) -> Json:
    return None if price is None else {"input": price.input, "output": price.output}
