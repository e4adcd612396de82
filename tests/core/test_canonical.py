"""Canonical JSON: the vectors of RFC 8785, and its laws."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.canonical import canonical, digest, digest_bytes
from promptreg.errors import UsageError

# Doubles beyond 2**53 are written with the fewest digits, as the RFC asks, and would be read back as another integer.
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-(2.0**53), 2.0**53) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


def shuffled(value: Any) -> Any:
    """The same value with every object's keys in the other order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("bits", "text"),
    [  # RFC 8785, appendix B
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555556", "333333333.3333334"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_of_the_rfc(bits: str, text: str) -> None:
    [number] = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(number) == text.encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (  # RFC 8785, section 3.2.2 and 3.2.4
            {
                "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
                "string": '€$\u000f\nA\'B"\\\\"/',
                "literals": [None, True, False],
            },
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
        ),
        (  # section 3.2.3: sorted by UTF-16 code units
            {"€": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "ö": 7},
            '{"\\r":2,"1":4,"\x80":6,"ö":7,"€":1,"\U0001f600":5,"\ufb33":3}',
        ),
        ("\x00\x08\x09\x0a\x0c\x0d\x1f\x7f</\u2028", '"\\u0000\\b\\t\\n\\f\\r\\u001f\x7f</\u2028"'),
        ([], "[]"),
        ({}, "{}"),
        ((1, (2,)), "[1,[2]]"),
        (2**70, "1180591620717411303424"),
        (1.0, "1"),
        (True, "true"),
    ],
)
def test_values_of_the_rfc(value: Any, text: str) -> None:
    assert canonical(value) == text.encode()


@given(json_values)
def test_key_order_is_invisible(value: Any) -> None:
    assert canonical(shuffled(value)) == canonical(value)
    assert digest("x", shuffled(value)) == digest("x", value)


@given(json_values)
def test_round_trip(value: Any) -> None:
    assert json.loads(canonical(value)) == value


@given(json_values)
def test_canonical_is_a_fixed_point(value: Any) -> None:
    once = canonical(value)
    assert canonical(json.loads(once)) == once


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_as_they_were(number: float) -> None:
    assert float(canonical(number)) == number
    assert b" " not in canonical(number)


@given(json_values, json_values)
def test_different_values_have_different_bytes(left: Any, right: Any) -> None:
    same = json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
    if canonical(left) == canonical(right):
        assert json.loads(canonical(left)) == right
    else:
        assert not same


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), "\ud800", {"\udfff": 1}, ["a\udc00b"], {1: 2}, {None: 1}, b"x", object(), {1, 2}],
)
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(UsageError):
        canonical(value)


def test_digests_name_their_algorithm_and_kind() -> None:
    assert digest_bytes(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest("k/1", {"a": 1}) == "sha256:" + hashlib.sha256(b'["k/1",{"a":1}]').hexdigest()
    assert digest("k/1", 1) != digest("k/2", 1)
