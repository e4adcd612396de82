"""The options of commands that write events, and how they tell what was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from promptreg.cli.console import Console, output_options
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.registry import Registry
    from promptreg.workflow.events import Act

Command = TypeVar("Command", bound=Callable[..., Any])
DEFAULT = "="  # no remote can be called so: --push was given without one


def act_options(command: Command) -> Command:
    """Adds --sign and --push, and the output options."""
    command = click.option(
        "--push",
        is_flag=False,
        flag_value=DEFAULT,
        default=None,
        metavar="[REMOTE]",
        help="Push exactly these tags, all or none, before they are made here. Without REMOTE: where this branch is pushed.",
    )(command)
    command = click.option("--sign", is_flag=True, help="Sign the tags, with the key that git is configured for.")(command)
    return output_options(command)


def act(opened: Registry, push: str | None, *, sign: bool) -> Act:
    """What --sign and --push ask for. UsageError for what cannot be a remote."""
    from promptreg.registry.writing import check_remote, default_remote
    from promptreg.workflow.events import Act

    if push is not None and push != DEFAULT and push in opened.prompt_names():
        raise UsageError(f"--push took the prompt '{push}' for a remote", hint=f"write {push} first, or --push=REMOTE")
    remote = "" if push is None else default_remote(opened.history.git) if push == DEFAULT else check_remote(push)
    return Act(sign=sign, remote=remote)


def told(console: Console, made: Mapping[str, str], doing: Act, along: Sequence[str] = ()) -> None:
    """Where the tags are, or how to publish them."""
    from promptreg.registry.writing import push_line

    if not made:
        return
    if doing.remote:
        console.note(f"pushed to {doing.remote}: {' '.join(made)}")
    else:
        console.note(f"publish with: {push_line([*along, *made])}")
