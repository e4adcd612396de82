"""The thin shell: a group of commands, each in its own file and imported on use, inside one error boundary."""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from click.exceptions import NoArgsIsHelpError

from promptreg import __version__
from promptreg.cli.console import show_error
from promptreg.errors import ExitCode, Interrupted, PromptregError, UsageError

COMMANDS = {
    "init": "promptreg.cli.init",
    "new": "promptreg.cli.new",
    "case": "promptreg.cli.case",
    "lint": "promptreg.cli.lint",
    "render": "promptreg.cli.render",
    "list": "promptreg.cli.list",
    "show": "promptreg.cli.show",
    "diff": "promptreg.cli.diff",
    "log": "promptreg.cli.log",
    "blame": "promptreg.cli.blame",
    "at": "promptreg.cli.at",
    "run": "promptreg.cli.run",
    "check": "promptreg.cli.check",
    "rot": "promptreg.cli.rot",
    "upgrade": "promptreg.cli.upgrade",
    "canary": "promptreg.cli.canary",
    "comment": "promptreg.cli.comment",
    "runs": "promptreg.cli.runs",
    "baseline": "promptreg.cli.baseline",
    "flaky": "promptreg.cli.flaky",
    "release": "promptreg.cli.release",
    "withdraw": "promptreg.cli.withdraw",
    "deprecate": "promptreg.cli.deprecate",
    "promote": "promptreg.cli.promote",
    "rollback": "promptreg.cli.rollback",
    "demote": "promptreg.cli.demote",
    "labels": "promptreg.cli.labels",
    "bundle": "promptreg.cli.bundle",
    "pull": "promptreg.cli.pull",
    "outdated": "promptreg.cli.outdated",
    "update": "promptreg.cli.update",
    "verify": "promptreg.cli.verify",
    "drop": "promptreg.cli.drop",
    "models": "promptreg.cli.models",
    "doctor": "promptreg.cli.doctor",
    "schema": "promptreg.cli.schema",
    "cache": "promptreg.cli.cache",
    "plugins": "promptreg.cli.plugins",
    "completion": "promptreg.cli.completion",
}
# What a file system may refuse without anybody's code being wrong: no room, no right, a file where a folder is wanted.
REFUSALS = {
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "ENOTDIR", "EISDIR", "EEXIST", "ENAMETOOLONG")
    if hasattr(errno, name)
}
ISSUES = "the project's issue tracker"


class Commands(click.Group):
    """Imports a command's file when the command is named, so that `--version` and completion start in milliseconds."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return [*COMMANDS]  # not list(): promptreg.cli.list, once imported, is this module's `list`

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        found: click.Command = importlib.import_module(module).command
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, 1)
            hint = f"did you mean '{near[0]}'?" if near else "promptreg --help lists the commands"
            raise UsageError(f"no command '{args[0]}'", hint=hint)
        return super().resolve_command(ctx, args)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-C", "directory", metavar="DIR", type=click.Path(exists=True, file_okay=False), help="Work as if started in DIR.")
@click.version_option(__version__, prog_name="promptreg")
def cli(directory: str | None) -> None:
    """Prompts as code: a Git-native prompt registry and regression-testing tool.

    Exit codes: 0 measured and not worse; 1 worse, or a floor is broken; 2 something you can fix; 3 our bug;
    4 no verdict, answers are missing; 130 interrupted.
    """
    if directory:
        os.chdir(directory)


def main() -> None:
    """The entry point of `promptreg` and `git promptreg`. A cancelled CI job stops as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # a console of another encoding shows \u540d, and no crash
    sys.exit(invoke(sys.argv[1:]))


def invoke(arguments: list[str]) -> int:
    """Runs one command line inside the error boundary; returns the exit code."""
    as_json = "--json" in arguments
    try:
        if "doctor" not in arguments:  # which says it among other things
            refuse_clash()
        return int(cli.main(args=arguments, prog_name="promptreg", standalone_mode=False) or 0)
    except PromptregError as error:
        show_error(error, as_json=as_json)
        return int(error.exit_code)
    except NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return int(ExitCode.USAGE)
    except click.ClickException as error:
        shown = UsageError(error.format_message(), hint=_usage_hint(error))
        show_error(shown, as_json=as_json)
        return int(ExitCode.USAGE)
    except (KeyboardInterrupt, click.Abort):
        show_error(Interrupted("interrupted"), as_json=as_json)
        return int(ExitCode.INTERRUPTED)
    except OSError as error:
        if error.errno not in REFUSALS:
            return crashed(arguments, as_json=as_json)
        place = f": {error.filename}" if error.filename else ""
        show_error(
            UsageError(f"{error.strerror}{place}", hint="make room, mend the permissions, or work elsewhere"), as_json=as_json
        )
        return int(ExitCode.USAGE)
    except Exception:  # noqa: BLE001  # the error boundary
        return crashed(arguments, as_json=as_json)


def crashed(arguments: list[str], *, as_json: bool) -> int:
    """Says that promptreg failed, and where the report is that somebody can mend it by."""
    report = crash_report(arguments)
    show_error(PromptregError("promptreg itself failed", hint=f"please send {report} to {ISSUES}"), as_json=as_json)
    return int(ExitCode.INTERNAL)


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path} --help" if context is not None else "promptreg --help"


def refuse_clash() -> None:
    """An unrelated distribution called `promptreg` has the same package and command: side by side, one overwrites the other."""
    for folder in clashes():
        raise UsageError(
            f"the unrelated distribution 'promptreg' is installed beside git-promptreg ({folder})",
            hint="pip uninstall promptreg && pip install --force-reinstall git-promptreg",
        )


def clashes() -> Iterator[str]:
    """The folders where the unrelated distribution is installed."""
    for entry in sys.path:
        try:
            names = os.listdir(entry or ".")
        except OSError:
            continue
        if any(name.startswith("promptreg-") and name.endswith(".dist-info") for name in names):
            yield entry


def crash_report(arguments: list[str]) -> Path:
    """Writes versions and the traceback to a file; option values that may hold inputs stay, keys are never arguments."""
    import platform
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="promptreg-crash-", suffix=".txt", delete=False, encoding="utf-8") as file:
        file.write(f"promptreg {__version__}, Python {platform.python_version()}, {platform.platform()}\n")
        file.write(f"arguments: {arguments}\n\n{traceback.format_exc()}")
    return Path(file.name)
