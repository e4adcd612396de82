"""Buckets, throttle, breaker and backoff as arithmetic."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.run import Failure
from promptreg.execute.pace import Breaker, Bucket, Patience, Throttle, backoff_s

DOWN = Failure(kind="connection", message="connection refused", retryable=True)
BAD_KEY = Failure(kind="auth", message="HTTP 401")
PATIENCE = Patience(failures_in_a_row=3, pauses_s=(1.0, 2.0), down_s=30.0, refused_keys=2)


@given(per_minute=st.floats(1, 6000), costs=st.lists(st.floats(0.1, 50), min_size=1, max_size=30))
def test_a_bucket_never_gives_more_than_its_rate_and_one_capacity(per_minute: float, costs: list[float]) -> None:
    bucket, now, given_out = Bucket(per_minute, 0.0), 0.0, 0.0
    for cost in costs:
        now += bucket.wait_s(cost, now)
        assert bucket.wait_s(cost, now) <= 1e-6
        given_out += cost
        bucket.take(cost, now)
        capacity = max(1.0, per_minute / 60)
        assert given_out <= capacity + now * per_minute / 60 + max(costs) + 1e-6


def test_a_bucket_takes_back_what_was_estimated_too_high() -> None:
    bucket = Bucket(600, 0.0)
    bucket.take(10, 0.0)
    assert bucket.wait_s(5, 0.0) == pytest.approx(0.5)
    bucket.take(-5, 0.0)
    assert bucket.wait_s(5, 0.0) == 0
    bucket.take(-1000, 0.0)
    bucket.take(10, 0.0)
    assert bucket.wait_s(1, 0.0) > 0


def test_a_burst_of_refusals_halves_once() -> None:
    throttle = Throttle(64)
    assert throttle.refused(began=0.0, now=1.0)
    assert not any(throttle.refused(began=0.5, now=1.1) for _ in range(63))
    assert throttle.limit == 32
    assert throttle.refused(began=1.0, now=2.0)
    assert throttle.limit == 16


def test_concurrency_creeps_up_by_one_for_each_round_and_stays_below_its_ceiling() -> None:
    throttle = Throttle(8)
    throttle.refused(began=0.0, now=1.0)
    for _ in range(4):
        throttle.succeeded()
    assert 4 <= throttle.limit <= 5
    for _ in range(100):
        throttle.succeeded()
    assert throttle.limit == 8


@given(steps=st.lists(st.booleans(), max_size=60))
def test_concurrency_stays_between_one_and_the_ceiling(steps: list[bool]) -> None:
    throttle = Throttle(5)
    for moment, succeeded in enumerate(steps):
        if succeeded:
            throttle.succeeded()
        else:
            throttle.refused(began=float(moment), now=float(moment))
        assert 1 <= throttle.limit <= 5


def opened(failure: Failure = DOWN, count: int = 3) -> Breaker:
    breaker = Breaker(PATIENCE)
    for _ in range(count):
        assert breaker.wait_s(0.0) == 0
        assert not breaker.send()
        breaker.failed(failure, probe=False, now=0.0)
    return breaker


def test_failures_in_a_row_hold_calls_back_and_a_probe_lets_them_go() -> None:
    breaker = opened()
    assert breaker.wait_s(0.0) == 1
    assert breaker.wait_s(1.0) == 0
    assert breaker.send()
    assert breaker.wait_s(1.0) == math.inf
    breaker.alive()
    assert breaker.wait_s(1.0) == 0
    assert not breaker.send()


def test_an_answer_in_between_starts_the_row_anew() -> None:
    breaker = opened(count=2)
    breaker.alive()
    breaker.failed(DOWN, probe=False, now=0.0)
    assert breaker.wait_s(0.0) == 0


def test_when_every_probe_fails_the_provider_is_down_until_one_succeeds() -> None:
    breaker = opened()
    for now, pause in ((1.0, 2.0), (3.0, 30.0)):
        assert breaker.down is None
        assert breaker.send()
        breaker.failed(DOWN, probe=True, now=now)
        assert breaker.wait_s(now) == pause
    assert breaker.down is not None
    assert breaker.down.kind == "provider_down"
    assert "connection refused" in breaker.down.message
    assert breaker.send()
    breaker.failed(DOWN, probe=True, now=33.0)
    assert breaker.down is not None
    assert breaker.wait_s(33.0) == 30
    breaker.alive()
    assert breaker.down is None


def test_stragglers_say_nothing_new() -> None:
    breaker = opened()
    for _ in range(20):
        breaker.failed(DOWN, probe=False, now=0.5)
    assert breaker.wait_s(0.5) == 0.5
    assert breaker.down is None


def test_a_refused_key_needs_no_probe() -> None:
    breaker = opened(BAD_KEY, count=2)
    assert breaker.down == BAD_KEY


def test_a_forgotten_probe_does_not_block_the_next_run() -> None:
    breaker = opened()
    breaker.send()
    breaker.forget_probe()
    assert breaker.wait_s(1.0) == 0


@pytest.mark.parametrize(("tries", "most"), [(1, 0.5), (2, 1.0), (4, 4.0), (7, 30.0), (10_000, 30.0)])
def test_backoff_doubles_up_to_its_limit_with_full_jitter(tries: int, most: float) -> None:
    assert backoff_s(tries, Patience(), lambda: 1.0) == most
    assert backoff_s(tries, Patience(), lambda: 0.25) == most / 4
