"""Bundles: what goes in comes out, and nothing forged, cut or unknown gets in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.bundle import MAX_BYTES, SCHEMA, Bundle, Bundled, Shelf, check_behaviour, packed, unpacked
from promptreg.core.bundle.choosing import choose
from promptreg.core.canonical import canonical, digest, digest_bytes
from promptreg.core.identity import behaviour_digest
from promptreg.core.prompt import MessageTemplate, Parameters, Part, Prompt
from promptreg.core.render import Renderer
from promptreg.core.semver import Version, parse_version
from promptreg.errors import BundleError, UsageError

SOME = digest_bytes(b"some")


def prompt(text: str = "{{ ticket }}", name: str = "support/triage", **changes: Any) -> Prompt:
    return Prompt(name=name, messages=(MessageTemplate(role="user", content=text),), inputs={"ticket": {}}, **changes)


def at(version: str | None, time: int = 0, text: str = "{{ ticket }}") -> Bundled:
    made = prompt(text)
    number = None if version is None else parse_version(version)
    return Bundled(prompt=made, source=SOME, behaviour=behaviour_digest(made), version=number, time=time, commit="a" * 40)


def shelf(*versions: Bundled, **labels: str) -> Shelf:
    return Shelf(versions=versions, labels={label: parse_version(version) for label, version in labels.items()})


SHELF = shelf(
    at(None), at("1.0.0", 1), at("1.2.0", 9), at("1.4.0", 5), at("2.0.0-rc.1", 10), production="1.2.0", staging="2.0.0-rc.1"
)
BUNDLE = Bundle(registry="acme/prompts", shelves={"support/triage": SHELF})


# --- there and back -----------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-(2.0**53), 2.0**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)
NUMBERS = st.none() | st.integers(0, 5) | st.floats(-2, 2)
NAMES = st.from_regex(r"[a-zA-Z0-9][a-z/]{0,3}[a-z]", fullmatch=True).filter(lambda name: "//" not in name)
VERSIONS = st.builds(Version, st.integers(0, 9), st.integers(0, 99), st.integers(0, 9), st.sampled_from(["", "rc.1", "alpha"]))
PARTS = st.builds(Part, type=st.sampled_from(["text", "image"]), value=TEXT)
PROMPTS = st.builds(
    Prompt,
    name=st.just("a"),
    messages=st.lists(
        st.builds(
            MessageTemplate,
            role=st.sampled_from(["system", "user", "assistant"]),
            content=TEXT | st.lists(PARTS, min_size=1, max_size=3).map(tuple),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    inputs=st.dictionaries(st.sampled_from(["x", "y"]), OBJECTS, max_size=2),
    params=st.builds(
        Parameters,
        temperature=NUMBERS,
        top_p=NUMBERS,
        seed=st.none() | st.integers(),
        max_tokens=st.none() | st.integers(1),
        stop=st.lists(TEXT, max_size=2).map(tuple),
        extra=OBJECTS,
    ),
    output_schema=st.none() | OBJECTS,
    tools=st.lists(OBJECTS, max_size=2).map(tuple),
    description=TEXT,
    owners=st.lists(TEXT, max_size=2).map(tuple),
    partials=st.dictionaries(TEXT, TEXT, max_size=3),
)
DIGESTS = TEXT.map(lambda text: digest_bytes(text.encode()))


@st.composite
def bundles(draw: st.DrawFn) -> Bundle:
    return Bundle(registry=draw(TEXT), shelves={name: draw(shelves(name)) for name in draw(st.sets(NAMES, max_size=3))})


@st.composite
def shelves(draw: st.DrawFn, name: str) -> Shelf:
    from dataclasses import replace

    numbers: list[Version | None] = [*sorted(draw(st.sets(VERSIONS, max_size=3)))]
    if not numbers or draw(st.booleans()):
        numbers.insert(0, None)
    made = [
        Bundled(
            prompt=replace(draw(PROMPTS), name=name),
            source=draw(DIGESTS),
            behaviour=draw(DIGESTS),
            version=number,
            time=draw(st.none() | st.integers(0, 2**40)),
            commit=draw(st.sampled_from(["", "a" * 40, "0" * 64])),
        )
        for number in numbers
    ]
    released = [number for number in numbers if number is not None]
    labels = draw(st.dictionaries(st.sampled_from(["production", "staging"]), st.sampled_from(released))) if released else {}
    return Shelf(
        versions=tuple(made), labels=labels, deprecated=draw(st.none() | st.tuples(TEXT, st.sampled_from(["", "a@1.0.0"])))
    )


@given(bundles())
def test_what_was_packed_is_unpacked(bundle: Bundle) -> None:
    content, found = packed(bundle)
    back = unpacked(content, "prompts.json")
    assert back == bundle
    assert back.digest == found
    assert packed(back) == (content, found)
    assert canonical(json.loads(content)) == content


@given(bundles())
def test_what_a_model_or_a_template_can_see_keeps_its_order_and_numbers(bundle: Bundle) -> None:
    back = unpacked(packed(bundle)[0], "prompts.json")
    assert [told(each.prompt) for each in versions(back)] == [told(each.prompt) for each in versions(bundle)]


def versions(bundle: Bundle) -> list[Bundled]:
    return [each for _, shelf in sorted(bundle.shelves.items()) for each in shelf.versions]


def told(prompt: Prompt) -> str:
    defaults = {name: schema.get("default") for name, schema in sorted(prompt.inputs.items())}
    return json.dumps([defaults, prompt.output_schema, prompt.tools, prompt.params.extra])


def test_a_bundled_prompt_renders_what_its_file_renders() -> None:
    inputs = {"rates": {"default": {"b": 1.0, "a": [2, 3.50, 1e16]}}, "ticket": {}}
    made = Prompt(name="a", messages=(MessageTemplate(role="user", content="{{ ticket }} {{ rates }}"),), inputs=inputs)
    shelf = Shelf(versions=(Bundled(prompt=made, source=SOME, behaviour=behaviour_digest(made)),))
    back = unpacked(packed(Bundle(shelves={"a": shelf}))[0], "prompts.json")
    given = {"ticket": "t"}
    assert Renderer(choose(back, "a")[1].prompt).messages(given) == Renderer(made).messages(given)
    assert not check_behaviour(back, "prompts.json")


@given(bundles())
def test_a_bundle_that_somebody_reformatted_is_the_same(bundle: Bundle) -> None:
    content, found = packed(bundle)
    pretty = json.dumps(json.loads(content), indent=2, ensure_ascii=True).encode()
    assert unpacked(pretty, "prompts.json", expected=found) == bundle


def test_the_text_of_a_partial_is_held_once() -> None:
    tone = "Be kind, " * 100
    made = [
        Bundled(prompt=prompt(partials={"_tone.jinja": tone}), source=SOME, behaviour=SOME, version=Version(1, minor, 0))
        for minor in range(3)
    ]
    content, _ = packed(Bundle(shelves={"support/triage": Shelf(versions=tuple(made))}))
    assert content.count(tone.encode()) == 1


def test_the_digest_is_the_one_that_semantics_gives() -> None:
    content, found = packed(BUNDLE)
    raw = json.loads(content)
    assert raw.pop("digest") == found == digest(SCHEMA, raw)


# --- nothing else gets in -----------------------------------------------------------------------------------------------------

CONTENT = packed(BUNDLE)[0]


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_no_changed_byte_is_believed(position: int, change: int) -> None:
    broken = bytearray(CONTENT)
    broken[position] ^= change
    with pytest.raises(BundleError) as caught:
        unpacked(bytes(broken), "prompts.json")
    assert caught.value.where is not None
    assert caught.value.where.path == "prompts.json"


@given(st.integers(0, len(CONTENT) - 1))
def test_no_part_is_believed(length: int) -> None:
    with pytest.raises(BundleError):
        unpacked(CONTENT[:length], "prompts.json")


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_nothing_else_is_a_bundle(content: bytes) -> None:
    with pytest.raises(BundleError):
        unpacked(content, "prompts.json")


def forged(change: Callable[[Any], object]) -> bytes:
    """The bundle with a change, and with the digest that goes with it."""
    raw = json.loads(CONTENT)
    del raw["digest"]
    change(raw)
    return canonical({"digest": digest(SCHEMA, raw), **raw})


def first(raw: Any) -> Any:
    return raw["prompts"]["support/triage"]


def release(raw: Any) -> Any:
    return first(raw)["versions"][1]


@pytest.mark.parametrize(
    ("change", "key", "words"),
    [
        (lambda raw: raw.update(signed=True), "signed", "unknown key"),
        (lambda raw: raw.pop("registry"), "registry", "is missing"),
        (lambda raw: raw.update(prompts=[]), "prompts", "is a list"),
        (lambda raw: raw["prompts"].update({"../../etc": first(raw)}), "prompts.../../etc", "cannot be a name"),
        (lambda raw: raw["prompts"].update({"a@1.0.0": first(raw)}), "prompts.a@1.0.0", "has a selector"),
        (lambda raw: raw["prompts"].update({"a\x1b[2J": first(raw)}), "prompts.'a\\x1b[2J'", "cannot be a name"),
        (lambda raw: first(raw).update(extra=1), "prompts.support/triage.extra", "unknown key"),
        (lambda raw: first(raw).update(versions=[]), "prompts.support/triage.versions", "working copy"),
        (lambda raw: first(raw)["versions"].append(release(raw)), "prompts.support/triage.versions", "ascend"),
        (lambda raw: first(raw)["versions"].append(first(raw)["versions"][0]), "prompts.support/triage.versions", "order"),
        (lambda raw: first(raw)["labels"].update(production="9.9.9"), "prompts.support/triage.labels.production", "not in the"),
        (lambda raw: first(raw)["labels"].update(latest="1.0.0"), "prompts.support/triage.labels.latest", "cannot be a label"),
        (lambda raw: first(raw).update(deprecated={"reason": "", "replacement": "a b"}), "replacement", "cannot be a name"),
        (lambda raw: release(raw).update(version="1.0"), "versions[1].version", "is not a version"),
        (lambda raw: release(raw).update(version="v1.0.0"), "versions[1].version", "is not a version"),
        (lambda raw: release(raw).update(time=True), "versions[1].time", "true or false"),
        (lambda raw: release(raw).update(commit="HEAD"), "versions[1].commit", "cannot be 'HEAD'"),
        (lambda raw: release(raw).update(source="md5:1"), "versions[1].source", "cannot be 'md5:1'"),
        (lambda raw: release(raw).pop("behaviour"), "versions[1].behaviour", "is missing"),
        (lambda raw: release(raw)["prompt"].update(model="x"), "versions[1].prompt.model", "unknown key"),
        (lambda raw: release(raw)["prompt"].update(messages=[]), "versions[1].prompt.messages", "is empty"),
        (lambda raw: release(raw)["prompt"]["messages"][0].update(role="root"), "prompt.messages[0].role", "cannot be 'root'"),
        (lambda raw: release(raw)["prompt"]["messages"][0].update(content=7), "prompt.messages[0].content", "whole number"),
        (lambda raw: release(raw)["prompt"]["messages"][0].update(content=[{}]), "prompt.messages[0].content[0].type", "is null"),
        (lambda raw: release(raw)["prompt"].update(params={"temperature": "hot"}), "params.temperature", "is text"),
        (lambda raw: release(raw)["prompt"].update(params={"max_tokens": 1.5}), "params.max_tokens", "is a number"),
        (lambda raw: release(raw)["prompt"].update(params={"stop": [1]}), "params.stop[0]", "whole number"),
        (lambda raw: release(raw)["prompt"].update(trust={"other": "untrusted"}), "trust.other", "is no input"),
        (lambda raw: release(raw)["prompt"].update(partials={"_a.jinja": SOME}), "partials._a.jinja", "no partial"),
        (lambda raw: raw["partials"].update({SOME: "other"}), f"partials.{SOME}", "not the text"),
        (lambda raw: raw["partials"].update({SOME: "some"}), f"partials.{SOME}", "no prompt includes it"),
    ],
)
def test_a_forgery_is_named_by_its_path(change: Callable[[Any], object], key: str, words: str) -> None:
    with pytest.raises(BundleError, match=re.escape(words)) as caught:
        unpacked(forged(change), "prompts.json")
    assert caught.value.where is not None
    assert caught.value.where.key.endswith(key)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (CONTENT.replace(b"bundle/1", b"bundle/2"), "its schema is 'promptreg/bundle/2'"),
        (b'{"schema": 1}', "names no schema"),
        (b'{"schema": "promptreg/bundle/1", "schema": "promptreg/bundle/1"}', "stands twice"),
        (b'{"schema": "promptreg/bundle/1", "x": NaN}', "is no JSON"),
        (b"[" * 100_000, "not a bundle"),
        (b"\xff", "not a bundle"),
        (b" " * (MAX_BYTES + 1), "larger than"),
    ],
    ids=["schema", "none", "twice", "nan", "deep", "bytes", "large"],
)
def test_what_is_refused_says_why(content: bytes, words: str) -> None:
    with pytest.raises(BundleError, match=re.escape(words)):
        unpacked(content, "prompts.json")


def test_a_pinned_digest_is_kept_to() -> None:
    assert unpacked(CONTENT, "prompts.json", packed(BUNDLE)[1]) == BUNDLE
    with pytest.raises(BundleError, match="the bundle's digest is"):
        unpacked(CONTENT, "prompts.json", SOME)


def test_a_behaviour_digest_that_is_not_the_prompts_is_found() -> None:
    assert not check_behaviour(BUNDLE, "prompts.json")
    swapped = unpacked(forged(lambda raw: release(raw).update(behaviour=SOME)), "prompts.json")
    (fault,) = check_behaviour(swapped, "prompts.json")
    assert str(fault.where) == "prompts.json, key 'prompts.support/triage.versions[1].behaviour'"


def test_what_could_not_be_read_is_not_written() -> None:
    with pytest.raises(BundleError, match="ascend"):
        packed(Bundle(shelves={"a": shelf(at("2.0.0"), at("1.0.0"))}))


# --- which one ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "version"),
    [
        ("", "1.4.0"),
        ("@greatest", "1.4.0"),
        ("@latest", "1.2.0"),
        ("@1.0.0", "1.0.0"),
        ("@v1.0.0", "1.0.0"),
        ("@^1.0", "1.4.0"),
        ("@<1.4", "1.2.0"),
        ("@2.0.0-rc.1", "2.0.0-rc.1"),
        ("@production", "1.2.0"),
        ("@staging", "2.0.0-rc.1"),
        ("@working", "None"),
    ],
)
def test_selectors_choose_among_what_is_there(selector: str, version: str) -> None:
    name, found = choose(BUNDLE, f"support/triage{selector}")
    assert (name, str(found.version)) == ("support/triage", version)


@pytest.mark.parametrize(
    ("reference", "words", "hint"),
    [
        ("support/triag", "no prompt 'support/triag'; did you mean 'support/triage'?", "it has support/triage"),
        ("support/triage@produktion", "no label 'produktion' of support/triage; did you mean 'production'?", "labels: production"),
        ("support/triage@3.0.0", "no support/triage@3.0.0", "it has 2.0.0-rc.1, 1.4.0, 1.2.0, 1.0.0, a working copy"),
        ("support/triage@^2", "no support/triage@^2", "it has 2.0.0-rc.1"),
        ("support/triage@git:HEAD", "knows no Git revisions", "a bundle holds releases"),
        ("support/triage@", "nothing follows the @", "NAME@1.4.0"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(reference: str, words: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose(BUNDLE, reference)
    assert words in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_name_alone_is_its_working_copy_where_nothing_is_released() -> None:
    assert choose(Bundle(shelves={"a": shelf(at(None))}), "a")[1].version is None


def test_of_prereleases_alone_one_must_be_named() -> None:
    bundle = Bundle(shelves={"a": shelf(at("1.0.0-rc.1"), at("1.0.0-rc.2"))})
    with pytest.raises(UsageError, match="ambiguous"):
        choose(bundle, "a")
    assert choose(Bundle(shelves={"a": shelf(at("1.0.0-rc.1"))}), "a")[1].version == parse_version("1.0.0-rc.1")


def test_builds_of_one_version_must_be_told_apart() -> None:
    bundle = Bundle(shelves={"a": shelf(at("1.0.0+a"), at("1.0.0+b"))})
    with pytest.raises(UsageError, match="ambiguous"):
        choose(bundle, "a@1.0.0")
    assert choose(bundle, "a@1.0.0+b")[1].version == parse_version("1.0.0+b")
