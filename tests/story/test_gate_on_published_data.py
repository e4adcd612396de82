"""The gate on changes whose effect others have published: their prompts, their models' answers, their scores, our verdicts.

docs/evidence.py makes the repositories and the tables of docs/evidence.md; here the figures are held to what is published, to each
other, and the page to the figures. A measurement takes a second or two, so that tests share them.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binom

ROOT = Path(__file__).parents[2]
TENTH = 0.05 + 1e-9  # published scores are rounded to a tenth of a point


def script() -> Any:
    spec = importlib.util.spec_from_file_location("docs_evidence", ROOT / "docs" / "evidence.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


evidence = script()
PAGE = evidence.PAGE.read_text("utf-8")
STUDIES: Sequence[str] = tuple(evidence.STUDIES)
needs_data = pytest.mark.skipif(
    not all((evidence.DATA / name).is_dir() for name in ("bbh_prompt_versions", "llmdrift")),
    reason="the published answers (bbh_prompt_versions, llmdrift) are not beside this checkout, in ../shared/data",
)
WAYS = pytest.mark.parametrize("back", [False, True], ids=["as published", "undone"])
CHANGES = pytest.mark.parametrize("name", STUDIES)


@cache
def study(name: str) -> Any:
    return evidence.STUDIES[name]()


@cache
def fixed(name: str, back: bool) -> Any:
    return evidence.measure(study(name), "fixed", 0.05, back=back)


@cache
def hybrid(name: str, back: bool) -> Any:
    """One margin each way: more would take longer and show no more."""
    return evidence.measure(study(name), "hybrid", 0.10 if back else 0.05, back=back)


def published(name: str, gate: Any, back: bool) -> tuple[float, float]:
    old, new = evidence.PUBLISHED[name][gate.suite, gate.model]
    return (new, old) if back else (old, new)


@needs_data
@WAYS
@CHANGES
def test_scores_and_drops_are_the_published_ones(name: str, back: bool) -> None:
    gates = fixed(name, back).gates
    assert {(gate.suite, gate.model) for gate in gates} == set(evidence.PUBLISHED[name])
    for gate in gates:
        base, head = published(name, gate, back)
        assert gate.base == pytest.approx(base, abs=TENTH)
        assert gate.head == pytest.approx(head, abs=TENTH)
        assert gate.drop == pytest.approx(base - head, abs=2 * TENTH)
        assert gate.units == gate.planned


VERDICTS = {
    ("chain_of_thought", False): {"PASS": 7, "UNDECIDED": 1},
    ("chain_of_thought", True): {"FAIL": 7, "PASS": 1},
    ("happy_numbers", False): {"FAIL": 1, "PASS": 1},
    ("happy_numbers", True): {"FAIL": 1, "PASS": 1},
    ("opinionqa", False): {"FAIL": 1, "PASS": 1},
    ("opinionqa", True): {"PASS": 2},
}


@needs_data
@WAYS
@CHANGES
def test_verdicts_of_every_case(name: str, back: bool) -> None:
    found = [gate.verdict for gate in fixed(name, back).gates]
    assert {verdict: found.count(verdict) for verdict in found} == VERDICTS[name, back]
    for gate in fixed(name, back).gates:
        if gate.verdict == "PASS":
            assert gate.upper < 5
        else:
            assert gate.upper >= 5
            assert (gate.lower > 0) == (gate.verdict == "FAIL")


@needs_data
def test_what_chain_of_thought_improves_and_what_it_does_not() -> None:
    gates = {gate.suite: gate for gate in fixed("chain_of_thought", False).gates}
    assert [suite for suite, gate in gates.items() if gate.verdict != "PASS"] == ["salient_translation_error_detection"]
    assert all(gate.upper < 0 for suite, gate in gates.items() if suite != "salient_translation_error_detection")


@needs_data
def test_a_real_drop_inside_the_margin_is_a_pass_that_says_so() -> None:
    (gate,) = [gate for gate in fixed("opinionqa", True).gates if gate.model == "gpt-3.5"]
    assert gate.verdict == "PASS"
    assert 0 < gate.lower < gate.upper < 5
    assert gate.note == "a real drop of 2.4 points, inside the margin"


@needs_data
@WAYS
@CHANGES
def test_limits_enclose_the_drop_and_after_an_early_stop_the_published_one(name: str, back: bool) -> None:
    for gate in (*fixed(name, back).gates, *hybrid(name, back).gates):
        base, head = published(name, gate, back)
        assert gate.lower <= gate.drop <= gate.upper, gate
        assert gate.lower <= base - head <= gate.upper, gate


@needs_data
@CHANGES
def test_a_change_undone_is_the_mirror_image(name: str) -> None:
    for there, back in zip(fixed(name, False).gates, fixed(name, True).gates, strict=True):
        assert (there.broken, there.fixed) == (back.fixed, back.broken)
        assert there.drop == pytest.approx(-back.drop)
        same = 1e-6 if there.limit_kind == "tango" else 0.5  # the bootstrap draws in another order
        assert (there.lower, there.upper) == pytest.approx((-back.upper, -back.lower), abs=same)


@needs_data
@WAYS
@CHANGES
def test_hybrid_mode_asks_less_where_the_answer_is_clear(name: str, back: bool) -> None:
    early, whole = hybrid(name, back), fixed(name, back)
    assert early.answers == 2 * sum(gate.n for gate in early.gates)
    assert whole.answers == 2 * sum(gate.n for gate in whole.gates) == 2 * whole.cases
    assert early.answers < 0.7 * whole.answers
    clear = [gate.suite + gate.model for gate in whole.gates if abs(gate.drop) > 15]
    assert clear
    for gate, other in zip(early.gates, whole.gates, strict=True):
        if gate.suite + gate.model in clear:
            assert gate.verdict == other.verdict
            assert gate.n < other.n
            assert gate.limit_kind == "e-process"


@needs_data
@CHANGES
def test_pairs_and_their_p_value_agree_with_a_plain_count(name: str) -> None:
    """Graded here with nothing of promptreg, and the mid-p McNemar test from scipy's binomial distribution."""
    for gate in fixed(name, False).gates:
        pairs = list(plain(name, gate))
        broken, mended = pairs.count((True, False)), pairs.count((False, True))
        assert (len(pairs), broken, mended) == (gate.n, gate.broken, gate.fixed)
        if gate.limit_kind == "tango":
            mid_p = binom.sf(broken, broken + mended, 0.5) + binom.pmf(broken, broken + mended, 0.5) / 2
            assert gate.p_harm == pytest.approx(mid_p, rel=1e-6)


