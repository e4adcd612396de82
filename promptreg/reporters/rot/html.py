"""A RotReport as one HTML page: no script, no network. Everything foreign is escaped."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from promptreg.core.excerpt import one_line
from promptreg.core.rot import RotCell, RotReport
from promptreg.core.verdict import Verdict
from promptreg.reporters.rot import matrix

CLASSES = {Verdict.PASS: "ok", Verdict.FAIL: "bad", Verdict.UNDECIDED: "open", Verdict.UNMEASURED: "none"}
CASES = 50
NAME = 200
STYLE = """
:root { color-scheme: light dark; --ok: #1a7f37; --bad: #cf222e; --open: #9a6700; --none: #59636e; }
@media (prefers-color-scheme: dark) { :root { --ok: #3fb950; --bad: #f85149; --open: #d29922; --none: #9198a1; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; } th, td { padding: .3rem .7rem; text-align: left; border-bottom: 1px solid #8886; }
td.ok { color: var(--ok); } td.bad { color: var(--bad); font-weight: bold; } td.open { color: var(--open); }
td.none { color: var(--none); }
"""


def render(report: RotReport) -> str:
    return "\n".join(_lines(report)) + "\n"


def _lines(report: RotReport) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield f"<title>Prompt rot: {_text(report.headline)}</title><style>{STYLE}</style></head><body>"
    yield f"<h1>{_text(report.headline)}</h1>"
    yield f"<p>{_text(report.registry)}, {_text(report.created)}, promptreg {_text(report.version)}</p>"
    yield "<table><thead><tr><th>suite</th><th>prompt</th><th>reference</th>"
    yield "".join(f"<th>{_text(model)}</th>" for model in report.models) + "</tr></thead><tbody>"
    for row in matrix.rows(report):
        yield f"<tr><td>{_text(row.suite)}</td><td>{_text(row.prompt)}</td><td>{_text(row.reference)}</td>"
        yield "".join(_shade(cell) for cell in row.cells) + "</tr>"
    yield "</tbody></table>"
    for cell in report.cells:
        yield from _cell(cell)
    yield "</body></html>"


def _shade(cell: RotCell | None) -> str:
    return "<td></td>" if cell is None else f'<td class="{CLASSES[cell.gate.verdict]}">{_text(matrix.short(cell))}</td>'


def _cell(cell: RotCell) -> Iterator[str]:
    yield f"<h2>{_text(cell.suite)} · {_text(cell.prompt)} · {_text(cell.model)}: {cell.action}</h2><ul>"
    for sentence in matrix.sentences(cell):
        yield f"<li>{_text(sentence)}</li>"
    if cases := matrix.broken_cases(cell, CASES):
        yield "<li>broken: " + ", ".join(f"<code>{_text(case)}</code>" for case in cases) + "</li>"
    yield "</ul>"


def _text(text: str) -> str:
    return escape(one_line(text, NAME))
