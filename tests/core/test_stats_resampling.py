"""Oracles: scipy's exact permutation test, formulas written out, and coverage by seeded simulation."""

from __future__ import annotations

import math
import random
import statistics

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test, t

from promptreg.core.stats.paired import mcnemar_midp
from promptreg.core.stats.resampling import lower_limit, sign_flip, upper_limit

Cluster = tuple[float, int]

fifths = st.integers(-5, 5).map(lambda n: n / 5)
graded = st.lists(fifths | st.floats(-1, 1), min_size=1, max_size=40).map(lambda ds: [(d, 1) for d in ds])
clustered = st.lists(
    st.integers(1, 6).flatmap(lambda k: st.tuples(st.integers(-5 * k, 5 * k).map(lambda n: n / 5), st.just(k))), max_size=40
)


@settings(max_examples=25)
@given(st.lists(fifths | st.floats(-1, 1).map(lambda d: round(d, 6)), min_size=2, max_size=11).filter(any))
def test_sign_flips_agree_with_scipy(ds: list[float]) -> None:
    def total(values: numpy.ndarray, axis: int) -> numpy.ndarray:
        return numpy.round(numpy.sum(values, axis=axis), 9)  # 0.2 + 0.4 is 0.6, as long as it is a difference of scores

    oracle = permutation_test((numpy.array(ds),), total, permutation_type="samples", alternative="greater", n_resamples=math.inf)
    assert sign_flip([(d, 1) for d in ds], "s") == pytest.approx(oracle.pvalue)


@given(st.integers(0, 150), st.integers(0, 150))
def test_sign_flips_of_right_and_wrong_are_the_exact_mcnemar_test(broken: int, fixed: int) -> None:
    """... whose p is the mid-p plus half of what was seen."""
    if broken + fixed:
        n = broken + fixed
        seen = math.exp(math.lgamma(n + 1) - math.lgamma(broken + 1) - math.lgamma(fixed + 1) - n * math.log(2))
        clusters = [(1.0, 1)] * broken + [(-1.0, 1)] * fixed + [(0.0, 1)] * 9
        assert sign_flip(clusters, "s") == pytest.approx(mcnemar_midp(broken, fixed) + seen / 2)


def test_many_different_sums_are_drawn_and_near_the_normal_limit() -> None:
    chance = random.Random(3)
    ds = [chance.uniform(-1, 1) + 0.05 for _ in range(300)]
    ds = [max(-1.0, min(1.0, d)) for d in ds]
    normal = 1 - statistics.NormalDist().cdf(sum(ds) / math.sqrt(sum(d * d for d in ds)))
    assert sign_flip([(d, 1) for d in ds], "seed") == pytest.approx(normal, abs=0.02)
    assert sign_flip([(d, 1) for d in ds], "seed", draws=9) * 10 == pytest.approx(
        round(sign_flip([(d, 1) for d in ds], "seed", draws=9) * 10)
    )


@pytest.mark.parametrize("clusters", [[], [(0.0, 1)] * 30, [(0.0, 4)], [(0.1 + 0.2 - 0.3, 1)] * 30])
def test_no_difference_is_no_evidence(clusters: list[Cluster]) -> None:
    assert sign_flip(clusters, "s") == 1


def test_whole_clusters_keep_their_sign() -> None:
    assert sign_flip([(5.0, 5)] * 3, "s") == pytest.approx(1 / 8)  # three units of evidence, not fifteen
    assert sign_flip([(1.0, 1)] * 15, "s") == pytest.approx(2**-15)


def test_all_ties_pass_as_the_two_pseudo_cases_allow() -> None:
    error = math.sqrt(62 / 61 * 2) / 62
    assert (
        upper_limit([(0.0, 1)] * 60, 0.05, "s")
        == pytest.approx(t.ppf(0.95, 61) * error, rel=1e-4)
        == pytest.approx(0.038, abs=5e-4)
    )


def test_few_large_clusters_are_not_many_cases() -> None:
    assert upper_limit([(0.0, 100)] * 2, 0.05, "s") > 0.5
    assert upper_limit([(0.0, 100)] * 60, 0.05, "s") == pytest.approx(upper_limit([(0.0, 1)] * 60, 0.05, "s"))


