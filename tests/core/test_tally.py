from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.prompt import Message
from promptreg.core.report import Cell
from promptreg.core.run import Call, CheckResult, Completion, Failure, ModelIdentity, Outcome, Stop, Usage
from promptreg.core.stats import pass_interval, wilson
from promptreg.core.suite import Case, Policy, Require, Suite
from promptreg.core.tally import KEPT_TEXT, LISTED, CellTally, exit_code
from promptreg.errors import ExitCode, Where

MODEL = ModelIdentity(facts={"provider": "echo", "model": "echo"})
ASKED = (Message(role="user", content="?"),)


def suite(policy: Policy | None = None) -> Suite:
    return Suite(name="triage", prompts=("p",), models=("m",), checks=(), policy=policy)


def outcome(
    case: Case | str,
    passed: bool | None,
    *,
    slot: int = 0,
    score: float | None = None,
    completion: Completion | None = None,
    cost: float | None = 0.001,
) -> Outcome:
    case = Case(id=case, inputs={"q": case}) if isinstance(case, str) else case
    call = Call(model=MODEL, messages=ASKED, slot=slot)
    if passed is None:
        return Outcome(
            prompt="p", model="m", case=case, call=call, failure=Failure(kind="timeout", message="after 60 s"), calls_made=1
        )
    check = CheckResult(
        label="exact", metric="exact", value=float(passed), raw=float(passed), passed=passed, required=True, weight=1.0, reason="no"
    )
    return Outcome(
        prompt="p",
        model="m",
        case=case,
        call=call,
        completion=completion or Completion(text="answer", usage=Usage(input_tokens=10, output_tokens=2), latency_s=0.5),
        checks=(check,),
        passed=passed,
        score=float(passed) if score is None else score,
        cost_usd=cost,
        calls_made=1,
    )


def fold(outcomes: Iterable[Outcome], policy: Policy | None = None) -> Cell:
    tally = CellTally(suite(policy), "p", "m")
    for each in outcomes:
        tally.add(each)
    return tally.cell()


def answers(passed: int, failed: int, missing: int = 0) -> list[Outcome]:
    verdicts: list[bool | None] = [True] * passed + [False] * failed + [None] * missing
    return [outcome(f"c{number}", verdict) for number, verdict in enumerate(verdicts)]


def test_counts_sums_and_quantiles() -> None:
    made = [
        outcome(
            f"c{number}",
            number != 3,
            completion=Completion(
                text="a",
                latency_s=float(number),
                usage=Usage(input_tokens=5, output_tokens=number),
                reported_model=f"gpt-{number % 2}",
            ),
        )
        for number in range(5)
    ]
    cell = fold(made)
    assert (cell.n, cell.errors, cell.passed, cell.failed_total) == (5, 0, 4, 1)
    assert cell.pass_rate == cell.score == 0.8
    assert (cell.lower, cell.upper) == wilson(4, 5)
    assert (cell.latency_p50_s, cell.latency_p95_s) == (2.0, pytest.approx(3.8))
    assert (cell.input_tokens, cell.output_tokens, cell.cost_usd) == (25, 10, pytest.approx(0.005))
    assert (cell.calls_made, cell.calls_known) == (5, 0)
    assert cell.reported_models == ("gpt-0", "gpt-1")
    assert [(check.label, check.n, check.passed, check.mean) for check in cell.checks] == [("exact", 5, 4, 0.8)]
    assert [failed.case for failed in cell.failed] == ["c3"]


def test_what_is_unknown_for_one_answer_is_unknown_for_the_sum() -> None:
    silent = outcome("x", True, completion=Completion(text="a", usage=Usage(input_tokens=3)), cost=None)
    cell = fold([*answers(2, 0), silent])
    assert (cell.cost_usd, cell.output_tokens, cell.input_tokens) == (None, None, 23)
    assert cell.latency_p50_s == 0.5


