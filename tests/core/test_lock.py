"""The lock: reading is the inverse of writing, and refuses whatever writing would not have written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.canonical import digest, digest_bytes
from promptreg.core.identity import source_of_digests
from promptreg.core.lock import SCHEMA, Lock, Locked, LockedSource, check_file, check_selector, read_lock, write_lock
from promptreg.core.semver import parse_version
from promptreg.errors import LockTampered, UsageError

OID = "a" * 40


def locked(name: str = "support/triage", version: str = "1.4.0", partial: str = "support/_tone.jinja", **changed: Any) -> Locked:
    own, other = digest_bytes(name.encode()), digest_bytes(partial.encode())
    values: dict[str, Any] = {
        "name": name,
        "selector": "^1.4",
        "version": parse_version(version),
        "tag": f"{name}@v{version}",
        "tag_object": OID,
        "commit": "b" * 64,
        "time": 1_700_000_000,
        "signer": None,
        "files": {f"{name}.yaml": own, partial: other},
        "source_digest": source_of_digests(own, {partial: other}),
    }
    return Locked(**values | changed)


def lock_of(*prompts: Locked) -> Lock:
    return Lock().having("acme", "https://example.org/acme.git", prompts)


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}(/[a-z]{1,5})?", fullmatch=True)
LOCKS = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True),
    st.builds(
        lambda prompts: LockedSource(url="git@example.org:x.git", prompts={each.name: each for each in prompts}),
        st.lists(
            st.builds(
                locked,
                name=NAMES,
                version=st.sampled_from(["0.0.1", "1.4.0-rc.1+b", "2.0.0"]),
                partial=st.sampled_from(["_a.jinja", "b/_ü.jinja"]),
                signer=st.none() | st.just("ada@example.org"),
                selector=st.sampled_from(["latest", "production", ">=1,<2", "1.4.0"]),
            ),
            max_size=3,
        ),
    ),
    max_size=3,
).map(lambda sources: Lock(sources=sources))


@given(LOCKS)
def test_reading_is_the_inverse_of_writing(lock: Lock) -> None:
    assert read_lock(write_lock(lock)) == lock
    assert read_lock(write_lock(lock).replace(b"\n", b"\r\n")) == lock


@given(LOCKS, st.data())
def test_no_byte_can_change_unseen(lock: Lock, data: st.DataObject) -> None:
    content = write_lock(lock)
    position = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[position]))
    with pytest.raises(LockTampered):
        read_lock(content[:position] + bytes([byte]) + content[position + 1 :])


def forged(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """A lock that *change* was made to, by somebody who computed its digest anew."""
    raw = json.loads(write_lock(lock_of(locked())))
    change(raw)
    raw["digest"] = digest(SCHEMA, {"schema": SCHEMA, "sources": raw["sources"]})
    return json.dumps(raw, ensure_ascii=False, indent=2, sort_keys=True).encode() + b"\n"


def one(raw: dict[str, Any]) -> dict[str, Any]:
    return raw["sources"]["acme"]["prompts"]["support/triage"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.update(more=1), "unknown key 'more'"),
        (lambda raw: one(raw).update(more=1), "unknown key 'more'"),
        (lambda raw: one(raw).pop("commit"), "missing key 'commit'"),
        (lambda raw: one(raw).update(commit="--upload-pack=x"), "'commit' is not what it should be"),
        (lambda raw: one(raw).update(tag_object="HEAD"), "'tag_object' is not what it should be"),
        (lambda raw: one(raw).update(tag="--upload-pack=x"), "its tag is of another release"),
        (lambda raw: one(raw).update(tag="support/triage@v9.9.9"), "its tag is of another release"),
        (lambda raw: one(raw).update(version="1"), "version"),
        (lambda raw: one(raw).update(selector="git:HEAD"), "not a release"),
        (lambda raw: one(raw).update(time=1.5), "'time' is not a whole number"),
        (lambda raw: one(raw).update(time=True), "'time' is not a whole number"),
        (lambda raw: one(raw).update(signer=["x"]), "'signer' is not what it should be"),
        (lambda raw: one(raw)["files"].update({"../../evil": "sha256:" + "0" * 64}), "not a path that a pulled file may have"),
        (
            lambda raw: one(raw)["files"].update({"support/triage.yaml": "sha256:" + "0" * 64}),
            "its digest is not that of its files",
        ),
        (lambda raw: one(raw)["files"].pop("support/triage.yaml"), "its digest is not that of its files"),
        (lambda raw: raw["sources"]["acme"].update(url="ext::sh -c id"), "would run a program"),
        (lambda raw: raw["sources"].update({"../x": {"url": "/x", "prompts": {}}}), "cannot be the name of a source"),
        (lambda raw: raw["sources"].update(x=[]), "an object is wanted"),
    ],
)
def test_a_forged_lock_is_refused_whatever_its_digest(change: Callable[[dict[str, Any]], Any], message: str) -> None:
    with pytest.raises(LockTampered, match="the lock cannot be trusted") as caught:
        read_lock(forged(change))
    assert message in caught.value.message
    assert caught.value.where is not None


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"\xff", b"[" * 5000, b'{"digest": 1, "schema": 1, "sources": NaN}', b"null"]
)
def test_what_is_no_lock_is_refused(content: bytes) -> None:
    with pytest.raises(LockTampered):
        read_lock(content)


def test_a_lock_of_tomorrow_says_so() -> None:
    with pytest.raises(LockTampered, match="promptreg/lock/2") as caught:
        read_lock(write_lock(lock_of()).replace(b"lock/1", b"lock/2"))
    assert "newer promptreg" in (caught.value.hint or "")


def test_a_key_that_stands_twice_is_refused() -> None:
    content = write_lock(lock_of(locked())).replace(b'"schema":', b'"schema": "promptreg/lock/1",\n  "schema":')
    with pytest.raises(LockTampered, match="not written as promptreg writes it"):
        read_lock(content)


@pytest.mark.parametrize(
    "path", ["", "/a", "a//b", "../a", "a/../b", ".git/config", "a/.b", "a\\b", "a\0b", "a\nb", "c:x", "a/b.", "x" * 500]
)
def test_paths_that_no_pulled_file_may_have(path: str) -> None:
    with pytest.raises(UsageError):
        check_file(path)


@pytest.mark.parametrize("text", ["git:HEAD", "working", "", "--x"])
def test_selectors_that_no_tag_answers(text: str) -> None:
    with pytest.raises(UsageError):
        check_selector(text)
