"""The grammar of references and tags: parsers and writers are inverse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from versions import VERSIONS

from promptreg.core.names import check_name, is_name
from promptreg.core.refs import (
    RESERVED,
    Exact,
    Greatest,
    Label,
    Latest,
    Reference,
    Revision,
    Tag,
    Working,
    check_label,
    deprecate_tag,
    label_tag,
    parse_reference,
    parse_selector,
    parse_tag,
    release_tag,
    withdraw_tag,
)
from promptreg.core.semver import Range, Version, parse_range
from promptreg.errors import UsageError, Where

NAMES = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-/_]{0,12}[a-zA-Z0-9])?", fullmatch=True).filter(is_name)
SOURCES = st.one_of(st.just(""), st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,5}[a-z0-9])?", fullmatch=True))


def is_label(text: str) -> bool:
    try:
        check_label(text)
    except UsageError:
        return False
    return True


LABELS = NAMES.filter(is_label)
RANGES = st.one_of(
    st.builds(lambda sign, version: f"{sign}{version}", st.sampled_from(["^", "~", ">=", "<", "=", "> "]), VERSIONS),
    st.sampled_from(["1.x", "v1", "*", ">=1,<2", "1.2 - 3", "^1 || ~2.3"]),
).map(parse_range)
REVISIONS = st.text(st.characters(min_codepoint=33, max_codepoint=0x17F), min_size=1, max_size=12).filter(
    lambda text: text.isprintable() and not text.startswith("-") and text == text.strip()
)
SELECTORS = st.one_of(
    st.none(),
    st.sampled_from([Working(), Latest(), Greatest()]),
    st.builds(Exact, VERSIONS, st.booleans()),
    RANGES,
    LABELS.map(Label),
    REVISIONS.map(Revision),
)
REFERENCES = st.builds(Reference, name=NAMES, selector=SELECTORS, source=SOURCES)
TAGS = st.one_of(
    st.builds(release_tag, NAMES, VERSIONS.filter(lambda version: not str(version).endswith(".lock"))),
    st.builds(withdraw_tag, NAMES, VERSIONS),
    st.builds(deprecate_tag, NAMES),
    st.builds(label_tag, NAMES, LABELS, st.integers(1, 10**18 - 1), remove=st.booleans()),
)
ALPHABET = st.sampled_from("abz019-_/@#!.:v^~<>=*x|, +gitlatest")


@given(REFERENCES)
def test_parsing_what_was_written_gives_the_reference(reference: Reference) -> None:
    assert parse_reference(str(reference)) == reference


@given(st.one_of(st.text(ALPHABET, max_size=14), st.text(ALPHABET, max_size=12).map(lambda rest: f"a@{rest}")))
def test_writing_what_was_accepted_gives_the_text(text: str) -> None:
    try:
        reference = parse_reference(text)
    except UsageError:
        return
    assert str(reference) == text


@given(TAGS)
def test_parsing_a_written_tag_gives_the_tag(tag: Tag) -> None:
    assert parse_tag(str(tag)) == tag


@given(st.one_of(st.text(ALPHABET, max_size=14), st.text(ALPHABET, max_size=8).map(lambda rest: f"a@v1.0.0{rest}")))
def test_writing_an_accepted_tag_gives_the_text(text: str) -> None:
    try:
        tag = parse_tag(text)
    except UsageError:
        return
    assert str(tag) == text if tag is not None else not set(text) & set("@#")


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("support/triage", None),
        ("support/triage@working", Working()),
        ("support/triage@latest", Latest()),
        ("support/triage@greatest", Greatest()),
        ("support/triage@production", Label("production")),
        ("support/triage@team/prod", Label("team/prod")),
        ("support/triage@2024-prod", Label("2024-prod")),
        ("support/triage@1.4.0", Exact(Version(1, 4, 0))),
        ("support/triage@v1.4.0-rc.1+b", Exact(Version(1, 4, 0, "rc.1", "b"), v=True)),
        ("support/triage@git:HEAD~3", Revision("HEAD~3")),
        ("support/triage@git:main@{yesterday}", Revision("main@{yesterday}")),
        ("support/triage@git::/fix the tone", Revision(":/fix the tone")),
    ],
)
def test_selectors(text: str, selector: object) -> None:
    assert parse_reference(text) == Reference(name="support/triage", selector=selector)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["1", "1.4", "v1", "v1.x", "x", "^1.4", "~v1.4", ">=1,<2", "1.2 - 1.6", "^1 || ^3"])
def test_ranges_are_selectors(text: str) -> None:
    assert isinstance(parse_selector(text), Range)


def test_a_pulled_prompt_is_named_with_its_source() -> None:
    assert parse_reference("acme:support/triage@^1") == Reference(name="support/triage", selector=parse_range("^1"), source="acme")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("support triage", "cannot be a name; did you mean 'support-triage'?", "begins and ends with a letter or digit"),
        ("réponse/été", "cannot be a name; did you mean 'reponse/ete'?", "letters (a to z)"),
        ("日本", "cannot be a name", "letters (a to z)"),
        ("../secret", "cannot be a name", "letters"),
        ("a//b", "cannot be a name; did you mean 'a/b'?", "letters"),
        ("a" * 300, "cannot be a name", "letters"),
        ("-rf", "cannot be a name; did you mean 'rf'?", "letters"),
        ("", "'' cannot be a name", "letters"),
        ("a@", "nothing follows the @", "NAME@1.4.0"),
        ("a@git", "'git' names no revision", "git:HEAD~3"),
        ("a@git:", "'' cannot be a Git revision", "git:main"),
        ("a@git:--upload-pack=x", "cannot be a Git revision", "git:main"),
        ("a@git:HEAD\nHEAD", "cannot be a Git revision", "git:main"),
        ("a@git:HEAD\0", "cannot be a Git revision", "git:main"),
        ("a@deprecated", "'deprecated' selects nothing", ""),
        ("a@Latest!", "is no selector; did you mean 'latest'?", "a label"),
        ("a@1.4.", "is neither a version nor a range", "^1.4"),
        ("a@^1.4.0.0", "is neither a version nor a range", "^1.4"),
        ("a@^1.2.x-rc.1", "is neither a version nor a range", "a prerelease needs all three numbers"),
        ("a@production ", "is no selector", "a label"),
        ("a@b@c", "is no selector", "a label"),
        ("a.b:c", "'a.b' cannot be the name of a source", "SOURCE:NAME"),
        (":c", "'' cannot be the name of a source", "SOURCE:NAME"),
    ],
)
def test_what_is_no_reference_says_why(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.message.isprintable()


def test_a_name_can_have_a_place() -> None:
    with pytest.raises(UsageError) as caught:
        check_name("a b", Where("prompts/a b.yaml"))
    assert str(caught.value).startswith("prompts/a b.yaml: 'a b' cannot be a name")


@pytest.mark.parametrize("label", [*RESERVED, "1", "v1", "x", "1-", "pro duction", "", "a.b", "prod!", "-p"])
def test_no_labels(label: str) -> None:
    with pytest.raises(UsageError, match="cannot be a label"):
        check_label(label)


@pytest.mark.parametrize(
    "text",
    [
        "triage@v1.4.0",
        "support/triage@v1.4.0-rc.1+b.7",
        "triage@v1.4.0!",
        "triage#production#3",
        "triage#production!#4",
        "triage@deprecated",
        "triage#production",  # GTO's short forms
        "triage@v1.4.0!#2",
        "triage@deprecated#2",
    ],
)
def test_tags(text: str) -> None:
    tag = parse_tag(text)
    assert tag is not None
    assert (str(tag), tag.name.split("/")[-1]) == (text, "triage")


@pytest.mark.parametrize("text", ["v1.0.0", "release-2024", "a/b", "nightly!", ""])
def test_tags_of_other_tools_are_not_ours(text: str) -> None:
    assert parse_tag(text) is None


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a@1.4.0", "a release is tagged a@v1.4.0"),
        ("a@v1.4", "NAME@v1.4.0"),
        ("a@v01.4.0", "NAME@v1.4.0"),
        ("a#production#0", "NAME#LABEL#N"),
        ("a#production#007", "NAME#LABEL#N"),
        ("a#production#" + "9" * 5000, "NAME#LABEL#N"),
        ("a#latest#1", "labels are words"),
        ("a#1#1", "labels are words"),
        ("@scope/pkg@1.0.0", "begins with no prompt's name"),
        ("--upload-pack=evil@v1.0.0", "begins with no prompt's name"),
        ("a/../b@v1.0.0", "begins with no prompt's name"),
        ("a//b@v1.0.0", "without '//'"),
        ("a@v1.0.0-x.lock", ""),
        ("é@v1.0.0", "begins with no prompt's name"),
        ("a@deprecate", "NAME@deprecated"),
    ],
)
def test_odd_tags_say_how_they_should_be_written(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_tag(text)
    assert hint in (caught.value.hint or "")
    assert len(caught.value.message) < 200


def test_writers_refuse_what_the_parser_would_not_read() -> None:
    for write in (
        lambda: release_tag("a b", Version(1, 0, 0)),
        lambda: release_tag("a", Version(1, 0, 0, "x.lock")),
        lambda: withdraw_tag("../a", Version(1, 0, 0)),
        lambda: label_tag("a", "latest", 1),
        lambda: label_tag("a", "production", 0),
        lambda: label_tag("a", "production", 10**18),
        lambda: deprecate_tag(""),
    ):
        with pytest.raises(UsageError):
            write()