@given(clustered.filter(len))
def test_the_upper_limit_is_never_below_the_t_limit(clusters: list[Cluster]) -> None:
    size = sum(k for _, k in clusters) / len(clusters)
    extended = [*clusters, (size, size), (-size, size)]
    n, groups = sum(k for _, k in extended), len(extended)
    mean = sum(s for s, _ in extended) / n
    error = math.sqrt(groups / (groups - 1) * sum((s - mean * k) ** 2 for s, k in extended)) / n
    assert upper_limit(clusters, 0.05, "s", draws=40) >= min(1.0, mean + t.ppf(0.95, groups - 1) * error) - 2e-3


def test_the_bootstrap_agrees_with_one_in_numpy() -> None:
    chance = numpy.random.default_rng(5)
    for ds in (chance.choice([0.0, 0.6, 0.8], 200, p=[0.85, 0.1, 0.05]), chance.uniform(-0.2, 1, 200)):
        drawn = ds[chance.integers(0, 200, (8000, 200))]
        deviations = (drawn.mean(1) - ds.mean()) / (drawn.std(1, ddof=1) / math.sqrt(200))
        oracle = ds.mean() - numpy.quantile(deviations, 0.05) * ds.std(ddof=1) / math.sqrt(200)
        # both samples are lopsided to the right, where the bootstrap's limit is the greater of the two
        assert upper_limit([(float(d), 1) for d in ds], 0.05, "s") == pytest.approx(oracle, abs=0.004)


@settings(max_examples=40)
@given(graded | clustered, st.randoms(), st.sampled_from(["a", "b"]))
def test_order_plays_no_part(clusters: list[Cluster], chance: random.Random, seed: str) -> None:
    shuffled = chance.sample(clusters, len(clusters))
    assert sign_flip(shuffled, seed, 60) == sign_flip(clusters, seed, 60)
    assert upper_limit(shuffled, 0.05, seed, 60) == upper_limit(clusters, 0.05, seed, 60)


def test_order_plays_no_part_where_much_is_drawn() -> None:
    chance = random.Random(8)
    clusters = [(chance.uniform(-1, 1), 1) for _ in range(120)]
    assert sign_flip(clusters, "s", 500) == sign_flip(clusters[::-1], "s", 500) != sign_flip(clusters, "another", 500)


@given(graded | clustered)
def test_swapping_sides_mirrors_the_limits(clusters: list[Cluster]) -> None:
    mirrored = [(-s, k) for s, k in clusters]
    assert upper_limit(mirrored, 0.05, "s", 40) == -lower_limit(clusters, 0.05, "s", 40)


@given(graded | clustered)
def test_the_limits_hold_each_other(clusters: list[Cluster]) -> None:
    assert -1 <= lower_limit(clusters, 0.05, "s", 40) <= upper_limit(clusters, 0.05, "s", 40) <= 1


def test_rare_collapses_do_not_pass() -> None:
    """A true drop of exactly the margin, made of rare collapses, which the plain t limit passes one time in ten (n = 50)."""
    chance, passed, plain, runs = random.Random(11), 0, 0, 500
    for run in range(runs):
        ds = [0.7 if chance.random() < 0.05 / 0.7 else 0.0 for _ in range(50)]
        passed += upper_limit([(d, 1) for d in ds], 0.05, str(run), 200) < 0.05
        plain += statistics.fmean(ds) + 1.6766 * statistics.stdev(ds) / math.sqrt(50) < 0.05
    assert passed / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs) < plain / runs


def test_a_judge_that_lost_nothing_passes_often_enough() -> None:
    chance, passed, runs = random.Random(12), 0, 100
    for run in range(runs):
        ds = chance.choices([0.0, 0.25, -0.25, 0.5, -0.5], [0.7, 0.1, 0.1, 0.05, 0.05], k=200)
        passed += upper_limit([(d, 1) for d in ds], 0.05, str(run), 400) < 0.05
    assert passed >= 85  # the normal approximation says 93


def test_nothing_counted_limits_nothing() -> None:
    assert (lower_limit([], 0.05, "s"), upper_limit([], 0.05, "s")) == (-1, 1)


@pytest.mark.parametrize("cluster", [(0.0, 0), (1.5, 1), (math.nan, 1), (-3.0, 2)])
def test_what_is_no_cluster_is_refused(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="cluster"):
        sign_flip([cluster], "s")
    with pytest.raises(ValueError, match="cluster"):
        upper_limit([cluster], 0.05, "s")


@pytest.mark.parametrize("alpha", [0.0, 0.6, math.nan])
def test_an_impossible_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        upper_limit([(0.0, 1)], alpha, "s")
