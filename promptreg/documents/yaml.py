"""YAML text → plain values with their places: the house's door to PyYAML, of which only the event stream is used.

What is read is a careful part of YAML 1.2: mappings, lists and scalars of the core schema (null, true, false, numbers, text).
Whatever makes one text mean two things is refused with its place: aliases and anchors (bombs), tags, merge keys, duplicate
keys, several documents, and sizes without bound. Knows nothing of prompts and suites.

A place is named by a dotted key: `inputs.tone`, `checks[0].pattern`; a key that holds a dot, bracket or quote itself is
written `models["gpt-4.1"]`.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from promptreg.core.canonical import Json
from promptreg.errors import DocumentError, Where

MAX_BYTES = 1 << 20  # a prompt or suite of a megabyte is a mistake or an attack
MAX_DEPTH = 50  # deeper than any honest document; libyaml's own loader crashes at some 100,000
MAX_NODES = 100_000  # bounds the memory of one document (for a list of rows: of one row)
MAX_NUMBER = 64  # characters; longer runs of digits are text (an int of unbounded length costs quadratic time)

# What YAML 1.2 calls unprintable, and the three line breaks of YAML 1.1 and 1.2 that editors do not count as lines.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_LINE = re.compile("\r\n|\r|\n")
_CHILD = re.compile(r'\["(?:[^"\\]|\\.)*"\]|\[[0-9]+\]|[^.\[]+')
_SPECIAL = re.compile(r'[.\[\]"]')

_WORDS: Mapping[str, None | bool] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One value and where its parts stand.

    `marks` maps a dotted key to (line, column), of the key in a mapping or of the item in a list. `written` holds the text of
    every scalar that YAML reads as something else than text. `starts` holds the line on which the text of a block begins.
    """

    value: Json
    path: str
    marks: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=dict)
    starts: Mapping[str, int] = field(default_factory=dict)

    def place(self, key: str) -> Where:
        """Where *key* stands, or the nearest key around it that does."""
        known = key
        while known and known not in self.marks:
            known = parent(known)
        line, column = self.marks.get(known, (0, 0))
        return Where(self.path, line, column, key)

    def text_place(self, key: str) -> Where:
        """Where the first line of the text at *key* stands: for a block scalar, the line below its `|`."""
        place = self.place(key)
        return Where(place.path, self.starts[key], 0, key) if key in self.starts else place


def dotted(above: str, key: str | int) -> str:
    """The dotted key of *key* within *above*."""
    if isinstance(key, int):
        return f"{above}[{key}]"
    if not key or _SPECIAL.search(key):
        return f"{above}[{json.dumps(key)}]"
    return f"{above}.{key}" if above else key


def dotted_within(above: str, relative: str) -> str:
    """The whole of a dotted key that is *relative* to *above*; "" is *above* itself."""
    return above + relative if not relative or relative[0] == "[" or not above else f"{above}.{relative}"


def parent(key: str) -> str:
    """The dotted key around *key*, "" at the top."""
    if key.endswith('"]'):
        return key[: key.rfind('["')]
    return key[: max(key.rfind("."), key.rfind("["), 0)]


def below(table: Mapping[str, Any], above: str) -> dict[str, Any]:
    """The entries of a table of dotted keys that lie within *above*, with keys relative to it."""
    cut = len(above)
    inside = ((key, value) for key, value in table.items() if key[:cut] == above and key[cut : cut + 1] in (".", "["))
    return {key[cut:].removeprefix("."): value for key, value in inside}


def below_each(table: Mapping[str, Any], above: str) -> dict[str, dict[str, Any]]:
    """`below` for every child of *above* at once, in one pass; keyed by the child's dotted key."""
    groups: dict[str, dict[str, Any]] = {}
    for key, value in below(table, above).items():
        child = _CHILD.match(key)
        if child and child.end() < len(key):
            whole = above + child[0] if key[0] == "[" else f"{above}.{child[0]}"
            groups.setdefault(whole, {})[key[child.end() :].removeprefix(".")] = value
    return groups


def read_yaml(source: bytes, path: str) -> Document:
    """The one document in *source* (at most a megabyte). DocumentError with line and column for anything else."""
    if len(source) > MAX_BYTES:
        raise DocumentError(f"the file has {len(source):,} bytes; at most {MAX_BYTES:,} are read", where=Where(path), hint=_SPLIT)
    events = _Events(io.BytesIO(source), path)
    builder = _Builder(path)
    value: Json = None
    first = events.content()
    if first is not None:
        value = builder.node(events, first, "", 0)
        events.end()
    return builder.document(value)


