"""Execute: every task is answered once, in order, and paid for once; failures are retried with patience and never kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from driving import (
    BUSY,
    HANG,
    LIMITED,
    MODEL,
    REFUSED,
    WALL,
    Bench,
    Scripted,
    answer,
    call,
    in_turn,
    outcome,
    task,
    text_of,
    texts,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreg.core.canonical import Digest
from promptreg.core.catalogue import Limits, ModelSpec, Price
from promptreg.core.plan import Budget, Wanted, plan
from promptreg.core.run import Call, Completion, Failure, ModelIdentity, Outcome, Recall, Remember, Score, Task
from promptreg.errors import Interrupted, PromptregError, StoreError, UsageError
from promptreg.execute import Executor, Lane, Patience, Silent
from promptreg.execute.owner import is_gone, new_owner
from promptreg.store import Store

PRICE = Price(input=1e5, output=1e5)  # a dollar for the ten tokens of a scripted answer


class Wall:
    now = WALL

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def store(tmp_path: Path, wall: Wall) -> Iterator[Store]:
    opened = Store.open(tmp_path / "s", wall)
    yield opened
    opened.close()


# ── order, identity, what is known ──


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(6)))
def test_outcomes_come_in_the_order_of_tasks_whatever_finishes_first(order: list[int]) -> None:
    turn = threading.Condition()
    left = list(order)

    def script(asked: Call) -> str:
        with turn:
            turn.wait_for(lambda: left[0] == int(text_of(asked)), timeout=10)
            left.pop(0)
            turn.notify_all()
        return text_of(asked)

    bench = Bench(Scripted(script, concurrency=6))
    assert texts(bench.ask(*range(6))) == [str(number) for number in range(6)]
    assert left == []


said = st.sampled_from(["fine", BUSY, LIMITED, REFUSED])


@settings(max_examples=40, deadline=None)
@given(
    scripts=st.dictionaries(st.integers(0, 8), st.lists(said, min_size=1, max_size=6), min_size=1),
    asked=st.lists(st.integers(0, 8), max_size=20),
    concurrency=st.integers(1, 5),
    window=st.integers(1, 12),
)
def test_every_task_gets_one_outcome_and_only_answers_are_kept(
    tmp_path_factory: pytest.TempPathFactory, scripts: dict[int, list[Any]], asked: list[int], concurrency: int, window: int
) -> None:
    says = {str(number): in_turn(*scripts.get(number, ["fine"])) for number in range(9)}
    provider = Scripted(lambda each: says[text_of(each)](each), concurrency=concurrency)
    store = Store.open(tmp_path_factory.mktemp("s") / "s", lambda: WALL)
    with closing(store):
        bench = Bench(provider, store, retries=10)
        outcomes = bench.run((task(call(number)) for number in asked), window)
        assert [text_of(each.call) for each in outcomes] == [str(number) for number in asked]
        assert provider.most_running <= concurrency
        answered = {each.call.fingerprint for each in outcomes if each.completion}
        assert store.has([call(number).fingerprint for number in range(9)]) == answered
        assert store.owners() == frozenset()
        assert len(set(provider.calls)) <= bench.executor.spent.calls_made <= len(provider.calls)
        before = len(provider.calls)
        again = bench.run((task(call(number)) for number in asked if call(number).fingerprint in answered), window)
        assert len(provider.calls) == before
        assert all(each.completion for each in again)


def test_a_second_run_asks_nobody_and_its_plan_is_empty(store: Store) -> None:
    bench = Bench(Scripted(), store)
    wanted = [Wanted(model="m", call=call(number)) for number in range(5)]
    assert plan(wanted, bench.executor.known).missing == 5
    first = bench.ask(*range(5))
    assert plan(wanted, bench.executor.known).missing == 0
    again = Bench(Scripted(), store)
    assert [each.completion for each in again.ask(*range(5))] == [each.completion for each in first]
    assert again.provider.calls == []
    assert (again.executor.spent.calls_made, again.executor.spent.calls_known) == (0, 5)
    assert all(each.calls_known == 1 for each in again.ask(*range(5)))


def test_answers_older_than_since_are_asked_for_anew_and_the_old_one_stays(store: Store) -> None:
    old = Completion(text="old", observed_at=WALL - 100)
    store.put(call().key, 0, old)
    assert texts(Bench(Scripted(), store, since=WALL - 200).ask("hello")) == ["old"]
    assert texts(Bench(Scripted(), store, since=WALL - 50).ask("hello")) == ["hello"]
    assert texts(Bench(Scripted(), store).ask("hello")) == ["old"]


@pytest.mark.parametrize("stored", [True, False])
def test_identical_calls_in_flight_are_made_once(stored: bool) -> None:
    bench = Bench(Scripted(stored=stored, concurrency=4))
    outcomes = bench.ask("a", "a", "b", "a")
    assert texts(outcomes) == ["a", "a", "b", "a"]
    assert sorted(bench.provider.calls) == ["a", "b"]
    if stored:
        assert [each.calls_made for each in outcomes] == [1, 0, 1, 0]


def test_samples_of_one_call_are_different_calls() -> None:
    bench = Bench(Scripted())
    bench.run(task(call("a", slot)) for slot in range(3))
    assert bench.provider.calls == ["a"] * 3


def test_what_was_received_is_dated_and_timed(store: Store) -> None:
    (found,) = Bench(Scripted(), store).ask("a")
    assert found.completion is not None
    assert (found.completion.observed_at, found.completion.latency_s) == (WALL, 0.0)
    assert store.known([found.call.fingerprint])[found.call.fingerprint] == found.completion


def test_a_task_may_ask_several_times_and_remember_scores(store: Store) -> None:
    key = Digest("sha256:score")

    def judged(text: str) -> Task:
        score = yield Recall(key)
        first = yield call(text)
        second = yield call(f"judge {first.result.text}")  # type: ignore[union-attr]
        yield Remember(key, Score(value=0.5))
        assert (yield Recall(key)) == Score(value=0.5)
        return outcome(call(str(score)), second)  # type: ignore[arg-type]

    bench = Bench(Scripted(), store)
    (found,) = bench.run([judged("x")])
    assert texts([found]) == ["judge x"]
    assert bench.provider.calls == ["x", "judge x"]
    assert store.score(key) == Score(value=0.5)


def test_at_most_a_window_of_tasks_is_under_way() -> None:
    alive = most = 0

    def counted(number: int) -> Task:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        return task(call(number))

    bench = Bench(Scripted())
    for each in bench.executor.run((counted(number) for number in range(50)), 7):
        assert each.completion
        alive -= 1
    assert most <= 7


def test_nothing_to_do() -> None:
    assert Bench(Scripted()).ask() == []


def test_two_runs_at_once_are_refused() -> None:
    bench = Bench(Scripted())
    with closing(bench.executor.run([task(call())] * 1)) as first:  # type: ignore[type-var]
        next(first)
        with pytest.raises(PromptregError, match="one run at a time"):
            bench.ask("x")


# ── providers that are not worth storing ──


@pytest.mark.parametrize("concurrency", [1, 4])
def test_unstored_answers_bypass_store_claims_and_budget(store: Store, concurrency: int) -> None:
    bench = Bench(Scripted(stored=False, concurrency=concurrency), store, budget=Budget(usd=0, calls=0), price=PRICE)
    assert texts(bench.ask("a", "b")) == ["a", "b"]
    assert store.stats()["answers"] == 0
    spent = bench.executor.spent
    assert (spent.calls_made, spent.calls_known, spent.usd) == (0, 2, 0.0)
    assert bench.executor.known([call("a")]) == {call("a").fingerprint}


def test_a_single_file_recording_is_asked_where_it_stands() -> None:
    threads: set[str] = set()

    def script(asked: Call) -> Any:
        threads.add(threading.current_thread().name)
        return Failure(kind="no_recording", message="none") if text_of(asked) == "b" else text_of(asked)

    bench = Bench(Scripted(script, stored=False, concurrency=1))
    assert texts(bench.ask("a", "b", "a")) == ["a", "<no_recording>", "a"]
    assert threads == {threading.current_thread().name}
    assert bench.executor.spent.calls_failed == 1


# ── failures ──


def test_a_retryable_failure_is_tried_again_with_growing_waits() -> None:
    bench = Bench(Scripted(in_turn(BUSY, BUSY, BUSY, "fine")))
    assert texts(bench.ask("a")) == ["fine"]
    assert bench.clock.passed == pytest.approx(0.5 + 1 + 2)
    assert bench.executor.spent.retries == 3
    assert bench.executor.spent.calls_made == 1


def test_jitter_is_full() -> None:
    assert Bench(Scripted(in_turn(BUSY, "fine")), chance=lambda: 0.1).ask("a")
    bench = Bench(Scripted(in_turn(BUSY, "fine")), chance=lambda: 0.1)
    bench.ask("a")
    assert bench.clock.passed == pytest.approx(0.05)


@pytest.mark.parametrize(("retries", "tries"), [(0, 1), (2, 3)])
def test_retries_end(retries: int, tries: int, store: Store) -> None:
    bench = Bench(Scripted(lambda _: BUSY), store, retries=retries)
    assert texts(bench.ask("a")) == ["<server>"]
    assert len(bench.provider.calls) == tries
    assert store.stats()["answers"] == 0
    assert store.owners() == frozenset()


def test_a_fault_of_the_request_is_not_tried_again() -> None:
    bench = Bench(Scripted(lambda _: REFUSED))
    assert texts(bench.ask("a")) == ["<request>"]
    assert bench.provider.calls == ["a"]


def test_a_rate_limit_has_a_count_of_its_own() -> None:
    bench = Bench(Scripted(in_turn(*[LIMITED] * 6, "fine"), concurrency=1), retries=2)
    assert texts(bench.ask("a")) == ["fine"]


def test_retry_after_is_honoured_by_the_whole_lane() -> None:
    wait = Failure(kind="rate_limit", message="429", retryable=True, retry_after_s=50)
    bench = Bench(Scripted(in_turn(wait, "fine"), concurrency=1))
    assert texts(bench.ask("a", "b")) == ["fine", "fine"]
    assert bench.clock.passed == pytest.approx(50)


def test_a_provider_that_asks_for_an_hour_is_not_waited_for() -> None:
    wait = Failure(kind="rate_limit", message="429", retryable=True, retry_after_s=3600)
    bench = Bench(Scripted(in_turn(wait, "fine"), concurrency=1))
    assert texts(bench.ask("a", "b")) == ["<rate_limit>", "fine"]
    assert bench.clock.passed == 0


@pytest.mark.parametrize("said", [ValueError("boom"), SystemExit(3)])
def test_a_provider_that_raises_is_a_failure_of_that_call(said: BaseException) -> None:
    def script(asked: Call) -> str:
        if text_of(asked) == "b":
            raise said
        return text_of(asked)

    outcomes = Bench(Scripted(script, concurrency=1)).ask("a", "b", "c")
    assert texts(outcomes) == ["a", "<plugin>", "c"]
    assert type(said).__name__ in outcomes[1].failure.message  # type: ignore[union-attr]


def test_a_provider_that_returns_nonsense_is_a_failure() -> None:
    assert texts(Bench(Scripted(lambda _: 42)).ask("a")) == ["<plugin>"]


def test_the_users_mistake_surfaces_and_answers_are_kept(store: Store) -> None:
    def script(asked: Call) -> str:
        if text_of(asked) == "b":
            raise UsageError("OPENAI_API_KEY is not set", hint="export it")
        return text_of(asked)

    bench = Bench(Scripted(script, concurrency=1), store)
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        bench.ask("a", "b", "c")
    assert store.stats()["answers"] == 1
    assert store.owners() == frozenset()


def test_an_answer_that_no_json_can_carry_is_garbled(store: Store) -> None:
    bench = Bench(Scripted(lambda asked: answer("\ud800") if text_of(asked) == "a" else "fine"), store)
    assert texts(bench.ask("a", "b")) == ["<garbled>", "fine"]


def test_a_model_without_a_lane_is_our_bug() -> None:
    stranger = ModelIdentity(facts={"provider": "x", "model": "y"})
    with pytest.raises(PromptregError, match="no lane"):
        Bench(Scripted()).run([task(call("a", model=stranger))])


# ── providers that hang or die ──


def test_a_hung_call_is_given_up_and_its_worker_replaced() -> None:
    provider = Scripted(lambda asked: HANG if text_of(asked) == "b" else text_of(asked), concurrency=1)
    bench = Bench(provider, timeout_s=10, retries=0)
    assert texts(bench.ask("a", "b", "c", "d")) == ["a", "<timeout>", "c", "d"]
    assert bench.clock.passed == pytest.approx(11)
    provider.release()


def test_a_hung_call_is_tried_again() -> None:
    provider = Scripted(in_turn(HANG, "fine"), concurrency=1)
    bench = Bench(provider, timeout_s=10)
    assert texts(bench.ask("a")) == ["fine"]
    provider.release()


def test_a_late_answer_of_an_abandoned_try_disturbs_nobody() -> None:
    provider = Scripted(in_turn(HANG, HANG, "fine"), concurrency=1)
    bench = Bench(provider, timeout_s=10)
    for each in bench.executor.run(task(call(number)) for number in range(20)):
        assert each.completion is not None
        assert each.completion.text == "fine"
        provider.release()


def test_a_dead_provider_is_asked_a_few_times_and_then_left_alone() -> None:
    bench = Bench(Scripted(lambda _: BUSY, concurrency=8), retries=0)
    found = texts(bench.ask(*range(500)))
    assert set(found) == {"<server>", "<provider_down>"}
    assert len(bench.provider.calls) <= 10 + 8 + 3
    assert bench.clock.passed == pytest.approx(1 + 2 + 4)


def test_a_provider_that_comes_back_loses_nobody() -> None:
    said = in_turn(*[BUSY] * 11, "fine")
    bench = Bench(Scripted(said, concurrency=1), retries=20)
    assert texts(bench.ask(*range(5))) == ["fine"] * 5


def test_a_provider_that_is_down_is_probed_again_later() -> None:
    bench = Bench(Scripted(in_turn(*[BUSY] * 13, "fine"), concurrency=1), retries=0)
    assert texts(bench.ask(*range(20)))[-1] == "<provider_down>"
    assert texts(bench.ask(20, 21)) == ["<provider_down>"] * 2
    bench.clock.advance(30)
    assert texts(bench.ask(22)) == ["fine"]
    assert texts(bench.ask(23, 24)) == ["fine"] * 2


def test_a_bad_key_is_shown_as_such_for_all_calls() -> None:
    refused = Failure(kind="auth", message="HTTP 401: incorrect API key")
    bench = Bench(Scripted(lambda _: refused, concurrency=1))
    outcomes = bench.ask(*range(100))
    assert texts(outcomes) == ["<auth>"] * 100
    assert outcomes[-1].failure.message == refused.message  # type: ignore[union-attr]
    assert len(bench.provider.calls) == 3


# ── pace ──


def test_requests_per_minute() -> None:
    bench = Bench(Scripted(), requests_per_minute=60)
    bench.ask(*range(5))
    assert bench.clock.passed == pytest.approx(4)


def test_tokens_per_minute_wait_for_estimates_and_settle_for_what_was_used() -> None:
    bench = Bench(Scripted(concurrency=1), tokens_per_minute=600)  # ten a second; a call is estimated at 15, uses 10
    bench.ask(*range(4))
    assert 2 <= bench.clock.passed <= 4


def test_too_many_requests_slow_the_lane_down_until_it_fits() -> None:
    refused = 0
    lock, both = threading.Lock(), threading.Barrier(8)

    def script(asked: Call) -> Any:
        nonlocal refused
        if int(text_of(asked)) < 8 and refused < 8:
            both.wait(10)  # the first eight arrive together
            with lock:
                refused += 1
            return LIMITED
        return text_of(asked)

    bench = Bench(Scripted(script, concurrency=8))
    assert texts(bench.ask(*range(60))) == [str(number) for number in range(60)]
    assert bench.executor.spent.retries == 8
    assert bench.executor.traffic[MODEL.digest].throttle.limit == 8  # halved once, and back again after the successes
    slow = Bench(Scripted(in_turn(*[LIMITED] * 3, "fine"), concurrency=8))
    slow.ask(0)
    assert slow.executor.traffic[MODEL.digest].throttle.limit == 2  # 8, 4, 2, 1, and one more for the success


def test_the_catalogue_sets_the_lane() -> None:
    spec = ModelSpec(alias="a", provider="scripted", model="m", price=PRICE, limits=Limits(concurrency=3, timeout_s=7, retries=1))
    provider = Scripted(concurrency=9)
    lane = Lane.of(spec, provider, since=5.0)
    assert (lane.concurrency, lane.timeout_s, lane.retries, lane.price, lane.since) == (3, 7, 1, PRICE, 5.0)
    assert Lane.of(spec, provider, concurrency=2).concurrency == 2
    bare = Lane.of(ModelSpec(alias="a", provider="scripted", model="m"), provider)
    assert bare.concurrency == 9
    assert (bare.timeout_s, bare.retries) == (120, 4)


# ── budget ──


def test_a_budget_of_calls_stops_the_run_and_known_answers_stay_free(store: Store) -> None:
    Bench(Scripted(), store).ask("known")
    bench = Bench(Scripted(concurrency=1), store, budget=Budget(calls=2))
    assert texts(bench.ask("a", "known", "b", "c", "d")) == ["a", "known", "b", "<budget>", "<budget>"]
    assert bench.provider.calls == ["a", "b"]
    assert store.owners() == frozenset()


def test_a_budget_of_dollars_is_never_overdrawn_however_many_are_in_flight() -> None:
    bench = Bench(Scripted(concurrency=8), budget=Budget(usd=5.4), price=PRICE)  # estimated 1.5, costs 1.0 each
    found = texts(bench.ask(*range(20)))
    assert found.count("<budget>") == 16
    assert bench.executor.spent.usd == pytest.approx(4.0)
    assert len(bench.provider.calls) == 4


def test_a_failed_call_gives_its_share_back() -> None:
    bench = Bench(Scripted(in_turn(REFUSED, REFUSED, REFUSED, "fine"), concurrency=1), budget=Budget(usd=1.7), price=PRICE)
    assert texts(bench.ask(*range(4))) == ["<request>"] * 3 + ["fine"]


def test_the_account() -> None:
    bench = Bench(Scripted(lambda asked: REFUSED if text_of(asked) == "c" else text_of(asked)), price=PRICE)
    bench.ask("a", "b", "a", "c")
    spent = bench.executor.spent
    assert (spent.calls_made, spent.calls_known, spent.calls_failed) == (3, 1, 1)
    assert (spent.input_tokens, spent.output_tokens, spent.tokens) == (10, 10, 20)
    assert spent.usd == pytest.approx(2.0)


# ── watching ──


class Watching(Silent):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def started(self, total: int | None) -> None:
        self.seen.append(f"started {total}")

    def call_made(self, call: Call, completion: Completion, usd: float | None) -> None:
        self.seen.append(f"made {completion.text} {usd}")

    def call_known(self, call: Call, completion: Completion) -> None:
        self.seen.append(f"known {completion.text}")

    def call_failed(self, call: Call, failure: Failure) -> None:
        self.seen.append(f"failed {failure.kind}")

    def retrying(self, call: Call, failure: Failure, delay_s: float) -> None:
        self.seen.append(f"retrying {delay_s}")

    def finished(self, outcome: Outcome) -> None:
        self.seen.append("finished")


def test_a_watcher_hears_of_everything_once() -> None:
    watching, answers = Watching(), []
    bench = Bench(
        Scripted(in_turn(BUSY, "fine", REFUSED), concurrency=1),
        price=PRICE,
        progress=watching,
        on_answer=lambda asked, completion: answers.append((text_of(asked), completion.text)),
    )
    tasks = [task(call("a")), task(call("a"))]
    list(bench.executor.run(tasks, total=2))
    list(bench.executor.run([task(call("b"))]))
    assert watching.seen == [
        "started 2",
        "retrying 0.5",
        "made fine 1.0",
        "known fine",
        "finished",
        "finished",
        "started None",
        "failed request",
        "finished",
    ]
    assert answers == [("a", "fine")]


# ── ending early ──


def test_a_caller_that_stops_early_keeps_what_was_in_flight(store: Store) -> None:
    bench = Bench(Scripted(concurrency=4), store)
    with closing(bench.executor.run(task(call(number)) for number in range(1000))) as outcomes:
        next(outcomes)
    assert store.stats()["answers"] == len(bench.provider.calls) < 1000
    assert store.owners() == frozenset()


def test_ctrl_c_keeps_what_was_in_flight(store: Store) -> None:
    def interrupted() -> Task:
        yield call("first")
        raise KeyboardInterrupt

    bench = Bench(Scripted(concurrency=4), store)
    tasks = [interrupted(), *(task(call(number)) for number in range(1000))]
    with pytest.raises(Interrupted, match="answers received so far are kept") as caught:
        bench.run(tasks)
    assert caught.value.exit_code == 130
    assert store.stats()["answers"] == len(bench.provider.calls)
    assert store.owners() == frozenset()


def test_the_grace_after_ctrl_c_ends(store: Store) -> None:
    provider = Scripted(lambda asked: HANG if text_of(asked) == "slow" else "fine", concurrency=2)

    def interrupted() -> Task:
        yield call("first")
        raise KeyboardInterrupt

    bench = Bench(provider, store)
    with pytest.raises(Interrupted):
        bench.run([task(call("slow")), interrupted()])
    assert bench.clock.passed == pytest.approx(Patience().grace_s)
    assert store.owners() == frozenset()
    provider.release()
    assert texts(bench.ask("first")) == ["fine"]


def test_an_error_in_the_data_keeps_what_was_in_flight(store: Store) -> None:
    def tasks() -> Iterator[Task]:
        yield from (task(call(number)) for number in range(100))
        raise UsageError("row 101 is faulty")

    bench = Bench(Scripted(), store)
    with pytest.raises(UsageError, match="row 101"):
        bench.run(tasks(), 10)
    assert store.stats()["answers"] == len(bench.provider.calls) > 0


def test_a_store_that_breaks_is_said(store: Store) -> None:
    bench = Bench(Scripted(lambda asked: text_of(asked) * 5000), store, concurrency=1)
    store._db.execute("PRAGMA max_page_count = 12")
    with pytest.raises(StoreError, match="full"):
        bench.run(task(call("".join(chr(97 + (number * step) % 26) for step in range(30)))) for number in range(300))


# ── several processes ──


def test_a_call_that_another_process_makes_is_waited_for(store: Store, wall: Wall) -> None:
    store.claim(call("a").fingerprint, "another", 1000)
    bench = Bench(Scripted(), store)

    def meanwhile() -> None:
        if bench.clock.passed > 5:
            store.put(call("a").key, 0, Completion(text="theirs", observed_at=WALL))
            store.release(call("a").fingerprint, "another")

    bench.clock.before_jump = meanwhile
    assert texts(bench.ask("a", "b")) == ["theirs", "b"]
    assert bench.provider.calls == ["b"]


def test_a_call_whose_claim_has_run_out_is_taken_over(store: Store, wall: Wall) -> None:
    store.claim(call("a").fingerprint, "another", 20)
    bench = Bench(Scripted(), store)
    bench.clock.before_jump = lambda: setattr(wall, "now", bench.clock.wall())
    assert texts(bench.ask("a", "b")) == ["a", "b"]
    assert 20 <= bench.clock.passed <= 22


def test_a_call_of_a_dead_process_is_taken_over_at_once(store: Store) -> None:
    machine = new_owner().split("|")[0]
    store.claim(call("a").fingerprint, f"{machine}|999999999|x", 1000)
    bench = Bench(Scripted(), store)
    assert texts(bench.ask("a")) == ["a"]
    assert bench.clock.passed < 1


def test_owners_of_other_machines_and_the_living_are_not_gone() -> None:
    mine = new_owner()
    assert not is_gone(mine)
    assert new_owner() != mine
    assert not is_gone("elsewhere/pid:[1]|999999999|x")
    assert not is_gone("nonsense")
    assert not is_gone(f"{mine.split('|')[0]}|{10**30}|x")


def test_the_claim_of_a_long_call_is_renewed(store: Store, wall: Wall) -> None:
    provider = Scripted(in_turn(HANG), concurrency=1)
    bench = Bench(provider, store, timeout_s=10_000)
    taken: list[bool] = []

    def meanwhile() -> None:
        wall.now = bench.clock.wall()
        taken.append(store.claim(call("a").fingerprint, "thief", 10))
        if bench.clock.passed > 200:
            provider.release()

    bench.clock.before_jump = meanwhile
    assert texts(bench.ask("a")) == ["too late"]
    assert len(taken) > 10
    assert not any(taken)


def test_an_answer_that_came_between_look_and_claim_is_used(store: Store) -> None:
    class Late(Store):
        """Another process answers after the look-up and before the claim."""

        def claim(self, fingerprint: Any, owner: str, lease_s: float) -> bool:
            raise AssertionError("a known call was claimed")

    late = Late(store.path, store._db, lambda: WALL)
    looks = 0
    known = late.known

    def look(fingerprints: Any, *, since: float | None = None) -> Any:
        nonlocal looks
        looks += 1
        if looks == 2:
            store.put(call("a").key, 0, Completion(text="theirs", observed_at=WALL))
        return known(fingerprints, since=since)

    late.known = look  # type: ignore[method-assign]
    bench = Bench(Scripted(), late)
    assert texts(bench.ask("a")) == ["theirs"]
    assert bench.provider.calls == []


def test_lanes_share_a_run() -> None:
    other = ModelIdentity(facts={"provider": "scripted", "model": "other"})
    one, two = Scripted(lambda _: "one"), Scripted(lambda _: "two")
    executor = Executor({MODEL.digest: Lane(provider=one), other.digest: Lane(provider=two)})
    with executor:
        found = list(executor.run(task(call(number, model=model)) for number in range(3) for model in (MODEL, other)))
    assert texts(found) == ["one", "two"] * 3
