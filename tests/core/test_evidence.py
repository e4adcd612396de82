"""The text of a tag: what people say, and the block that machines read."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from versions import VERSIONS

from promptreg.core.evidence import Evidence, Measurement, message, one_line, said
from promptreg.core.releases import block, entry, prose
from promptreg.documents.evidence import evidence, evidence_block, machine_block
from promptreg.errors import DocumentError, UsageError

PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), max_size=30)
DIGESTS = st.integers(0, 2**256 - 1).map(lambda number: f"sha256:{number:064x}")
SHARES = st.none() | st.floats(0, 1)
DIFFERENCES = st.none() | st.floats(-1, 1)
MEASURED = st.builds(
    Measurement,
    suite=PRINTABLE,
    model=PRINTABLE,
    suite_digest=DIGESTS,
    dataset_digest=st.none() | DIGESTS,
    n=st.integers(0, 10**6),
    score=SHARES,
    lower=SHARES,
    upper=SHARES,
    reported_models=st.lists(PRINTABLE, max_size=2).map(tuple),
    verdict=PRINTABLE,
    on=st.sampled_from(["passed", "score"]),
    checks_digest=st.none() | DIGESTS,
    policy_digest=st.none() | DIGESTS,
    identity=st.none() | DIGESTS,
    against=st.none() | VERSIONS,
    drop=DIFFERENCES,
    drop_lower=DIFFERENCES,
    drop_upper=DIFFERENCES,
    margin=SHARES,
    mode=st.sampled_from(["", "fixed", "hybrid"]),
    floor=SHARES,
    records=st.lists(st.integers(0, 2**64 - 1).map(lambda number: f"{number:016x}"), max_size=2).map(tuple),
)
EVIDENCE = st.builds(
    Evidence,
    name=st.sampled_from(["support/triage", "1e3", "no", "123", "null", "0x1", "2024-01-01", "a"]),
    version=VERSIONS,
    previous=st.none() | VERSIONS,
    change=st.sampled_from(["first", "none", "patch"]),
    behaviour=DIGESTS,
    source=DIGESTS,
    promptreg=PRINTABLE,
    verdict=PRINTABLE,
    accepted=PRINTABLE,
    no_gate=PRINTABLE,
    measured=st.lists(MEASURED, max_size=2).map(tuple),
)


@settings(deadline=None)
@given(EVIDENCE, PRINTABLE)
def test_reading_is_the_inverse_of_writing(written: Evidence, text: str) -> None:
    body = message(text, evidence_block(written))
    assert evidence(block(body), "a@v1.0.0") == written
    assert entry(body, "version") == str(written.version)
    assert prose(body) == text.strip()


@settings(deadline=None)
@given(EVIDENCE)
def test_another_yaml_reader_understands_it_too(written: Evidence) -> None:
    read = yaml.safe_load(evidence_block(written))
    assert read["version"] == str(written.version)
    assert read["name"] == written.name
    assert read["behaviour"] == written.behaviour
    assert read["verdict"] == written.verdict


def test_keys_that_come_later_are_passed_over_and_other_blocks_are_none() -> None:
    digest = "sha256:" + "0" * 64
    known = {"schema": "promptreg/evidence/1", "name": "a", "version": "1.0.0", "change": "first", "promptreg": "9.0.0"}
    read = evidence(machine_block({**known, "behaviour": digest, "source": digest, "weather": {"rain": True}}), "a@v1.0.0")
    assert read is not None
    assert read.promptreg == "9.0.0"
    assert evidence(machine_block({**known, "schema": "promptreg/evidence/2"}), "a@v1.0.0") is None
    assert evidence("", "a@v1.0.0") is None
    with pytest.raises(DocumentError, match="behaviour"):
        evidence(machine_block({**known, "behaviour": "sha256:no", "source": digest}), "a@v1.0.0")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        (" \n\t", "is empty"),
        ("a\x1b[2Jb", r"holds the character '\x1b'"),
        ("a\0b", r"holds the character '\x00'"),
        ("a\u202eb", "holds the character"),
        ("a\udcffb", "holds the character"),
        ("fine\n---\nversion: 9.9.9", "reads like the end of a message"),
        ("fine\n  -----BEGIN PGP SIGNATURE-----", "reads like the end of a message"),
        ("x" * 10_001, "at most 10,000"),
    ],
)
def test_what_would_forge_or_hide_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        said(text, "--message")
    assert complaint in caught.value.message


def test_what_people_say_may_have_lines_and_begin_with_anything() -> None:
    assert (
        said("--upload-pack=x\r\n# not a comment\n\tsecond 👩\u200d💻\n", "--message")
        == "--upload-pack=x\n# not a comment\n\tsecond 👩\u200d💻"
    )
    with pytest.raises(UsageError, match="several lines"):
        one_line("one\ntwo", "--reason")


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), st.one_of(PRINTABLE, st.integers(), st.booleans(), st.none(), st.lists(PRINTABLE))))
def test_a_block_is_yaml(entries: dict[str, Any]) -> None:
    assert (yaml.safe_load(machine_block(entries)) or {}) == entries
