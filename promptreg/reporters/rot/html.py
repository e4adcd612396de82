"""A RotReport as values for rot.html.jinja. Jinja escapes every text."""

from __future__ import annotations

from typing import Any

from promptreg.core.rot import RotCell, RotReport
from promptreg.core.verdict import Verdict
from promptreg.reporters.check import numbers, words
from promptreg.reporters.check.cases import answers
from promptreg.reporters.check.html import TEXT
from promptreg.reporters.rot import matrix

SHADES = 8  # of a drop or a gain, each of five points


def values(report: RotReport) -> dict[str, Any]:
    """All that the template draws."""
    telling = matrix.worst_first(report)
    told = set(map(id, telling))
    return {
        "report": report,
        "rows": matrix.rows(report),
        "cells": [*telling, *(cell for cell in report.cells if id(cell) not in told)],
        "unfolded": next((cell for cell in telling if cell.gate.verdict is not Verdict.PASS), None),
        "matrix": matrix,
        "words": words,
        "numbers": numbers,
        "shade": shade,
        "answers": lambda case: list(answers(case, TEXT)),
    }


def shade(cell: RotCell) -> str:
    """The class of a square of the heat map: how far the score fell or rose, in steps of five points."""
    found = cell.comparison
    if found is None or found.drop is None or cell.gate.verdict is Verdict.UNMEASURED:
        return "unknown"
    step = min(SHADES, round(abs(found.drop) / 0.05))
    return f"{'worse' if found.drop > 0 else 'better'}{step}" if step else "alike"
