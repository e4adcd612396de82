"""The plan: missing = wanted − known, each call once, with honest figures."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.catalogue import Price
from promptreg.core.plan import ASSUMED_OUTPUT_TOKENS, MESSAGE_TOKENS, Budget, Judgement, Plan, Wanted, estimate, plan, refuse
from promptreg.core.prompt import Message, Parameters
from promptreg.core.run import Call, Fingerprint, ModelIdentity
from promptreg.errors import BudgetExceeded, ExitCode

MODEL = ModelIdentity(facts={"provider": "fake", "model": "m"})
PRICE = Price(input=1.0, output=10.0)


def call(text: str, slot: int = 0, max_tokens: int | None = 16) -> Call:
    messages = (Message(role="user", content=text),)
    return Call(model=MODEL, messages=messages, params=Parameters(max_tokens=max_tokens), slot=slot)


def wanted(text: str, slot: int = 0, judges: int = 0) -> Wanted:
    judgements = tuple(Judgement(model="judge", input_tokens=100, output_tokens=10, price=PRICE) for _ in range(judges))
    return Wanted(model="small", call=call(text, slot), price=PRICE, judgements=judgements)


def knowing(*calls: Call) -> set[Fingerprint]:
    return {each.fingerprint for each in calls}


def answering(known: set[Fingerprint]):  # type: ignore[no-untyped-def]
    return lambda calls: {each.fingerprint for each in calls} & known


samples = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2)), max_size=60)


@given(asked=samples, had=samples)
def test_missing_is_wanted_minus_known(asked: list[tuple[int, int]], had: list[tuple[int, int]]) -> None:
    known = {call(str(text), slot).fingerprint for text, slot in had}
    found = plan((wanted(str(text), slot) for text, slot in asked), answering(known))
    assert found.missing == len(set(asked) - set(had))
    assert sum(line.wanted for line in found.lines) == len(set(asked))
    assert sum(line.known for line in found.lines) == len(set(asked) & set(had))


@given(asked=samples)
def test_nothing_is_missing_once_all_are_known(asked: list[tuple[int, int]]) -> None:
    known = {call(str(text), slot).fingerprint for text, slot in asked}
    found = plan((wanted(str(text), slot) for text, slot in asked), answering(known))
    assert (found.missing, found.to_make, found.usd) == (0, 0, 0.0)
    refuse(found, Budget(usd=0.0, calls=0))


def test_look_ups_are_made_for_many_calls_at_once_and_streaming() -> None:
    sizes: list[int] = []

    def known(calls: Sequence[Call]) -> set[Fingerprint]:
        sizes.append(len(calls))
        return set()

    assert plan((wanted(str(number)) for number in range(1200)), known).missing == 1200
    assert sizes == [500, 500, 200]


def test_price_and_tokens_are_of_missing_calls_only() -> None:
    found = plan([wanted("x" * 40), wanted("y" * 40)], answering(knowing(call("y" * 40))))
    (line,) = found.lines
    assert (line.input_tokens, line.output_tokens, line.open_ended) == (10 + MESSAGE_TOKENS, 16, 0)
    assert line.usd == pytest.approx((14 * 1.0 + 16 * 10.0) / 1e6)


def test_a_call_without_max_tokens_is_open_ended() -> None:
    endless = Wanted(model="small", call=call("x", max_tokens=None), price=PRICE)
    (line,) = plan([endless], answering(set())).lines
    assert (line.output_tokens, line.open_ended) == (ASSUMED_OUTPUT_TOKENS, 1)


def test_tools_count_as_input() -> None:
    plain = call("x")
    tooled = Call(model=MODEL, messages=plain.messages, tools=({"name": "search", "description": "d" * 400},))
    assert estimate(tooled).input >= estimate(plain).input + 100


def test_judges_are_an_upper_bound_and_said_to_be() -> None:
    found = plan([wanted("new", judges=2), wanted("old", judges=2)], answering(knowing(call("old"))))
    judge = found.lines[1]
    assert (judge.model, judge.judgements, judge.rejudgements) == ("judge", 2, 2)
    assert (found.missing, found.to_make, found.exact) == (1, 3, False)
    with pytest.raises(BudgetExceeded, match="up to 3 calls, the budget allows 2"):
        refuse(found, Budget(calls=2))
    refuse(found, Budget(calls=3))


def test_a_model_without_price_is_named() -> None:
    free = Wanted(model="local", call=call("x"))
    found = plan([free], answering(set()))
    assert found.unpriced == ("local",)
    assert found.lines[0].usd is None
    refuse(found, Budget(usd=0.0))


@pytest.mark.parametrize(
    ("budget", "figures"),
    [(Budget(calls=1), ("2 calls", "allows 1")), (Budget(usd=0.0001), ("$0.0003", "allows $0.0001"))],
)
def test_a_budget_refuses_with_figures_and_remedy(budget: Budget, figures: tuple[str, str]) -> None:
    found = plan([wanted("a"), wanted("b")], answering(set()))
    with pytest.raises(BudgetExceeded) as caught:
        refuse(found, budget)
    assert all(figure in caught.value.message for figure in figures)
    assert "promptreg.yaml" in str(caught.value.hint)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.UNMEASURED, "budget")


def test_an_empty_plan_needs_nothing() -> None:
    assert plan([], answering(set())) == Plan()
    assert Plan().as_json() == {"lines": [], "missing": 0, "to_make": 0, "exact": True, "usd": 0, "unpriced": []}
