"""What the command line and the ini file ask of promptreg, as one value. Knows pytest's config and nothing of registries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One session's wishes. `collects` says that suites become items."""

    collects: bool
    strict: bool
    replay: bool
    base: str | None
    models: tuple[str, ...]
    repeats: int | None
    budget: float | None
    concurrency: int | None
    recording: Path | None
    record: Path | None
    report: Path | None

    @classmethod
    def of(cls, config: pytest.Config) -> Options:
        """UsageError of pytest for a number that makes no sense."""

        def path(name: str) -> Path | None:
            value = config.getoption(f"promptreg_{name}")
            return None if value is None else config.invocation_params.dir / value

        def number(name: str, least: float) -> float | None:
            value = config.getoption(f"promptreg_{name}")
            if value is not None and not value >= least:
                raise pytest.UsageError(f"--promptreg-{name} must be at least {least:g}, not {value:g}")
            return value  # type: ignore[no-any-return]

        if config.getoption("promptreg_recording") is not None and not (found := path("recording")).is_file():  # type: ignore[union-attr]
            raise pytest.UsageError(f"there is no recording {found}: --promptreg-record FILE writes one")
        repeats, concurrency = number("repeats", 1), number("concurrency", 1)
        named = config.getoption("promptreg_models") or ""
        return cls(
            collects=bool(config.getoption("promptreg") or config.getini("promptreg")),
            strict=bool(config.getoption("promptreg_strict")),
            replay=bool(config.getoption("promptreg_replay")) or config.getoption("promptreg_recording") is not None,
            base=config.getoption("promptreg_base"),
            models=tuple(alias.strip() for alias in named.split(",") if alias.strip()),
            repeats=None if repeats is None else int(repeats),
            budget=number("budget", 0.0),
            concurrency=None if concurrency is None else int(concurrency),
            recording=path("recording"),
            record=path("record"),
            report=path("report"),
        )
