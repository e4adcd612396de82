"""Records: what is written is read back, and whatever differs from what writing makes is refused."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.canonical import Digest, digest, digest_bytes
from promptreg.core.prompt import Message
from promptreg.core.records import (
    Acceptance,
    Cell,
    CheckScore,
    Header,
    Kept,
    Manifest,
    Record,
    Recorded,
    VerdictRecord,
    decode,
    decode_header,
    encode,
    place,
    quoted,
    redacted,
    unquoted,
)
from promptreg.core.run import Call, CallKey, CheckResult, Completion, Failure, ModelIdentity, Outcome, Stop, ToolCall, Usage
from promptreg.core.suite import Case
from promptreg.core.verdict import Verdict
from promptreg.errors import DataError, UsageError

FACTS = {"provider": "openai", "model": "big-1"}
IDENTITY = ModelIdentity(facts=FACTS)
WHEN = "2026-05-01T12:00:00Z"
A, B = digest_bytes(b"a"), digest_bytes(b"b")
CELL = Cell(suite="triage", prompt="support/triage", behaviour=A, alias="big", identity=IDENTITY.digest)
HEADER = Header(
    cell=CELL,
    facts=FACTS,
    suite_digest=A,
    dataset_digest=B,
    checks_digest=A,
    params={"temperature": 0},
    reported_models=("big-1-2026",),
    version="0.1",
    author="Ada <ada@example.org>",
    created=WHEN,
)
ANSWER = Recorded(
    case="c1",
    pair=A,
    slot=0,
    call=CallKey(B),
    completion=Completion(text="billing", usage=Usage(input_tokens=3), observed_at=1.5, reported_model="big-1-2026"),
    passed=True,
    score=1.0,
    checks=(CheckScore(label="exact", value=1.0, passed=True),),
    cost_usd=0.25,
)
VERDICT = VerdictRecord(
    prompt="support/triage",
    behaviour=A,
    suite="triage",
    model="big",
    verdict=Verdict.PASS,
    base="1" * 40,
    head="2" * 40,
    digests={"suite": A},
    gate={"suite": "triage", "margin": 0.05},
    version="0.1",
    author="Ada",
    created=WHEN,
)
ACCEPTANCE = Acceptance(
    prompt="p", behaviour=A, suite="s", model="m", base="", reason="we want it shorter", author="Ada", created=WHEN, verdict=B
)
MANIFEST = Manifest(dropped=("runs/a/b",), author="Ada", created=WHEN, reason="old")
KINDS: list[Kept] = [Record(header=HEADER, answers=(ANSWER,)), Record(header=HEADER), VERDICT, ACCEPTANCE, MANIFEST]


def outcome(text: str, **more: Any) -> Outcome:
    case = Case(id="c1", inputs={"x": 1})
    call = Call(model=IDENTITY, messages=(Message(role="user", content="x"),), slot=2)
    check = CheckResult(
        label="exact", metric="exact", value=1, raw=1, passed=True, required=True, weight=1, reason=f"it was {text}"
    )
    fields: dict[str, Any] = {
        "completion": Completion(text=text, observed_at=1.0),
        "checks": (check,),
        "passed": True,
        "score": 1.0,
    }
    return Outcome(prompt="p", model="big", case=case, call=call, **{**fields, **more})


# there and back --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", KINDS)
def test_what_is_written_is_read_back(value: Kept) -> None:
    path, content = encode(value)
    assert decode(path, content) == value
    assert content.endswith(b"\n")
    assert json.loads(content.split(b"\n")[0])["schema"].startswith("promptreg/")


def test_the_paths_are_those_of_the_specification() -> None:
    path, content = encode(Record(header=HEADER, answers=(ANSWER,)))
    short = digest_bytes(content)[7:23]
    assert path == f"runs/triage/support%2Ftriage/{A[7:19]}/big-{IDENTITY.digest[7:15]}/20260501T120000Z-{short}.jsonl"
    assert encode(VERDICT)[0].rpartition("/")[0] == f"verdicts/support%2Ftriage/{A[7:19]}"
    assert encode(ACCEPTANCE)[0].startswith(f"accepted/p/{A[7:19]}/")
    found = place(path)
    assert found is not None
    assert (found.suite, found.prompt, found.behaviour12, found.moment) == ("triage", "support/triage", A[7:19], "20260501T120000Z")
    assert found.folder == CELL.folder
    assert place("runs/triage") is None


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.floats(0, 1e9, allow_nan=False)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | numbers | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)
completions = st.builds(
    Completion,
    text=texts,
    stop=st.sampled_from(Stop),
    usage=st.builds(Usage, input_tokens=st.none() | st.integers(0, 2**31), output_tokens=st.none() | st.integers(0, 2**31)),
    latency_s=st.none() | numbers,
    reported_model=st.none() | st.just("m"),
    tool_calls=st.lists(st.builds(ToolCall, name=texts, arguments=jsons), max_size=2).map(tuple),
    logprobs=st.lists(jsons, min_size=1, max_size=2) | st.none(),
    cost_usd=st.none() | numbers,
    scores=st.dictionaries(texts, numbers, max_size=2),
    observed_at=st.none() | numbers,
)
answers = st.builds(
    Recorded,
    case=texts,
    pair=st.sampled_from([A, B]),
    slot=st.integers(0, 2**31),
    call=st.sampled_from([CallKey(A), CallKey(B)]),
    completion=st.none() | completions,
    content=st.none() | st.just(A),
    passed=st.none() | st.booleans(),
    score=st.none() | st.floats(0, 1),
    checks=st.lists(st.builds(CheckScore, label=texts, value=st.floats(0, 1), passed=st.booleans()), max_size=2).map(tuple),
    cost_usd=st.none() | numbers,
    failure=st.none() | st.sampled_from(["timeout", "garbled"]),
)


@given(st.lists(answers, max_size=3), texts, texts, texts)
def test_reading_is_the_inverse_of_writing(lines: list[Recorded], suite: str, prompt: str, alias: str) -> None:
    cell = replace(CELL, suite=suite, prompt=prompt, alias=alias)
    value = Record(header=replace(HEADER, cell=cell), answers=tuple(lines))
    path, content = encode(value)
    assert decode(path, content) == value
    assert decode_header(path, content) == value.header


@given(texts)
def test_quoting_is_undone_and_harmless(name: str) -> None:
    part = quoted(name)
    assert unquoted(part) == name
    assert set(part) <= set(string.ascii_letters + string.digits + "-_.%")
    assert part
    assert not part.startswith(".")


@given(texts, texts)
def test_two_names_never_share_a_folder(one: str, other: str) -> None:
    assert (quoted(one) == quoted(other)) == (one == other)


# what is refused -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", KINDS)
def test_a_byte_that_changed_is_noticed(value: Kept) -> None:
    path, content = encode(value)
    with pytest.raises(DataError):
        decode(path, content.replace(b"Ada", b"Eve"))
    with pytest.raises(DataError):
        decode(path, content[:-1])
    with pytest.raises(DataError):
        decode(path.replace("2026", "2027").replace("/support%2F", "/other%2F").replace("accepted/p/", "accepted/q/"), content)


def forged(value: Record, **changes: object) -> tuple[str, bytes]:
    """A record of which one header field says otherwise, under the path that its bytes make."""
    path, content = encode(value)
    first, rest = content.split(b"\n", 1)
    row = {**json.loads(first), **changes}
    content = json.dumps({key: item for key, item in row.items() if item is not ...}).encode() + b"\n" + rest
    return rehashed(path, content), content


def rehashed(path: str, content: bytes) -> str:
    stem, dash, _ = path.rpartition("-")
    return f"{stem}{dash}{digest_bytes(content)[7:23]}.jsonl"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompt": "other"}, "does not fit its path"),
        ({"suite": "other"}, "does not fit its path"),
        ({"model": "other"}, "does not fit its path"),
        ({"behaviour": B}, "does not fit its path"),
        ({"created": "2026-05-01T12:00:01Z"}, "does not fit its path"),
        ({"created": "2026-05-01"}, "a time like"),
        ({"created": "../../../../x"}, "a time like"),
        ({"facts": {"model": "cheap"}}, "not those of its identity"),
        ({"identity": B}, "not those of its identity"),
        ({"identity": "sha1:x"}, "a digest"),
        ({"schema": "promptreg/record/2"}, "this promptreg reads"),
        ({"schema": 7}, "this promptreg reads"),
        ({"retention": "some"}, "one of the known words"),
        ({"purpose": ["run"]}, "one of the known words"),
        ({"params": []}, "an object"),
        ({"reported_models": [1]}, "a list of texts"),
        ({"author": "x" * 5000}, "text"),
        ({"suite_digest": ...}, "a digest"),
    ],
)
def test_a_header_that_disagrees_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        decode(*forged(KINDS[0], **changes))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=said):
        decode_header(*forged(KINDS[0], **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"",
        b"\xff",
        b"{}",
        b'{"case": 1}',
        b"[" * 100_000,
        b'{"case":"c","pair":"x","slot":0,"call":"y"}',
    ],
)
def test_a_line_that_is_no_answer_is_refused_at_its_place(line: bytes) -> None:
    path, content = encode(KINDS[0])
    content += line + b"\n"
    with pytest.raises(DataError) as caught:
        decode(rehashed(path, content), content)
    assert caught.value.where is not None
    assert caught.value.where.line == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"slot": -1},
        {"slot": True},
        {"slot": 1.5},
        {"slot": None},
        {"slot": 10**400},
        {"passed": 1},
        {"score": 2},
        {"score": "1"},
        {"cost_usd": -1},
        {"failure": "bored"},
        {"failure": {}},
        {"checks": [1]},
        {"checks": [{"label": "x"}]},
        {"completion": "text"},
        {"completion": {}},
        {"completion": {"text": 1, "stop": "end"}},
        {"completion": {"text": "x", "stop": "often"}},
        {"completion": {"text": "x", "stop": "end", "latency_s": "fast"}},
        {"completion": {"text": "x", "stop": "end", "observed_at": -1}},
        {"completion": {"text": "x", "stop": "end", "observed_at": 1e300}},
        {"completion": {"text": "x", "stop": "end", "usage": {"input_tokens": 1.5}}},
        {"completion": {"text": "x", "stop": "end", "usage": []}},
        {"completion": {"text": "x", "stop": "end", "scores": {"a": None}}},
        {"completion": {"text": "x", "stop": "end", "tool_calls": [{"name": "f"}]}},
        {"completion": {"text": "x", "stop": "end", "reported_model": 4}},
    ],
)
def test_an_answer_of_the_wrong_shape_is_refused(changes: dict[str, object]) -> None:
    path, content = encode(KINDS[0])
    first, second = content.split(b"\n")[:2]
    content = first + b"\n" + json.dumps({**json.loads(second), **changes}).encode() + b"\n"
    with pytest.raises(DataError):
        decode(rehashed(path, content), content)


@pytest.mark.parametrize("written", [b'"\\ud800"', b"1e999", b"NaN", b"9" * 400 + b".5"])
def test_what_json_cannot_carry_is_refused(written: bytes) -> None:
    path, content = encode(KINDS[0])
    content = content.replace(b'"temperature":0', b'"temperature":' + written)
    with pytest.raises(DataError, match="no JSON"):
        decode(rehashed(path, content), content)


@pytest.mark.parametrize("path", ["", "runs", "other/x", "README.md", "pruned", "../runs/x"])
def test_other_paths_hold_no_records(path: str) -> None:
    with pytest.raises(DataError):
        decode(path, encode(MANIFEST)[1])


def test_a_record_cannot_stand_where_another_kind_belongs() -> None:
    for value in (VERDICT, ACCEPTANCE, MANIFEST):
        content = encode(value)[1]
        for other in KINDS:
            if type(other) is not type(value):
                with pytest.raises(DataError):
                    decode(encode(other)[0], content)


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_a_complaint(content: bytes) -> None:
    for value in KINDS:
        with pytest.raises(DataError):
            decode(encode(value)[0], content)


# retention -------------------------------------------------------------------------------------------------------------------


def test_full_retention_keeps_the_answer() -> None:
    kept = Recorded.of(outcome("mail ada@example.org"), "full")
    assert kept.completion == Completion(text="mail ada@example.org", observed_at=1.0)
    assert kept.content is None
    assert (kept.case, kept.slot, kept.passed, kept.checks[0].label) == ("c1", 2, True, "exact")


@pytest.mark.parametrize("retention", ["digest", "redacted"])
def test_less_retention_keeps_no_text_that_it_should_not(retention: Any) -> None:
    said = "mail ada@example.org, card 4111 1111 1111 1111"
    calls = (ToolCall(name="pay", arguments={"iban": "DE89 3704 0044 0532 0130 00", "n": 12345678, "to": ["ada@example.org"]}),)
    completion = Completion(text=said, tool_calls=calls, logprobs=[["ada@example.org", -0.1]], observed_at=1.0, latency_s=0.5)
    kept = Recorded.of(outcome(said, completion=completion), retention)
    _, content = encode(Record(header=HEADER, answers=(kept,)))
    for secret in (b'ada@example.org"', b"mail ada", b"4111", b"3704", b"12345678"):
        assert secret not in content
    assert kept.content == completion.content_digest()
    assert kept.completion is not None
    assert (kept.completion.latency_s, kept.completion.stop) == (0.5, Stop.END)
    assert kept.completion.text == ("" if retention == "digest" else "mail [e-mail], card [number]")


def test_an_answer_that_no_json_can_carry_is_kept_as_a_digest() -> None:
    for retention in ("full", "digest", "redacted"):
        kept = Recorded.of(outcome("half \ud83d"), retention)  # type: ignore[arg-type]
        path, content = encode(Record(header=HEADER, answers=(kept,)))
        assert decode(path, content)
        assert kept.content is not None


def test_a_failure_is_kept_by_its_kind_alone() -> None:
    failed = outcome("", completion=None, checks=(), passed=None, score=None, failure=Failure(kind="auth", message="key sk-secret"))
    kept = Recorded.of(failed, "full")
    assert (kept.completion, kept.failure) == (None, "auth")
    assert b"sk-secret" not in encode(Record(header=HEADER, answers=(kept,)))[1]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("The queue is billing.", "The queue is billing."),
        ("In 2024, 3 of 12 cases; see RFC 8785, order 123456", "In 2024, 3 of 12 cases; see RFC 8785, order 123456"),
        ("a.b+c@mail.example.co.uk!", "[e-mail]!"),
        ("call +49 (30) 1234-5678 now", "call [number] now"),
        ("key sk-abcDEF1234567890abcd.", "key [key]."),
        ("ghp_abcdefghijklmnop1234 and AKIAIOSFODNN7EXAMPLE", "[key] and [key]"),
        ("Authorization: Bearer abc.def-ghi_jkl", "Authorization: Bearer [token]"),
        ("api_key = 'hunter2hunter2'", "api_key = '[secret]'"),
        ('{"password": "correct-horse"}', '{"password": "[secret]"}'),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig-nature", "[token]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "[key]"),
        ("5f4dcc3b5aa765d61d8327deb882cf99", "[token]"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN [number]"),
    ],
)
def test_redaction(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize("unit", ["a", "a.", "1 ", "@", "a@", "eyJ", "-", "sk-", "key: ", "AB12 ", "-----BEGIN PRIVATE KEY-----"])
def test_hostile_text_is_redacted_in_one_go(unit: str) -> None:
    """Were it quadratic, this would take hours."""
    assert redacted(unit * (200_000 // len(unit))) is not None


def test_only_json_can_be_written() -> None:
    with pytest.raises(UsageError):
        encode(replace(ACCEPTANCE, reason="\ud800"))


def test_facts_make_the_identity() -> None:
    assert digest("promptreg/model/1", FACTS) == IDENTITY.digest == Digest(CELL.identity)
