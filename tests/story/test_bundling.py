"""Somebody bundles prompts for production, and a program without Git reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import PROMPT, User

from promptreg.runtime import Registry
from promptreg.testing import RepositoryBuilder

EVIDENCE = "A release.\n"


@pytest.fixture
def released(user: User) -> User:
    """triage at 1.0.0 (production), 1.1.0 and 2.0.0, sorted apart by their texts; greeting was never released."""
    built = RepositoryBuilder(user.root)
    built.write("promptreg.yaml", "registry: acme/prompts\nmodels:\n  echo: {provider: echo, model: echo}\n")
    built.write("prompts/greeting.yaml", "messages: [{role: user, content: Hello.}]\n")
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        text = PROMPT.replace("Name the queue.", f"""'{{% include "_tone.jinja" %}}Queue, please ({version}).'""")
        built.write("prompts/triage.yaml", text).write("prompts/_tone.jinja", "Kindly. ")
        built.write("prompts/_unused.jinja", "Nobody includes this.")
        built.commit(version)
        built.tag(f"triage@v{version}", EVIDENCE)
        if version == "1.0.0":
            built.tag("triage#production#1")
    built.write("prompts/triage.yaml", PROMPT.replace("Name the queue.", "Uncommitted."))
    return user


def system(path: Path, reference: str) -> str:
    return Registry.open(path).get(reference).render(ticket="a").messages[0].text


def test_everything_that_something_points_at_is_bundled(released: User) -> None:
    said = released("bundle", "-o", "out/prompts.json")
    assert said.code == 0, said.err
    path = released.root / "out/prompts.json"
    registry = Registry.open(path)
    assert registry.names() == ("triage",)
    assert registry.digest in said.out
    assert system(path, "triage@production") == "Kindly. Queue, please (1.0.0)."
    assert system(path, "triage@latest") == system(path, "triage") == "Kindly. Queue, please (2.0.0)."
    assert "1.1.0" not in said.out
    assert "Nobody includes" not in path.read_text()
    assert [entry.name for entry in path.parent.iterdir()] == ["prompts.json"]


def test_the_digest_is_that_of_the_content_and_bundling_again_changes_no_byte(released: User) -> None:
    first, second = (released("bundle", "-o", f"{name}.json", "--json").json for name in "ab")
    assert first["digest"] == second["digest"]
    assert (released.root / "a.json").read_bytes() == (released.root / "b.json").read_bytes()
    assert [(each["name"], each["version"]) for each in first["prompts"]] == [("triage", "1.0.0"), ("triage", "2.0.0")]


def test_all_versions_and_chosen_ones(released: User) -> None:
    path = released.root / "prompts.json"
    assert released("bundle", "-o", "prompts.json", "--all-versions").code == 0
    assert system(path, "triage@~1.1") == "Kindly. Queue, please (1.1.0)."
    assert released("bundle", "-o", "prompts.json", "triage@^1", "triage@1.1.0").code == 0
    assert system(path, "triage@greatest") == "Kindly. Queue, please (1.1.0)."
    assert "production" not in path.read_text()  # it points at a version that is not in here


def test_working_copies_are_bundled_when_asked_for(released: User) -> None:
    path = released.root / "prompts.json"
    said = released("bundle", "-o", "prompts.json", "--working")
    assert "working copy" in said.out
    assert system(path, "triage") == "Uncommitted."
    assert Registry.open(path).names() == ("greeting", "triage")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("triage@9.0.0",), "9.0.0"),
        (("triag@1.0.0",), "did you mean 'triage'"),
        (("triage@git:HEAD",), "is no release"),
        (("triage", "--working"), "leave out the references"),
        (("--all-versions", "--working"), "have no versions"),
    ],
)
def test_what_cannot_be_bundled_leaves_the_old_file(released: User, arguments: tuple[str, ...], words: str) -> None:
    released.write("prompts.json", "old")
    said = released("bundle", "-o", "prompts.json", *arguments)
    assert said.code == 2
    assert words in said.err
    assert released.read("prompts.json") == "old"


def test_where_nothing_is_released_somebody_is_told_what_to_do(user: User) -> None:
    user.triage("http://127.0.0.1:9/v1")
    said = user("bundle", "-o", "prompts.json")
    assert (said.code, "--working" in said.err) == (2, True)