@pytest.mark.parametrize(("stop", "refusals"), [(Stop.REFUSAL, 1), (Stop.FILTER, 1), (Stop.LENGTH, 0), (Stop.END, 0)])
def test_refusals_are_answers_and_counted(stop: Stop, refusals: int) -> None:
    cell = fold([outcome("x", False, completion=Completion(text="no", stop=stop))])
    assert (cell.n, cell.refusals) == (1, refusals)


FLOOR = Policy(floor=0.8)


@pytest.mark.parametrize(
    ("made", "policy", "status", "reason"),
    [
        (answers(4, 0), None, "ok", ""),
        (answers(3, 1), None, "failed", "1 of 4 answers failed"),
        (answers(3, 1), Policy(), "ok", ""),
        (answers(8, 2), FLOOR, "ok", ""),
        (answers(79, 21), FLOOR, "failed", "79 of 100 passed, 79 %: below the floor of 80 %"),
        (answers(0, 0, 3), FLOOR, "unmeasured", "3 of 3 answers missing"),
        (answers(8, 1, 1), FLOOR, "unmeasured", "1 of 10 answers missing"),
        (answers(7, 1, 2), FLOOR, "unmeasured", "2 of 10 answers missing"),  # below the floor now, but they could mend it
        (answers(7, 3, 1), FLOOR, "failed", "even counting 1 missing"),
        (answers(3, 1, 1), None, "failed", "even counting 1 missing"),
        (answers(3, 0, 1), None, "unmeasured", "missing"),
        (answers(3, 1, 1), Policy(), "unmeasured", "missing"),
        ([], None, "unmeasured", "no case"),
        ([outcome("a", False, score=0.9)], Policy(floor=0.8, on="score"), "ok", ""),
        ([outcome("a", True, score=0.7)], Policy(floor=0.8, on="score"), "failed", "mean score 0.7, below the floor of 0.8"),
    ],
)
def test_what_run_judges(made: list[Outcome], policy: Policy | None, status: str, reason: str) -> None:
    cell = fold(made, policy)
    assert (cell.status, reason in cell.reason, bool(cell.reason)) == (status, True, bool(reason))


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ([], ExitCode.UNMEASURED),
        ([answers(1, 0)], ExitCode.OK),
        ([answers(1, 0), answers(1, 0, 1)], ExitCode.UNMEASURED),
        ([answers(1, 0), answers(0, 1)], ExitCode.REGRESSION),
        ([answers(1, 0, 1), answers(0, 1)], ExitCode.REGRESSION),
    ],
)
def test_exit_codes(cells: list[list[Outcome]], code: ExitCode) -> None:
    assert exit_code(fold(made) for made in cells) is code


def test_missing_answers_are_never_zeros() -> None:
    cell = fold(answers(4, 0, 4), Policy())
    assert (cell.pass_rate, cell.score, cell.n, cell.errors) == (1.0, 1.0, 4, 4)
    assert (cell.missing[0].kind, cell.missing[0].message) == ("timeout", "after 60 s")


def test_an_answer_whose_judge_failed_is_missing_but_paid_for() -> None:
    judged = Outcome(
        prompt="p",
        model="m",
        case=Case(id="x", inputs={}),
        call=Call(model=MODEL, messages=ASKED),
        completion=Completion(text="a"),
        cost_usd=0.5,
    )
    cell = fold([judged], Policy())
    assert (cell.n, cell.errors, cell.cost_usd, cell.missing[0].kind) == (0, 1, 0.5, "garbled")


def repeats(case: Case, verdicts: str) -> list[Outcome]:
    return [outcome(case, {"1": True, "0": False, "-": None}[verdict], slot=slot) for slot, verdict in enumerate(verdicts)]


def test_repeats_of_a_case_and_rows_with_equal_inputs_are_one_unit() -> None:
    made = [each for name in "abc" for each in repeats(Case(id=name, inputs={"q": name}), "110")]
    made += repeats(Case(id="a-again", inputs={"q": "a"}), "000")
    cell = fold(made, Policy())
    assert (cell.lower, cell.upper) == pass_interval([(2, 6), (2, 3), (2, 3)])


