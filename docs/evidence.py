"""Makes the tables of docs/evidence.md: what `promptreg check` says of changes whose effect others have published.

Their recorded answers become a recording, the change a pull request. Needs the data folder beside this checkout (PROMPTREG_DATA
names another place) and no network. `python docs/evidence.py` measures all and writes the tables, `--check` only compares. Each
measurement is a Git repository of its own, with the same commits wherever it is made: so the order of the cases, and every figure,
repeats.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from promptreg.cli import invoke
from promptreg.testing import RepositoryBuilder

DOCS = Path(__file__).parent
PAGE = DOCS / "evidence.md"
DATA = Path(os.environ.get("PROMPTREG_DATA", DOCS.parent.parent / "shared" / "data"))
PART = re.compile(r"(<!-- measured: (?!end)([^>]+?) -->\n).*?(<!-- measured: end -->)", re.DOTALL)
MARGINS = (0.05, 0.10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One published change: the files of both sides, what differs, and the suites, which a gate's policy is added to."""

    title: str
    files: Mapping[str, str]
    old: Mapping[str, str]
    new: Mapping[str, str]
    suites: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one gate said. Scores, drop and limits in percentage points; `n` cases were consumed, in `units` of `planned` units."""

    suite: str
    model: str
    verdict: str
    base: float
    head: float
    drop: float
    lower: float
    upper: float
    limit_kind: str
    broken: int
    fixed: int
    n: int
    units: int
    planned: int
    p_harm: float
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One check, whole. `answers` were looked up for both sides of its `cases`."""

    title: str
    margin: float
    verdict: str
    headline: str
    answers: int
    cases: int
    gates: tuple[Judged, ...]


# --- what is judged -----------------------------------------------------------------------------------------------------------

CODEX = "code-davinci-002"
Scores: TypeAlias = Mapping[tuple[str, str], tuple[float, float]]  # suite and model → per cent, before and after

# As the sources have them: accuracies of the answer-only prompt and of chain of thought; of the snapshots of March and June 2023.
PUBLISHED: Mapping[str, Scores] = {
    "chain_of_thought": {
        ("boolean_expressions", "codex"): (88.4, 92.8),
        ("date_understanding", "codex"): (63.6, 87.2),
        ("dyck_languages", "codex"): (46.8, 56.8),
        ("logical_deduction_five_objects", "codex"): (32.4, 54.8),
        ("object_counting", "codex"): (45.2, 93.2),
        ("salient_translation_error_detection", "codex"): (62.0, 60.8),
        ("sports_understanding", "codex"): (72.8, 97.6),
        ("tracking_shuffled_objects_seven_objects", "codex"): (14.4, 85.6),
    },
    "happy_numbers": {("happy_numbers", "gpt-3.5"): (30.6, 48.2), ("happy_numbers", "gpt-4"): (83.6, 35.2)},
    "opinionqa": {("opinionqa", "gpt-3.5"): (94.3, 96.7), ("opinionqa", "gpt-4"): (97.6, 23.4)},
}
# One rule for both prompts: what follows the last "answer is", or all of it where that never stands, without its full stop.
LAST_WORD = '(output.split("answer is ") | last).strip().rstrip(".").strip() == expected'

SNAPSHOTS = {"gpt-3.5": ("gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613"), "gpt-4": ("gpt-4-0314", "gpt-4-0613")}
# The source's rule: lower-cased, the first `boxed{…}` of the answer is the first of the reference, as text.
BOXED = r"(?is)^(?:(?!boxed\x7b[^\x7d]*\x7d).)*boxed\x7b{{ expected }}\x7d"
ANSWERED = r"\([A-Za-z]\)"  # the source's rule of what is an answer, unless it says `(X). Refused` anywhere
REFUSED = r"\([A-Za-z]\)\. Refused"


def chain_of_thought() -> Study:
    """Eight BIG-Bench Hard tasks: the answer-only prompt becomes the chain-of-thought prompt, one pull request for all eight."""
    folder = DATA / "bbh_prompt_versions"
    files = {"promptreg.yaml": f"registry: bbh\nmodels:\n  codex: {{provider: recorded, model: {CODEX}, recording: codex.jsonl}}\n"}
    sides: dict[str, dict[str, str]] = {"direct": {}, "cot": {}}
    suites: dict[str, str] = {}
    answers: list[str] = []
    for task, _ in PUBLISHED["chain_of_thought"]:
        rows = _rows(folder / f"{task}.jsonl")
        for version, prompts in sides.items():
            text = (folder / "prompts" / f"{task}.{version}.txt").read_text("utf-8")
            prompts[f"prompts/{task}.yaml"] = (
                "inputs: {question: {type: string}}\n"
                f"messages:\n  - {{role: user, content: {json.dumps(text)}}}\nparams: {{temperature: 0}}\n"
            )
            for row in rows:
                if row["prompt_version"] == version:
                    asked = [{"role": "user", "content": text.replace("{{question}}", row["question"])}]
                    answers.append(json.dumps({"model": row["model"], "messages": asked, "output": row["output"]}))
        cases = [
            {"id": row["item_id"], "inputs": {"question": row["question"]}, "expected": row["reference"]}
            for row in rows
            if row["prompt_version"] == "direct"
        ]
        files[f"suites/{task}.jsonl"] = _lines(map(json.dumps, cases))
        suites[f"suites/{task}.yaml"] = (
            f"prompts: [{task}]\nmodels: [codex]\ndataset: {task}.jsonl\nchecks:\n  - expr: '{LAST_WORD}'\n"
        )
    files["codex.jsonl"] = _lines(answers)
    return Study(title="eight tasks", files=files, old=sides["direct"], new=sides["cot"], suites=suites)


