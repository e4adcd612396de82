"""One comment on a pull request: whose it is, where it goes, and a report's Markdown made harmless.

A report may come from a stranger's job. `harmless` writes it anew in a form that every Markdown reader takes for the same thing:
code in fences that stand alone, other code in `<code>` unless nothing could be read from it, a few tags without attributes,
everything else plain text. So nobody is mentioned, nothing is linked or loaded, no issue is referred to, and no line is a command
to a forge's bots.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from promptreg.core.excerpt import visible
from promptreg.errors import UsageError

MARKER = "<!-- promptreg check -->"  # first line of the report that is to be a comment, and of the comment
ISSUE_MARKER = "<!-- promptreg rot -->"  # first line of the report that is to be an issue, and of the issue
ISSUE_TITLE = "Prompts that rotted"
LONGEST_FILE = 1 << 20  # bytes; a report that check writes stays below a forge's own limit, which is smaller
CUT = "… the rest is in the job's artefacts: a comment holds no more."
DOUBT = "This report was written by the pull request's own job, which the pull request can change. It is no verdict."

# needless: nothing is open, and nothing is to be told
Deed: TypeAlias = Literal["posted", "updated", "unchanged", "outdated", "withheld", "closed", "needless"]

_TAGS = "details|summary|code|sub|sup|b|i|em|strong|del|ins|br"
_TOKEN = re.compile(rf"(?P<tag></?(?:{_TAGS})>|<details open>)|(?<!`)(?P<ticks>`+)(?!`)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)")
_PREFIX = re.compile(r" {0,3}(?:#{1,6} +|[-*] +)?")
_OPENING = re.compile(r"(`{3,})[ \t]*([A-Za-z0-9]*)[ \t]*")
_LANGUAGES = frozenset(("diff", "text", "json", "console"))  # others draw: mermaid, math, geojson
_IN_CODE = re.compile(r"[&<>\"'`@#*_\[\]()!\\|~$:^{}=]|(?<=www)\.")
_STILL = re.compile(r"(?!.*(?i:www\.|gh-\d))[\w ./,;()*+={}'\"%-]*[\w./,;()*+={}'\"%-]")  # code in which no reader finds more
_IN_TEXT = re.compile(r"://|(?i:www)\.|(?i:gh)-(?=\d)|(?:^|(?<=\s))/(?=\w)|[&<>`\\\[\]~$|]|[@#]")
_WRAPPED = {"://": ":<code>//</code>", "@": "<code>@</code>", "#": "<code>#</code>", "/": "<code>/</code>"}
_BREAK = "\u200b"  # no reader sees it, and no bot reads a command or a name across it
_IN_FENCE = re.compile(r"(?<![\w.])@(?=\w)|^[ \t]*/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which pull request (or merge request) of *repository* gets the comment.

    Where the event does not name its `number`, it is the open one from `head_branch` of `head_repository`. With `head_sha` the pull
    request must still be at that commit: a report of another one is outdated.
    """

    repository: str
    number: int | None = None
    head_repository: str = ""
    head_branch: str = ""
    head_sha: str | None = None
    resolved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What became of it: `url` of the comment or issue. Empty where none was written: an outdated report, a job that may not write,
    or an issue that nobody needs.
    """

    deed: Deed
    url: str = ""
    number: int = 0


def comment(report: str, *, doubtful: bool = False) -> str:
    """The comment that *report*, a file of `check --report comment.md`, becomes. With *doubtful* it says that anybody wrote it.

    UsageError for a text that is no such report: its first line must be the marker.
    """
    body = _body(report, MARKER, "comment", "promptreg check --report comment.md writes one")
    return f"{MARKER}\n\n> {DOUBT}\n\n{body}" if doubtful else f"{MARKER}\n{body}"


def issue(report: str) -> str:
    """The issue that *report*, a file of `rot --report rot.md`, becomes. UsageError for a text that is no such report."""
    return f"{ISSUE_MARKER}\n{_body(report, ISSUE_MARKER, 'issue', 'promptreg rot --report rot.md writes one')}"


def _body(report: str, marker: str, what: str, hint: str) -> str:
    first, _, rest = report.lstrip("\ufeff").partition("\n")
    if first.rstrip("\r") != marker:
        raise UsageError(f"this is no report for a{'n' * (what == 'issue')} {what}: its first line is not {marker}", hint=hint)
    return harmless(rest)


def harmless(text: str) -> str:
    """*text* as Markdown in which only headings, lists, tables, code, emphasis and folding mean something."""
    out: list[str] = []
    fence = ""
    for line in visible(text).split("\n"):
        if fence:
            closing = re.fullmatch(r" {0,3}(`+)[ \t]*", line)
            if closing and len(closing[1]) >= len(fence):
                out += [fence, ""]
                fence = ""
            else:
                out.append(_IN_FENCE.sub(lambda found: found[0] + _BREAK if found[0] == "@" else _BREAK + found[0], line))
        elif opening := _OPENING.fullmatch(line):
            fence = opening[1]
            out += ["", fence + (opening[2] if opening[2] in _LANGUAGES else "")]
        else:
            out.append(_prose(line))
    if fence:
        out.append(fence)
    return "\n".join(out) + _closing(out)


def fitted(text: str, limit: int) -> str:
    """*text*, which `comment` made, within *limit* characters: cut after a line, with fences and folds closed."""
    if len(text) <= limit:
        return text
    kept: list[str] = []
    room = limit - len(CUT) - 20  # for blank lines; whatever opens takes the room of what closes it
    for line in text.split("\n"):
        folds = len("</details>\n\n") * line.count("<details")
        room -= len(line) + 1 + (folds or (len(line) if line.startswith("```") else 0))
        if room < 0:
            break
        kept.append(line)
    fence = ""
    for line in kept:
        if fence:
            fence = "" if line == fence else fence
        elif opening := _OPENING.fullmatch(line):
            fence = opening[1]
    return "\n".join([*kept, *([fence] if fence else [])]) + _closing(kept) + f"\n\n{CUT}\n"


def _closing(lines: list[str]) -> str:
    """What ends the folds that *lines* leave open."""
    text, opened = "\n".join(lines), 0
    for tag in re.finditer(r"<(/?)details(?: open)?>", _without_fences(text)):
        opened = max(0, opened - 1) if tag[1] else opened + 1
    return "\n\n" + "\n\n".join(["</details>"] * opened) if opened else ""


def _without_fences(text: str) -> str:
    return re.sub(r"^(`{3,})\w*\n.*?(?:^\1$|\Z)", "", text, flags=re.DOTALL | re.MULTILINE)


def _prose(line: str) -> str:
    """One line outside of fences."""
    found = _PREFIX.match(line)
    prefix = found[0] if found else ""
    rest, out, last = line[len(prefix) :], [prefix], 0
    for token in _TOKEN.finditer(rest):
        out.append(_plain(rest[last : token.start()]))
        out.append(token["tag"] or _code(token["code"].strip()))
        last = token.end()
    return "".join([*out, _plain(rest[last:])])


def _code(text: str) -> str:
    """Code on one line, which stays code where a reader takes the line for HTML."""
    return f"`{text}`" if _STILL.fullmatch(text) else f"<code>{_IN_CODE.sub(_entity, text)}</code>"


def _plain(text: str) -> str:
    """Text with what it says in entities, and nothing that means anything but the bars of a table and emphasis."""
    cells = (" ".join(visible(html.unescape(cell)).split("\n")) for cell in text.split("|"))
    return "|".join(_IN_TEXT.sub(_quiet, cell) for cell in cells)


def _quiet(found: re.Match[str]) -> str:
    text = found[0]
    if len(text) > 1 and text != "://":  # `www.` and `GH-`
        return f"{text[:-1]}<code>{text[-1]}</code>"
    return _WRAPPED.get(text) or _entity(found)


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};"
