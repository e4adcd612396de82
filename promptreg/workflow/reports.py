"""Files that a report goes to: their format by their ending, refused before anything is paid for, written whole."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from errno import EINVAL, EISDIR
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.core.settings import Settings
    from promptreg.plugins import Plugins

SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def reporter_for(plugins: Plugins, path: Path) -> type[Any]:
    """The reporter of *path*'s ending. UsageError if there is none."""
    if path.suffix not in plugins.names("reporter"):
        raise UsageError(f"no report format for {path}", hint=f"endings: {', '.join(plugins.names('reporter'))}")
    return plugins.get("reporter", path.suffix)


def refuse_unwritable(path: Path) -> None:
    """UsageError now rather than after all calls are paid for."""
    part = _part(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(EISDIR, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            raise OSError(EINVAL, "it is no regular file")
        part.open("wb").close()
        part.unlink()
    except OSError as fault:
        raise UsageError(f"{path} cannot be written: {fault.strerror}", hint="name another file") from fault


def write(path: Path, text: str) -> None:
    """To a neighbour first, so that no reader meets half a report."""
    import os

    part = _part(path)
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as fault:
        with contextlib.suppress(OSError):
            part.unlink()
        hint = "name another file, and run again: answers that are kept are not asked for again"
        raise UsageError(f"{path} cannot be written: {fault.strerror}", hint=hint) from fault


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def secrets_of(settings: Settings, env: Mapping[str, str]) -> tuple[str, ...]:
    """The values that no report may show: of every key that a model names, and of all variables that sound like one."""
    named = {str(spec.options["api_key_env"]) for spec in settings.models.values() if spec.options.get("api_key_env")}
    sounding = {name for name in env if any(part in name.upper().split("_") for part in SECRET_NAMES)}
    return tuple(sorted({env[name] for name in named | sounding if env.get(name)}))