def happy_numbers() -> Study:
    """LLMDrift: how many happy numbers lie between two numbers. The catalogue's aliases move from March's snapshots to June's."""
    rows = _rows(DATA / "llmdrift" / "happy_numbers.jsonl")
    cases = [
        {"id": row["item_id"], "inputs": {"question": row["messages"][0]["content"]}, "expected": _boxed(row["reference"])}
        for row in rows
        if row["model"] == "gpt-4-0314"
    ]
    return _drift("happy_numbers", "question", rows, cases, f"  - regex: '{BOXED}'\n")


def opinionqa() -> Study:
    """LLMDrift: whether a survey question is answered at all. The questions are not public: the recording is keyed by the case."""
    rows = _rows(DATA / "llmdrift" / "opinionqa.jsonl")
    cases = [{"id": row["item_id"], "inputs": {"item": row["item_id"]}} for row in rows if row["model"] == "gpt-4-0314"]
    checks = f"  - regex: '{ANSWERED}'\n  - not_regex: '{REFUSED}'\n"
    return _drift("opinionqa", "item", rows, cases, checks, keyed=", case: item_id")


def _drift(
    name: str,
    variable: str,
    rows: Sequence[Mapping[str, Any]],
    cases: Sequence[Mapping[str, Any]],
    checks: str,
    keyed: str = "",
) -> Study:
    prompt = (
        f"inputs: {{{variable}: {{type: string}}}}\nmessages:\n  - {{role: user, content: '{{{{ {variable} }}}}'}}\n"
        f"params: {{temperature: 0.1, max_tokens: {rows[0]['params']['max_tokens']}}}\n"
    )
    suite = f"prompts: [{name}]\nmodels: [{', '.join(SNAPSHOTS)}]\ndataset: {name}.jsonl\nchecks:\n{checks}"
    return Study(
        title=name,
        files={
            f"prompts/{name}.yaml": prompt,
            f"suites/{name}.jsonl": _lines(map(json.dumps, cases)),
            "answers.jsonl": _lines(map(json.dumps, rows)),
        },
        old={"promptreg.yaml": _catalogue(0, keyed)},
        new={"promptreg.yaml": _catalogue(1, keyed)},
        suites={f"suites/{name}.yaml": suite},
    )


def _catalogue(month: int, keyed: str) -> str:
    models = "".join(
        f"  {alias}: {{provider: recorded, model: {snapshots[month]}, recording: answers.jsonl{keyed}}}\n"
        for alias, snapshots in SNAPSHOTS.items()
    )
    return f"registry: drift\nmodels:\n{models}"


def _boxed(reference: str) -> str:
    return reference.partition("boxed{")[2].partition("}")[0]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _lines(texts: Iterator[str] | Sequence[str]) -> str:
    return "".join(f"{text}\n" for text in texts)


STUDIES: Mapping[str, Callable[[], Study]] = {
    "chain_of_thought": chain_of_thought,
    "happy_numbers": happy_numbers,
    "opinionqa": opinionqa,
}


# --- judging ------------------------------------------------------------------------------------------------------------------


def measure(study: Study, mode: str, margin: float, *, back: bool = False) -> Measured:
    """What `promptreg check` says of the change in a real repository; with *back*, of the change undone."""
    report = judge(study, f"{{mode: {mode}, margin: {margin}}}", back=back)
    assert not report["findings"], report["findings"]
    return Measured(
        title=study.title,
        margin=margin,
        verdict=report["verdict"],
        headline=report["headline"],
        answers=report["calls_known"] + report["calls_made"],
        cases=sum(study.files[f"suites/{gate['suite']}.jsonl"].count("\n") for gate in report["gates"]),
        gates=tuple(_gate(gate) for gate in report["gates"]),
    )


def judge(study: Study, policy: str, *, back: bool = False) -> dict[str, Any]:
    """The report of `promptreg check --json` on the change, in a repository made for it; *policy* is every suite's `gate`."""
    before, after = (study.new, study.old) if back else (study.old, study.new)
    suites = {path: f"{text}gate: {policy}\n" for path, text in study.suites.items()}
    with tempfile.TemporaryDirectory(prefix="evidence-") as folder:
        house = RepositoryBuilder(Path(folder) / "house")
        _write(house, {**study.files, **before, **suites})
        base = house.commit("As it was")
        _write(house, after)
        head = house.commit("As it is to be")
        return _report(house.root, base, head)


