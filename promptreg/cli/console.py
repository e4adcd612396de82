"""What a command may say, and where: results on stdout, everything about the work on stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from promptreg.errors import PromptregError, UsageError

if TYPE_CHECKING:
    from promptreg.core.canonical import Json

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Console:
    """One command's voice. With `json`, stdout carries one object and nothing else; `quiet` drops what is not a result."""

    json: bool = False
    quiet: bool = False
    colour: bool = False
    out: TextIO | None = None  # where results go; None: stdout

    def say(self, text: str = "") -> None:
        """A result for people."""
        if not self.json:
            emit(text, colour=self.colour, out=self.out)

    def note(self, text: str) -> None:
        """About the work: progress, hints, where a file went."""
        if not self.quiet:
            tell(text)

    def warn(self, text: str) -> None:
        """What must not go unseen, also when quiet."""
        tell(f"{click.style('warning:', fg='yellow', bold=True)} {quoted(text)}")

    def data(self, value: Json) -> None:
        """The one object of `--json`."""
        if self.json:
            emit(json_text(value), colour=False, out=self.out)

    @property
    def live(self) -> bool:
        """Whether a progress bar may be drawn."""
        return (
            not self.quiet
            and sys.stderr is not None
            and sys.stderr.isatty()
            and os.environ.get("TERM") != "dumb"
            and "CI" not in os.environ
        )


def output_options(command: Command) -> Command:
    """Adds --json, --quiet and --color and hands the command a Console as `console`."""

    def wrapped(*arguments: Any, as_json: bool, quiet: bool, color: str | None, **options: Any) -> Any:
        colour = {"always": True, "never": False}.get(color or "auto", _colour_wanted(sys.stdout))
        console = Console(json=as_json, quiet=quiet, colour=colour and not as_json, out=sys.stdout)
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what plugins print is no result
                return command(*arguments, console=console, **options)
        except SystemExit as fault:  # and what they say of the exit code is no exit code
            raise UsageError("a plugin ended the process (sys.exit)", hint="let it raise an exception instead") from fault

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout and nothing else."),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing about the work, only the result."),
        click.option("--color", type=click.Choice(["auto", "always", "never"]), help="Colours; NO_COLOR is respected."),
    ):
        decorate(wrapped)
    return wrapped  # type: ignore[return-value]


def _colour_wanted(stream: Any) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream is not None and stream.isatty())


def tell(text: str) -> None:
    """Onto stderr. One that cannot be written, like a log on a full disk, changes nothing of the work and its exit code."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True, color=_colour_wanted(sys.stderr))


def emit(text: str, *, colour: bool, end: str = "\n", out: TextIO | None = None) -> None:
    """Onto stdout. When its reader went away (`promptreg run | head`) the command goes on, and its exit code still counts."""
    try:
        click.echo(text + end, nl=False, color=colour, file=out)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), (out or sys.stdout).fileno())


def show_error(error: PromptregError, *, as_json: bool) -> None:
    """The one form in which errors are shown: what, where, what to do; on stderr, and as one object under --json."""
    complaints = (error, *error.more)
    if as_json:
        with contextlib.suppress(OSError):  # perhaps it is this that could not be written
            emit(json_text(error_object(error)), colour=False)
    for complaint in complaints:
        tell(f"{click.style('error:', fg='red', bold=True)} {quoted(complaint.message)}")
        if complaint.where is not None:
            tell(f"  at {quoted(str(complaint.where))}")
        if complaint.hint:
            tell(f"  hint: {quoted(complaint.hint)}")
    if error.more:
        tell(f"{len(complaints)} errors")


def error_object(error: PromptregError) -> Mapping[str, Json]:
    """`promptreg/error/1`."""

    def one(complaint: PromptregError) -> dict[str, Json]:
        where = complaint.where
        return {
            "message": complaint.message,
            "where": None if where is None else {"path": where.path, "line": where.line, "column": where.column, "key": where.key},
            "hint": complaint.hint,
            **({"reason": complaint.reason} if hasattr(complaint, "reason") else {}),
        }

    reason = getattr(error, "reason", None)
    return {
        "schema": "promptreg/error/1",
        "exit_code": int(error.exit_code),
        **({"reason": reason} if reason else {}),
        "errors": [one(complaint) for complaint in (error, *error.more)],
    }


def json_text(value: Json) -> str:
    """Indented JSON, for people and machines."""
    import json

    return json.dumps(value, ensure_ascii=False, indent=2)


def columns(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as an aligned table, whatever repository text they hold."""
    from promptreg.reporters.tables import aligned

    shown = [[printable(str(value)).replace("\n", " ") for value in row] for row in rows]
    return "\n".join(line.rstrip() for line in aligned(headers, shown, ["left"] * len(headers)))


def count(number: int, noun: str) -> str:
    """`1 case`, `2 cases`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """Hidden characters made visible: repository text must not drive the terminal."""
    from promptreg.core.excerpt import visible

    return visible(text)


def quoted(text: str) -> str:
    """*text* as part of a log that a CI reads: none of its lines is a command to the runner (`::error::`, `##[error]`)."""
    return printable(text).replace("\n", "\n  | ").replace("##[", "##\\x5b")


def pairs(values: tuple[str, ...], option: str) -> dict[str, str]:
    """`key=value` options as a mapping."""
    out: dict[str, str] = {}
    for value in values:
        key, separator, rest = value.partition("=")
        if not separator or not key:
            raise UsageError(
                f"{option} takes key=value, not '{value}'", hint=f"for example {option} ticket='My card was charged twice'"
            )
        if key in out:
            raise UsageError(f"{option} {key} is given twice", hint="give each key once")
        out[key] = rest
    return out
