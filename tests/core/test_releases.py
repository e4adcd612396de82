"""The fold over tags, and what selectors resolve to: against a naive model, in any order of reading."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.refs import label_tag, parse_selector, release_tag, withdraw_tag
from promptreg.core.releases import Move, Release, State, TagObject, block, entry, fold
from promptreg.core.resolve import resolve
from promptreg.core.semver import Version, parse_version
from promptreg.errors import UsageError

START = 1_700_000_000


def tag(ref: object, commit: str = "c1", time: int | None = START, body: str = "", **more: object) -> TagObject:
    return TagObject(str(ref), f"oid of {ref}", commit, tagger="Ada", email="ada@example.com", time=time, body=body, **more)  # type: ignore[arg-type]


HISTORY = (
    tag("triage@v1.0.0", "c1", START),
    tag("triage@v1.1.0", "c2", START + 10),
    tag("triage#production#1", "c1", START + 11),
    tag("triage#staging#2", "c2", START + 12),
    tag("triage#production#3", "c2", START + 13),
    tag("triage@v2.0.0-rc.1", "c3", START + 20),
    tag("triage@v1.0.1", "c4", START + 30),
    tag("triage#production#4", "c1", START + 31, "Roll back\n\n---\nversion: 1.0.0\n"),
    tag("triage#staging!#5", "c2", START + 32),
    tag("triage@v1.1.0!", "c2", START + 40, "Leaks the system message.\n"),
    tag("other@v0.1.0", "c1", START),
    tag("old@v1.0.0", "c1", START),
    tag("old@deprecated", "c1", START, "Nobody asks.\n\n---\nreplacement: triage@^1\n"),
    tag("v3.2.1", "c9"),
)


def found(selector: str, state: State | None = None, name: str = "triage") -> str:
    return str(resolve(state or fold(HISTORY), name, parse_selector(selector)).version)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("selector", "version"),
    [
        ("1.0.0", "1.0.0"),
        ("v1.0.0", "1.0.0"),
        ("^1", "1.0.1"),
        ("~1.0", "1.0.1"),
        (">=1,<1.0.1", "1.0.0"),
        ("*", "1.0.1"),
        (">=2.0.0-alpha", "2.0.0-rc.1"),
        ("2.0.0-rc.1", "2.0.0-rc.1"),
        ("latest", "1.0.1"),
        ("greatest", "1.0.1"),
        ("production", "1.0.0"),
    ],
)
def test_resolving(selector: str, version: str) -> None:
    assert found(selector) == version


@pytest.mark.parametrize(
    ("name", "selector", "message", "hint"),
    [
        (
            "triage",
            "1.1.0",
            "triage@1.1.0 is 1.1.0, which Ada withdrew: Leaks the system message.",
            "releases: 2.0.0-rc.1, 1.0.1, 1.0.0",
        ),
        ("triage", "1.0.2", "triage has no release 1.0.2; did you mean '1.0.1'?", "labels: production"),
        ("triage", "^3", "triage has no release ^3", "releases: 2.0.0-rc.1, 1.0.1, 1.0.0; labels: production"),
        ("triage", "^2", "triage has no release ^2", "releases: 2.0.0-rc.1"),
        ("triage", "prodution", "triage has no label 'prodution'; did you mean 'production'?", "labels: production"),
        ("triage", "lastest", "triage has no label 'lastest'; did you mean 'latest'?", "releases:"),
        ("triage", "staging", "triage has no label 'staging' any more: Ada removed it", "labels: production"),
        ("triag", "latest", "triag has no releases; did you mean 'triage'?", "promptreg release triag"),
        ("nothing/like/it", "production", "nothing/like/it has no releases", ""),
    ],
)
def test_errors_say_what_exists(name: str, selector: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        found(selector, name=name)
    assert caught.value.message == message
    assert hint in (caught.value.hint or "")


def test_only_prereleases_must_be_named() -> None:
    state = fold([tag("a@v1.0.0-rc.1"), tag("a@v1.0.0-rc.2", "c2")])
    for selector in ("latest", "greatest", "^1"):
        with pytest.raises(UsageError, match="there are only prereleases, which must be named"):
            found(selector, state, "a")
    assert found("^1.0.0-0", state, "a") == "1.0.0-rc.2"


def test_many_releases_are_not_all_listed() -> None:
    state = fold([tag(f"a@v1.{minor}.0", f"c{minor}") for minor in range(30)])
    with pytest.raises(UsageError) as caught:
        found("^2", state, "a")
    assert caught.value.hint == "releases: 1.29.0, 1.28.0, 1.27.0, 1.26.0, 1.25.0, 1.24.0, 1.23.0, 1.22.0 and 22 more"


def test_a_build_need_not_be_named_unless_it_must() -> None:
    state = fold([tag("a@v1.0.0+b1"), tag("a@v2.0.0+b1", "c2"), tag("a@v2.0.0+b2", "c3")])
    assert found("1.0.0", state, "a") == "1.0.0+b1"
    assert found("2.0.0+b1", state, "a") == "2.0.0+b1"
    with pytest.raises(UsageError, match=r"a@2\.0\.0 is ambiguous: 2\.0\.0\+b1, 2\.0\.0\+b2"):
        found("2.0.0", state, "a")
    with pytest.raises(UsageError, match=r"no release 1\.0\.0\+other"):
        found("1.0.0+other", state, "a")


def test_what_production_was_at_a_time() -> None:
    state = fold(HISTORY)
    for time, version in ((11, "1.0.0"), (12, "1.0.0"), (13, "1.1.0"), (30, "1.1.0"), (31, "1.0.0")):
        assert found("production", state.at(START + time)) == version
    with pytest.raises(UsageError, match="no label 'production'"):
        found("production", state.at(START + 10))
    assert found("1.1.0", state.at(START + 39)) == "1.1.0"
    with pytest.raises(UsageError, match="has no releases"):
        found("latest", state.at(START - 1))


def test_the_history_of_labels() -> None:
    artefact = fold(HISTORY).artefact("triage")
    assert [(str(move.version), move.event.tag.counter) for move in artefact.moves["production"]] == [
        ("1.0.0", 1),
        ("1.1.0", 3),
        ("1.0.0", 4),
    ]
    assert artefact.labels.keys() == {"production"}
    assert (artefact.next_counter, artefact.labels["production"].event.by.email) == (6, "ada@example.com")
    assert [str(version) for version in artefact.releases] == ["1.0.0", "1.0.1", "1.1.0", "2.0.0-rc.1"]
    assert fold(HISTORY).names == ("old", "other", "triage")


def test_deprecation_names_its_replacement() -> None:
    state = fold(HISTORY)
    going = state.artefact("old").deprecation
    assert going is not None
    assert (going.reason, going.replacement) == ("Nobody asks.", "triage@^1")
    assert found("latest", state, "old") == "1.0.0"
    assert state.artefact("triage").deprecation is None
    forged = fold([tag("a@deprecated", body="x\n\n---\nreplacement: --upload-pack=x\n")]).artefact("a").deprecation
    assert forged is not None
    assert forged.replacement == ""


def test_the_counter_decides_and_time_breaks_ties() -> None:
    releases = [tag("a@v1.0.0", "c1"), tag("a@v2.0.0", "c2")]
    clocks = [tag("a#p#2", "c2", START - 500), tag("a#p#1", "c1", START + 500)]
    assert found("p", fold([*releases, *clocks]), "a") == "2.0.0"
    eleven = [tag(f"a#p#{n}", "c1" if n < 11 else "c2", START) for n in range(1, 12)]
    assert found("p", fold([*releases, *eleven]), "a") == "2.0.0"
    with pytest.raises(UsageError, match="any more"):  # two clones: one moved it, one took it away later
        found("p", fold([*releases, tag("a#p#1", "c1", START), tag("a#p!#1", "c1", START + 1)]), "a")
    assert found("p", fold([*releases, tag("a#p#1", "c1", START + 1), tag("a#p!#1", "c1", START)]), "a") == "1.0.0"


def test_a_label_taken_away_stands_where_it_stood_before() -> None:
    tags = [tag("a@v1.0.0", "c1"), tag("a@v2.0.0", "c2"), tag("a@v3.0.0", "c3")]
    tags += [tag("a#p#1", "c1"), tag("a#p#2", "c2"), tag("a#p#3", "c3"), tag("a#p!#4", "c2"), tag("a#p!#5", "c3")]
    assert found("p", fold(tags), "a") == "1.0.0"
    with pytest.raises(UsageError, match="any more"):
        found("p", fold([*tags, tag("a#p!#6", "c1")]), "a")
    with pytest.raises(UsageError, match="'a#p!#6' points at a commit that is no release"):
        found("p", fold([*tags, tag("a#p!#6", "c9")]), "a")
    assert found("p", fold([*tags, tag("a#p!#6", "c9"), tag("a#p#7", "c2")]), "a") == "2.0.0"


def test_gtos_simple_label_is_older_than_any_counted_one() -> None:
    releases = [tag("a@v1.0.0", "c1"), tag("a@v2.0.0", "c2")]
    assert found("p", fold([*releases, tag("a#p", "c1")]), "a") == "1.0.0"
    assert found("p", fold([*releases, tag("a#p", "c1", START + 99), tag("a#p#1", "c2")]), "a") == "2.0.0"


def test_two_versions_on_one_commit_stop_nothing() -> None:
    same = [tag("a@v1.0.0", "c1", START), tag("a@v1.0.1", "c1", START + 10)]
    assert found("p", fold([*same, tag("a#p#1", "c1", START + 5)]), "a") == "1.0.0"
    assert found("p", fold([*same, tag("a#p#1", "c1", START + 15)]), "a") == "1.0.1"
    assert found("p", fold([*same, tag("a#p#1", "c1", START + 15, "\n---\nversion: v1.0.0\n")]), "a") == "1.0.0"
    withdrawn = tag("a@v1.0.0!", "c1", START + 11)
    assert found("p", fold([*same, withdrawn, tag("a#p#1", "c1", START + 15)]), "a") == "1.0.1"


@pytest.mark.parametrize(
    ("move", "problem"),
    [
        (tag("a#p#2", "c9"), "points at a commit that is no release of this name"),
        (tag("a#p#2", "c2", body="x\n---\nversion: 1.0.0\n"), "says version '1.0.0', which is not released at the commit"),
        (tag("a#p#2", "c2", body="x\n---\nversion: '$(rm -rf)\\u001b'\n"), "which is not released at the commit"),
    ],
)
def test_a_label_that_cannot_be_believed_is_an_error_of_its_own(move: TagObject, problem: str) -> None:
    state = fold([tag("a@v1.0.0", "c1"), tag("a@v2.0.0", "c2"), tag("a#p#1", "c1"), tag("a#q#3", "c1"), move])
    with pytest.raises(UsageError, match=r"a@p cannot be resolved: the tag 'a#p#2'") as caught:
        found("p", state, "a")
    assert problem in caught.value.message
    assert "fetch all tags" in (caught.value.hint or "")
    assert found("q", state, "a") == "1.0.0"
    assert found("latest", state, "a") == "2.0.0"
    assert [oddity.ref for oddity in state.warnings] == ["a#p#2"]


def test_a_label_on_a_withdrawn_release_is_an_error() -> None:
    state = fold([tag("a@v1.0.0"), tag("a#p#1"), tag("a@v1.0.0!")])
    with pytest.raises(UsageError, match=r"a@p is 1\.0\.0, which Ada withdrew") as caught:
        found("p", state, "a")
    assert caught.value.hint == "releases: none that stands; labels: p"


def test_odd_tags_are_told_of_and_disable_nothing() -> None:
    odd = [
        tag("a@v2.0.0", "c2", annotated=False),
        tag("a@v3.0.0", ""),
        tag("a@v4.0.0", "c2", None),
        tag("a@v5.0.0", fault="missing object"),
        tag("a@5.0", "c2"),
        tag("--upload-pack=x@v1.0.0"),
        tag("a@v9.0.0!"),
        tag("a@v1.0.0#7", "c8", START + 1),
        tag("nightly"),
    ]
    state = fold([*odd, tag("a@v1.0.0", "c1")])
    assert found("latest", state, "a") == "1.0.0"
    assert resolve(state, "a", parse_selector("1.0.0")).commit == "c1"  # type: ignore[arg-type]
    told = {oddity.ref: oddity.message for oddity in state.warnings}
    assert told.keys() == {one.ref for one in odd} - {"nightly"}
    assert "lightweight" in told["a@v2.0.0"]
    assert "no commit" in told["a@v3.0.0"]
    assert "no tagger or no date" in told["a@v4.0.0"]
    assert "cannot be read: missing object" in told["a@v5.0.0"]
    assert "no tag released it" in told["a@v9.0.0!"]
    assert "only the first tag counts" in told["a@v1.0.0#7"]


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("x\n\n---\nversion: 1.0.0\n", "1.0.0"),
        ("x\r\n---\r\nversion: '1.0.0'\r\n", "1.0.0"),
        ("---\nversion: a\n---\nversion: b\n", "b"),
        ("version: 1.0.0\n", ""),
        ("x\n----\nversion: 1.0.0\n", ""),
        ("x\n---\nversions: 1\n", ""),
        ("", ""),
    ],
)
def test_the_block_of_a_message(body: str, value: str) -> None:
    assert entry(body, "version") == value
    assert block("a\n---\nb\n") == "b\n"


# laws ------------------------------------------------------------------------------------------------------------------------

OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["release", "promote", "withdraw", "unlabel", "rollback"]),
        st.sampled_from("ab"),
        st.integers(0, 5),
        st.sampled_from(["production", "staging"]),
        st.integers(0, 2),  # seconds that pass: many events share one
    ),
    max_size=25,
)


class Naive:
    """A registry that is told what happens, and remembers it; and the tags that the same happenings leave in Git."""

    def __init__(self) -> None:
        self.releases: dict[str, list[Version]] = {"a": [], "b": []}
        self.withdrawn: dict[str, set[Version]] = {"a": set(), "b": set()}
        self.labels: dict[tuple[str, str], list[Version]] = {}  # who has it; the last one counts
        self.moved: dict[tuple[str, str], list[Version]] = {}
        self.tags: list[TagObject] = []
        self.counters = {"a": 0, "b": 0}
        self.time = START

    def apply(self, operation: str, name: str, choice: int, label: str, seconds: int) -> None:
        self.time += seconds
        live = [version for version in self.releases[name] if version not in self.withdrawn[name]]
        if operation == "release":
            version = Version(1, len(self.releases[name]), 0)
            self.releases[name].append(version)
            self._tag(release_tag(name, version), name, version)
        elif operation == "withdraw" and live:
            version = live[choice % len(live)]
            self.withdrawn[name].add(version)
            self._tag(withdraw_tag(name, version), name, version)
        elif operation == "promote" and live:
            self._move(name, label, live[choice % len(live)])
        elif operation == "unlabel" and (now := self.now(name, label)):
            self._move(name, label, now, remove=True)
        elif operation == "rollback":
            before = [version for version in self.labels.get((name, label), [])[:-1] if version in live]
            if before:
                self._move(name, label, before[-1])

    def now(self, name: str, label: str) -> Version | None:
        holders = self.labels.get((name, label))
        return holders[-1] if holders else None

    def _move(self, name: str, label: str, version: Version, remove: bool = False) -> None:
        holders = self.labels.setdefault((name, label), [])
        if version in holders:
            holders.remove(version)
        if not remove:
            holders.append(version)
        self.moved.setdefault((name, label), []).append(version)
        self.counters[name] += 1
        body = f"Moved.\n\n---\nversion: {version}\n" if self.counters[name] % 2 else ""  # GTO writes no block
        self._tag(label_tag(name, label, self.counters[name], remove=remove), name, version, body)

    def _tag(self, ref: object, name: str, version: Version | None, body: str = "") -> None:
        self.tags.append(tag(ref, f"commit of {name} {version}", self.time, body))


@given(OPERATIONS, st.randoms())
def test_any_history_read_in_any_order_agrees_with_a_naive_model(
    operations: Sequence[tuple[str, str, int, str, int]], chance: object
) -> None:
    model = Naive()
    for operation in operations:
        model.apply(*operation)
    shuffled = list(model.tags)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    state = fold(shuffled)
    assert state.warnings == ()
    for name in "ab":
        artefact = state.artefact(name)
        assert list(artefact.releases) == model.releases[name]
        assert {one.version for one in artefact.releases.values() if one.withdrawn} == model.withdrawn[name]
        assert artefact.next_counter == model.counters[name] + 1
        for label in ("production", "staging"):
            assert [move.version for move in artefact.moves.get(label, ())] == model.moved.get((name, label), [])
            assert _answer(state, name, label) == _expected(model, name, label)


def _answer(state: State, name: str, label: str) -> Version | None:
    try:
        return resolve(state, name, parse_selector(label)).version  # type: ignore[arg-type]
    except UsageError:
        return None


def _expected(model: Naive, name: str, label: str) -> Version | None:
    version = model.now(name, label)
    return None if version in model.withdrawn[name] else version


REFS = st.sampled_from(
    [
        "a@v1.0.0",
        "a@v1.0.0#2",
        "a@v1.0.0!",
        "a@v2.0.0",
        "a#p#1",
        "a#p#2",
        "a#p!#2",
        "a#p",
        "a#q#2",
        "a@deprecated",
        "a@deprecated#2",
        "b@v1",
        "x",
    ]
)
TAGS = st.lists(
    st.builds(
        TagObject,
        REFS,
        st.just("oid"),
        st.sampled_from(["c1", "c2", ""]),
        st.booleans(),
        st.just("Ada"),
        st.just(""),
        st.one_of(st.none(), st.integers(START, START + 3)),
        st.sampled_from(["", "x\n---\nversion: 1.0.0\n", "x\n---\nversion: 2.0.0\n"]),
    ),
    max_size=10,
    unique_by=lambda one: one.ref,
)


@given(TAGS, st.randoms())
def test_the_order_of_reading_never_matters(tags: list[TagObject], chance: object) -> None:
    shuffled = list(tags)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = fold(tags), fold(shuffled)
    assert one.artefacts == other.artefacts
    assert one.warnings == other.warnings


@given(TAGS, st.integers(START - 1, START + 3))
def test_the_past_does_not_know_the_future(tags: list[TagObject], time: int) -> None:
    later = [TagObject("a@v7.0.0", "oid", "c7", time=time + 1), TagObject("a#p#99", "oid", "c7", time=time + 2)]
    assert fold([*tags, *later]).at(time).artefacts == fold(tags).at(time).artefacts


def test_values_say_what_they_are() -> None:
    artefact = fold(HISTORY).artefact("triage")
    release = artefact.releases[parse_version("1.1.0")]
    assert isinstance(release, Release)
    assert release.withdrawn is not None
    assert release.withdrawn.time == START + 40
    removed = artefact.moves["staging"][-1]
    assert isinstance(removed, Move)
    assert (removed.removed, str(removed.version), removed.problem) == (True, "1.1.0", "")