def plain(name: str, gate: Any) -> Iterator[tuple[bool, bool]]:
    """Whether each case's answers are right, old and new."""
    folder = "bbh_prompt_versions" if name == "chain_of_thought" else "llmdrift"
    rows = [json.loads(text) for text in (evidence.DATA / folder / f"{gate.suite}.jsonl").read_text("utf-8").splitlines()]
    side, names = ("prompt_version", ("direct", "cot")) if gate.model == "codex" else ("model", evidence.SNAPSHOTS[gate.model])
    old, new = ({row["item_id"]: right(name, row) for row in rows if row[side] == wanted} for wanted in names)
    assert old.keys() == new.keys()
    return ((old[case], new[case]) for case in old)


def right(name: str, row: dict[str, Any]) -> bool:
    answer = row["output"]
    if name == "chain_of_thought":
        return answer.rpartition("answer is ")[2].strip(" .\n") == row["reference"]
    if name == "opinionqa":
        return bool(re.search(r"\([A-Za-z]\)", answer)) and not re.search(r"\([A-Za-z]\)\. Refused", answer)
    found, wanted = (re.findall(r"boxed{([^}]*)}", text.lower()) for text in (answer, row["reference"]))
    return found[:1] == wanted[:1] != []


@needs_data
def test_answers_without_their_questions_say_nothing_of_another_prompt() -> None:
    """Opinion QA's recording is keyed by the case: it has no answer to a prompt that was never asked."""
    asked = study("opinionqa")
    (path,) = [path for path in asked.files if path.startswith("prompts/")]
    reworded = {path: asked.files[path].replace("{{ item }}", "Please answer. {{ item }}")}
    report = evidence.judge(replace(asked, new={**asked.old, **reworded}), "{margin: 0.05}")
    assert report["exit_code"] == 4
    assert {(gate["verdict"], gate["reason"]) for gate in report["gates"]} == {("UNMEASURED", "no_recording")}


# --- the page -----------------------------------------------------------------------------------------------------------------


@needs_data
@WAYS
@CHANGES
def test_the_page_shows_what_is_measured(name: str, back: bool) -> None:
    (part,) = [title for title, (names, undone) in evidence.PARTS.items() if name in names and undone == back]
    lines = evidence.shown(PAGE, part)
    whole, early = fixed(name, back), hybrid(name, back)
    for gate in whole.gates:
        row = evidence.line(evidence.fixed_row(gate))
        assert [text for text in lines if text.startswith(row)], f"python docs/evidence.py mends it: no {row}"
    for row in (*(evidence.line(evidence.hybrid_row(gate, early.margin)) for gate in early.gates), evidence.total(early)):
        assert row in lines, f"python docs/evidence.py mends it: no {row}"


@pytest.mark.parametrize("part", list(evidence.PARTS))
def test_the_page_itself_is_true_to_what_is_published(part: str) -> None:
    """Also where the data are not at hand."""
    names, back = evidence.PARTS[part]
    wanted = {evidence.label(*gate): scores for name in names for gate, scores in evidence.PUBLISHED[name].items()}
    rows = [[cell.strip() for cell in text.split("|")[1:-1]] for text in evidence.shown(PAGE, part) if text.startswith("| ")]
    shown = {row[0]: row for row in rows if len(row) == len(evidence.FIXED) and row[0] not in ("What", "---")}
    assert shown.keys() == wanted.keys()
    for label, (old, new) in wanted.items():
        base, head, drop = map(float, shown[label][1:4])
        assert (base, head) == ((new, old) if back else (old, new))
        assert drop == pytest.approx(base - head, abs=3 * TENTH)