def test_named_clusters_are_units() -> None:
    made = [outcome(Case(id=str(n), inputs={"q": n}, cluster=f"doc{n % 3}"), n != 0) for n in range(9)]
    assert (fold(made).lower, fold(made).upper) == pass_interval([(2, 3), (3, 3), (3, 3)])


@pytest.mark.parametrize(
    ("verdicts", "status", "passed", "failed_total"),
    [
        ("11100", "ok", 5, 0),
        ("11000", "failed", 0, 3),
        ("111", "ok", 3, 0),
        ("11-00", "unmeasured", 0, 2),
        ("10-00", "failed", 0, 3),
        ("1100011", "failed", 0, 3),
        ("1110000", "ok", 7, 0),
    ],
)
def test_require_lets_a_case_pass_by_its_votes(verdicts: str, status: str, passed: int, failed_total: int) -> None:
    cell = fold(repeats(Case(id="a", inputs={}, require=Require(k=3, of=5)), verdicts))
    assert (cell.status, cell.passed, cell.failed_total, len(cell.failed)) == (status, passed, failed_total, failed_total)


def test_cases_with_votes_do_not_crowd_out_the_sure_ones() -> None:
    voting = [each for n in range(200) for each in repeats(Case(id=f"v{n}", inputs={"q": n}, require=Require(k=1, of=2)), "01")]
    cell = fold([*voting, *answers(0, 60)])
    assert (len(cell.failed), cell.failed_total, cell.failed[0].case) == (LISTED, 60, "c0")


def test_a_listed_case_says_all_that_is_needed_and_is_bounded() -> None:
    case = Case(id="x", inputs={}, expected={"queue": "bug"}, where=Where("suites/t.jsonl", 17))
    huge = outcome(case, False, slot=2, completion=Completion(text="y" * 100_000))
    (failed,) = fold([huge]).failed
    assert (failed.case, failed.slot, failed.where, failed.expected) == ("x", 2, Where("suites/t.jsonl", 17), {"queue": "bug"})
    assert failed.messages == ASKED
    assert failed.checks[0].reason == "no"
    assert len(failed.answer) < KEPT_TEXT + 50
    assert failed.answer.endswith("[80,000 more characters]")


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([True, False, None])), max_size=40), st.randoms(use_true_random=False))
def test_order_changes_no_number(made: list[tuple[int, bool | None]], chance: random.Random) -> None:
    outcomes = [outcome(f"c{case}", verdict, slot=slot) for slot, (case, verdict) in enumerate(made)]
    first, second = fold(outcomes, FLOOR), fold(chance.sample(outcomes, len(outcomes)), FLOOR)
    numbers = ("status", "n", "errors", "passed", "pass_rate", "failed_total", "latency_p95_s", "input_tokens")
    assert [getattr(first, name) for name in numbers] == [getattr(second, name) for name in numbers]
    assert (first.lower is None) == (first.n == 0)
    assert first.lower == pytest.approx(second.lower)


def test_an_outcome_costs_under_200_bytes_however_long_its_answer() -> None:
    long = "z" * 5_000
    tally = CellTally(suite(), "p", "m")
    call = Call(model=MODEL, messages=ASKED)
    check = outcome("x", False).checks
    tracemalloc.start()
    for number in range(20_000):
        case = Case(id=str(number), inputs={"q": number})
        completion = Completion(text=f"{number}{long}", latency_s=0.1, usage=Usage(input_tokens=1, output_tokens=1))
        tally.add(
            Outcome(
                prompt="p", model="m", case=case, call=call, completion=completion, checks=check, passed=number % 2 == 0, score=0.5
            )
        )
    cell = tally.cell()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cell.failed_total == 10_000
    # the 50 listed cases hold 5 kB each
    assert peak - LISTED * 6_000 < 20_000 * 200
