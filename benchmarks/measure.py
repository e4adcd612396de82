"""Whole-process figures, taken in turns so that a machine that changes speed changes both sides."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROMPTREG = (sys.executable, "-m", "promptreg")


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds of wall time of each counted run."""

    wall: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.wall)

    def __str__(self) -> str:
        return f"median {self.median:.3f} s (min {min(self.wall):.3f}, max {max(self.wall):.3f}, {len(self.wall)} runs)"


def once(command: Sequence[str], directory: Path, expect: int = 0) -> float:
    """Seconds of one run; a command that fails is no measurement."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode != expect:
        raise SystemExit(
            f"{' '.join(command)} exited {done.returncode}, not {expect}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        )
    return seconds


def peak_rss_mb(command: Sequence[str], directory: Path, expect: int = 0) -> float:
    """Peak resident memory of one run in MB (10**6 bytes), as the kernel accounts it to the finished child."""
    child = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != expect:
        raise SystemExit(f"{' '.join(command)} exited {child.returncode}, not {expect}")
    return usage.ru_maxrss * 1024 / 1e6


def verdict(name: str, value: float, goal: float, unit: str) -> bool:
    """One line: the figure, its goal, and whether it holds."""
    holds = value <= goal
    print(f"{name}: {value:.2f}{unit} (goal: at most {goal:g}{unit}) {'holds' if holds else 'MISSED'}")
    return holds