def _write(house: RepositoryBuilder, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        house.write(path, text)


def _report(root: Path, base: str, head: str) -> dict[str, Any]:
    printed = io.StringIO()
    with chdir(root), redirect_stdout(printed):
        code = invoke(["check", "--json", "--quiet", "--no-store", "--runs", "off", "--base", base, "--head", head])
    report: dict[str, Any] = json.loads(printed.getvalue())
    assert report["schema"] == "promptreg/check/1", report
    assert code == report["exit_code"]
    return report


def _gate(gate: Mapping[str, Any]) -> Judged:
    (found,) = gate["references"]
    points = {name: 100 * found[key] for name, key in POINTS.items()}
    rest = {name: found[name] for name in ("limit_kind", "broken", "fixed", "n", "units", "planned", "p_harm", "note")}
    return Judged(suite=gate["suite"], model=gate["model"], verdict=gate["verdict"], **points, **rest)


POINTS = {"base": "base_score", "head": "head_score", "drop": "drop", "lower": "lower", "upper": "upper"}


# --- the page -----------------------------------------------------------------------------------------------------------------

FIXED = ("What", "Base %", "Head %", "Drop", "Limits", "Broken / fixed", *(f"Margin {margin:.2f}" for margin in MARGINS))
HYBRID = ("What", "Margin", "Verdict", "Base %", "Head %", "Drop", "Limits", "Broken / fixed", "Cases", "Answers")
PARTS: Mapping[str, tuple[tuple[str, ...], bool]] = {  # of the page: studies, and whether their change is undone
    "chain of thought": (("chain_of_thought",), False),
    "chain of thought undone": (("chain_of_thought",), True),
    "models": (("happy_numbers", "opinionqa"), False),
    "models undone": (("happy_numbers", "opinionqa"), True),
}


def part(name: str) -> str:
    """One part of the page, measured anew: fixed mode, then hybrid mode."""
    studies, back = PARTS[name]
    fixed: list[tuple[str, ...]] = []
    hybrid: list[tuple[str, ...]] = []
    totals: list[str] = []
    for study in (STUDIES[each]() for each in studies):
        one, other = (measure(study, "fixed", margin, back=back) for margin in MARGINS)
        fixed += [(*fixed_row(gate), again.verdict) for gate, again in zip(one.gates, other.gates, strict=True)]
        early = [measure(study, "hybrid", margin, back=back) for margin in MARGINS]
        rows = [[hybrid_row(gate, each.margin) for gate in each.gates] for each in early]
        hybrid += [row for pair in zip(*rows, strict=True) for row in pair]
        totals += [total(each) for each in early]
    return "\n\n".join(("Fixed mode:", table(FIXED, fixed), "Hybrid mode:", table(HYBRID, hybrid), "\n".join(totals)))


def fixed_row(gate: Judged) -> tuple[str, ...]:
    """A row of the table of fixed mode, without the verdicts by further margins."""
    return (label(gate.suite, gate.model), *_figures(gate), gate.verdict)


def hybrid_row(gate: Judged, margin: float) -> tuple[str, ...]:
    return (label(gate.suite, gate.model), f"{margin:.2f}", gate.verdict, *_figures(gate), f"{gate.n:,}", f"{2 * gate.n:,}")


def total(measured: Measured) -> str:
    """What a check said and cost, against asking every case on both sides."""
    whole = 2 * measured.cases
    cost = f"{measured.answers:,} of {whole:,} answers, {100 * measured.answers / whole:.0f} %"
    return f"- {measured.title}, margin {measured.margin:.2f}: {measured.verdict} ({measured.headline}); {cost}"


def label(suite: str, model: str) -> str:
    return suite if model == "codex" else f"{suite}, {model}"


def _figures(gate: Judged) -> tuple[str, ...]:
    limits = f"{signed(gate.lower)} … {signed(gate.upper)}"
    return f"{gate.base:.1f}", f"{gate.head:.1f}", signed(gate.drop), limits, f"{gate.broken:,} / {gate.fixed:,}"


def signed(points: float) -> str:
    return f"{round(points, 1) + 0.0:+.1f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(line(cells) for cells in (head, ("---",) * len(head), *rows))


def line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def shown(text: str, name: str) -> list[str]:
    """The lines of the part *name* of the page."""
    (found,) = (each[0] for each in PART.finditer(text) if each[2] == name)
    return found.splitlines()


def main(arguments: Sequence[str]) -> int:
    if not DATA.is_dir():
        print(f"the data are not there: {DATA} (PROMPTREG_DATA names another place)", file=sys.stderr)
        return 2
    before = PAGE.read_text("utf-8")
    after = PART.sub(lambda found: f"{found[1]}\n{part(found[2])}\n\n{found[3]}", before)
    if "--check" in arguments:
        print("as measured" if after == before else "stale: python docs/evidence.py mends it")
        return int(after != before)
    PAGE.write_text(after, "utf-8")
    print(f"wrote docs/{PAGE.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
