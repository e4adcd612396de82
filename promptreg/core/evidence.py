"""What a release stands on: the digests of its prompt, what was measured of it, and by which promptreg; and the text of a tag.

A tag's message is text for people, then a line `---`, then a block for machines (`core.releases.block` finds it). Knows no YAML.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from promptreg.core.canonical import Digest
from promptreg.core.semver import Version
from promptreg.errors import UsageError

EVIDENCE = "promptreg/evidence/1"
EVENT = "promptreg/event/1"
LONGEST = 10_000  # characters of what somebody says in a tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one suite measured on one model, and what its gate said.

    Rates, drops and margins are fractions; *lower* and *upper* are the two-sided 95 % limits of *score*, *drop_lower* and
    *drop_upper* the one-sided ones of the *drop* since *against*, a version. Where nothing was compared these are None, and *floor*
    says what the score had to reach. *records* are the ids of the files on the runs branch that hold the answers.
    """

    suite: str
    model: str
    suite_digest: Digest
    dataset_digest: Digest | None
    n: int
    score: float | None
    lower: float | None
    upper: float | None
    reported_models: tuple[str, ...] = ()
    verdict: str = ""
    on: Literal["passed", "score"] = "passed"
    checks_digest: Digest | None = None  # of all that grades, judges included
    policy_digest: Digest | None = None
    identity: Digest | None = None  # of the model
    against: Version | None = None
    drop: float | None = None
    drop_lower: float | None = None
    drop_upper: float | None = None
    margin: float | None = None
    mode: str = ""
    floor: float | None = None
    records: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What stands in a release's tag.

    *verdict*: `PASS`, every gate passed against the release before; `unchanged`, no gate had anything to judge, because it behaves
    as the release before; `floor`, a first release that holds its floors; `accepted`, worse, and somebody *accepted* that with a
    reason; `none`, nobody judged, and *no_gate* says why that was fine.
    """

    name: str
    version: Version
    previous: Version | None
    change: str  # none, patch, minor, major: the floor that was computed; first for a first release
    behaviour: Digest
    source: Digest
    promptreg: str
    verdict: str = "none"
    accepted: str = ""
    no_gate: str = ""
    measured: tuple[Measurement, ...] = ()


def said(text: str, what: str) -> str:
    """*text* as it may stand in a tag, for *what* (--message). UsageError for nothing, too much, and what would forge or hide."""
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise UsageError(f"{what} is empty", hint="say it in a few words")
    if len(text) > LONGEST:
        raise UsageError(f"{what} has {len(text):,} characters; at most {LONGEST:,} fit", hint="tell the rest elsewhere")
    odd = next((character for character in text if not (character.isprintable() or character in "\n\t\u200d")), None)
    if odd is not None:
        raise UsageError(f"{what} holds the character {odd!a}", hint="use printable text")
    if any(line == "---" or line.startswith("-----BEGIN ") for line in map(str.strip, text.split("\n"))):
        raise UsageError(f"{what} holds a line that reads like the end of a message", hint="no '---' and no '-----BEGIN' on a line")
    return text


def one_line(text: str, what: str) -> str:
    """`said`, without line ends."""
    text = said(text, what)
    if "\n" in text or "\t" in text:
        raise UsageError(f"{what} has several lines", hint="say it on one line; --message may have more")
    return text


def message(text: str, machine: str) -> str:
    """The whole message of a tag."""
    return f"{text}\n\n---\n{machine}"