def read_yaml_rows(file: BinaryIO, path: str) -> Iterator[Document]:
    """The items of the one list in *file*, each a Document whose keys are relative to it; memory is that of one item."""
    events = _Events(file, path)
    first = events.content()
    if first is None:
        return
    if not isinstance(first, SequenceStartEvent):
        raise DocumentError("expected a list of rows", where=_where(path, first), hint="begin each row with '- '")
    _refuse_marks_of_identity(first, path)
    while not isinstance(event := events.next(), SequenceEndEvent):
        builder = _Builder(path)
        builder.marks[""] = _position(event)
        yield builder.document(builder.node(events, event, "", 1))
    events.end()


def is_yaml_list(source: bytes) -> bool:
    """Whether *source*, the beginning of a YAML file, opens a list. Faulty text answers False."""
    try:
        return isinstance(_Events(io.BytesIO(source), "").content(), SequenceStartEvent)
    except DocumentError:
        return False


_SPLIT = "split it, or move the data to a .jsonl dataset"


class _Text:
    """A binary file as checked text: UTF-8 without controls, or a DocumentError at line and column."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self._file = file
        self._path = path
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._line = 1
        self._column = 1
        self._pending_return = False

    def read(self, size: int = 1 << 16) -> str:
        """Up to *size* characters, "" only at the end."""
        while True:
            data = self._file.read(max(size, 16))
            try:
                text = self._decoder.decode(data, not data)
            except UnicodeDecodeError as fault:
                self._advance(fault.object[: fault.start].decode(errors="replace"))
                self._refuse(f"byte 0x{fault.object[fault.start]:02x} is not UTF-8")
            if found := _FORBIDDEN.search(text):
                self._advance(text[: found.start()])
                self._refuse(f"the character U+{ord(found[0]):04X} may not stand in a YAML file")
            self._advance(text)
            if text or not data:
                return text

    def _advance(self, text: str) -> None:
        if self._pending_return and text.startswith("\n"):
            text = text[1:]
        breaks = _LINE.split(text)
        self._line += len(breaks) - 1
        self._column = len(breaks[-1]) + (1 if len(breaks) > 1 else self._column)
        self._pending_return = text.endswith("\r")

    def _refuse(self, message: str) -> None:
        place = Where(self._path, self._line, self._column)
        raise DocumentError(message, where=place, hint="save the file as UTF-8 text") from None


def _parser(stream: _Text) -> Any:
    try:
        from yaml.cyaml import CParser  # type: ignore[attr-defined]
    except ImportError:  # PyYAML built without libyaml: the same events, some 14 times slower
        return _PureParser(stream)
    return CParser(stream)


class _PureParser(yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
    def __init__(self, stream: _Text) -> None:
        yaml.reader.Reader.__init__(self, stream)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)


class _Events:
    """PyYAML's events, its faults as DocumentErrors."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.path = path
        try:
            self._parser = _parser(_Text(file, path))
        except yaml.YAMLError as fault:
            raise _fault(fault, path) from fault

    def next(self) -> Event:
        try:
            event: Event = self._parser.get_event()
        except yaml.YAMLError as fault:
            raise _fault(fault, self.path) from fault
        return event

    def content(self) -> Event | None:
        """The event that begins the document's value; None in an empty file."""
        while not isinstance(event := self.next(), StreamEndEvent):
            if isinstance(event, DocumentStartEvent):
                return self.next()
        return None

    def end(self) -> None:
        """Reads to the end; a second document is refused."""
        while not isinstance(event := self.next(), StreamEndEvent):
            if isinstance(event, DocumentStartEvent):
                raise DocumentError("a second document begins here", where=_where(self.path, event), hint="one document to a file")


