"""The events of tags as moments, and what labels stood for."""

from __future__ import annotations

from promptreg.core.releases import TagObject, fold
from promptreg.core.timeline import moments, standings

T = 1_700_000_000


def tag(ref: str, commit: str, time: int, body: str = "why\n\nmore") -> TagObject:
    return TagObject(ref, f"o-{ref}", commit, tagger="Ada", email="ada@example.org", time=time, body=body)


STATE = fold(
    (
        tag("triage@v1.0.0", "c1", T),
        tag("triage#production#1", "c1", T),
        tag("triage@v1.1.0", "c2", T + 10),
        tag("triage#production#2", "c2", T + 20),
        tag("triage@v1.1.0!", "c2", T + 30, "a bug"),
        tag("triage#staging#3", "c1", T + 40),
        tag("triage#staging!#4", "c1", T + 50),
        tag("triage@deprecated", "c2", T + 60),
        tag("other@v2.0.0", "c3", T + 5),
    )
)


def test_moments_come_newest_first_and_a_release_before_its_label() -> None:
    told = [(moment.kind, moment.version, moment.label) for moment in moments(STATE.artefact("triage"))]
    assert told == [
        ("deprecation", "", ""),
        ("unlabel", "1.0.0", "staging"),
        ("label", "1.0.0", "staging"),
        ("withdrawal", "1.1.0", ""),
        ("label", "1.1.0", "production"),
        ("release", "1.1.0", ""),
        ("label", "1.0.0", "production"),
        ("release", "1.0.0", ""),
    ]


def test_a_moment_says_who_and_why() -> None:
    moment = moments(STATE.artefact("other"))[0]
    assert (moment.who, moment.email, moment.time, moment.commit, moment.tag, moment.subject) == (
        "Ada",
        "ada@example.org",
        T + 5,
        "c3",
        "other@v2.0.0",
        "why",
    )


def standing(time: int) -> dict[str, tuple[str, str]]:
    found = standings(STATE.at(time), "triage")
    return {each.label: (str(each.release.version) if each.release else "", each.problem) for each in found}


def test_what_labels_stood_for() -> None:
    assert standing(T - 1) == {}
    assert standing(T + 5) == {"production": ("1.0.0", ""), "latest": ("1.0.0", ""), "greatest": ("1.0.0", "")}
    assert standing(T + 25)["production"] == ("1.1.0", "")
    assert standing(T + 45) == {
        "production": ("1.1.0", "withdrawn"),
        "staging": ("1.0.0", ""),
        "latest": ("1.0.0", ""),
        "greatest": ("1.0.0", ""),
    }
    assert "staging" not in standing(T + 55)


def test_a_name_without_tags_has_no_past() -> None:
    assert moments(STATE.artefact("nobody")) == []
    assert list(standings(STATE, "nobody")) == []