class _Builder:
    """Builds one document; complaints that leave the rest readable (duplicate keys) are gathered."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.marks: dict[str, tuple[int, int]] = {}
        self.written: dict[str, str] = {}
        self.starts: dict[str, int] = {}
        self.complaints: list[DocumentError] = []
        self.nodes = 0

    def document(self, value: Json) -> Document:
        if self.complaints:
            first = self.complaints[0]
            raise DocumentError(first.message, where=first.where, hint=first.hint, more=tuple(self.complaints[1:]))
        return Document(value=value, path=self.path, marks=self.marks, written=self.written, starts=self.starts)

    def node(self, events: _Events, event: Event, key: str, depth: int) -> Json:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise DocumentError(f"more than {MAX_NODES:,} values in one document", where=_where(self.path, event), hint=_SPLIT)
        _refuse_marks_of_identity(event, self.path)
        if isinstance(event, ScalarEvent):
            return self._scalar(event, key)
        if depth >= MAX_DEPTH:
            raise DocumentError(f"nested deeper than {MAX_DEPTH} levels", where=_where(self.path, event))
        if isinstance(event, MappingStartEvent):
            return self._mapping(events, key, depth)
        return self._list(events, key, depth)

    def _scalar(self, event: ScalarEvent, key: str) -> Json:
        if event.style in ("|", ">"):
            self.starts[key] = _position(event)[0] + 1
        if not event.implicit[0]:  # quoted, or a block: always text
            return event.value
        value = _plain(event.value)
        if not isinstance(value, str):
            self.written[key] = event.value
        return value

    def _list(self, events: _Events, key: str, depth: int) -> Json:
        items: list[Json] = []
        while not isinstance(event := events.next(), SequenceEndEvent):
            place = f"{key}[{len(items)}]"
            self.marks[place] = _position(event)
            items.append(self.node(events, event, place, depth + 1))
        return items

    def _mapping(self, events: _Events, key: str, depth: int) -> Json:
        entries: dict[str, Json] = {}
        while not isinstance(event := events.next(), MappingEndEvent):
            name = self._key(event)
            place = dotted(key, name)
            mark = _position(event)
            if name in entries:
                line, column = self.marks[place]
                first = f"it stands first at line {line}, column {column}"
                self._complain(event, place, f"duplicate key '{name}'; {first}", "keep one of them")
            else:
                self.marks[place] = mark
            entries[name] = self.node(events, events.next(), place, depth + 1)
        return entries

    def _key(self, event: Event) -> str:
        _refuse_marks_of_identity(event, self.path)
        if not isinstance(event, ScalarEvent):
            raise DocumentError("a key must be text, not a list or a mapping", where=_where(self.path, event))
        if event.value == "<<" and event.implicit[0]:
            raise DocumentError("merge keys are refused", where=_where(self.path, event), hint="write the keys out")
        if not event.value:
            raise DocumentError("a key is missing before ':'", where=_where(self.path, event))
        return event.value

    def _complain(self, event: Event, key: str, message: str, hint: str) -> None:
        line, column = _position(event)
        self.complaints.append(DocumentError(message, where=Where(self.path, line, column, key), hint=hint))


def _refuse_marks_of_identity(event: Event, path: str) -> None:
    """Aliases, anchors and tags: what lets a small file be a large value, or a value be of a class."""
    if isinstance(event, AliasEvent):
        what, sign = "aliases (*name)", "*"
    elif isinstance(event, NodeEvent) and event.anchor is not None:
        what, sign = "anchors (&name)", "&"
    elif getattr(event, "tag", None) is not None:
        what, sign = "tags (!name)", "!"
    else:
        return
    raise DocumentError(f"{what} are refused", where=_where(path, event), hint=f"write the value out, or quote a leading '{sign}'")


def _plain(text: str) -> Json:
    """A plain scalar by YAML 1.2's core schema; infinities and NaN, which JSON lacks, stay text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789" or len(text) > MAX_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text


def _position(event: Event) -> tuple[int, int]:
    mark: Any = event.start_mark
    return mark.line + 1, mark.column + 1


def _where(path: str, event: Event) -> Where:
    return Where(path, *_position(event))


def _fault(fault: yaml.YAMLError, path: str) -> DocumentError:
    mark = getattr(fault, "problem_mark", None) or getattr(fault, "context_mark", None)
    place = Where(path, mark.line + 1, mark.column + 1) if mark else Where(path)
    problem = getattr(fault, "problem", None) or getattr(fault, "reason", None) or "cannot be read"
    context = getattr(fault, "context", None)
    message = f"not YAML: {problem}" + (f" ({context})" if context else "")
    return DocumentError(message, where=place, hint=_remedy(str(problem)))


def _remedy(problem: str) -> str:
    if "\\t" in problem or "cannot start any token" in problem:
        return "indent with spaces, and put text that begins with @ ` or % in quotes"
    if "mapping values are not allowed" in problem:
        return "put text that holds ': ' in quotes"
    return "check quotes, brackets and indentation around this place"
