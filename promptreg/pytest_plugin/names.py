"""What items are called: ids that pytest, shells, JUnit and environment variables can carry, and marker names for tags.

A name depends on its own text only, never on its neighbours, so that a node id of yesterday still means the same case.
"""

from __future__ import annotations

import hashlib
import re

LONGEST = 80  # characters of an id: pytest puts the running test's into an environment variable, and people into a shell
DIGEST = 8  # hexadecimal digits that tell two ids apart which look alike after cleaning
_UNSAFE = re.compile(r"[\[\]\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+|::+")


def node_part(text: str) -> str:
    """*text* as a part of a node id: itself if it can be one, else cleaned, with a digest of what it was."""
    clean = _UNSAFE.sub("_", text)[:LONGEST]
    if clean == text and clean:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST]
    return f"{clean}~{digest}"


def marker_name(text: str) -> str:
    """*text* as the name of a marker, one that `-m` can read: letters, digits and underscores."""
    name = re.sub(r"\W+", "_", text[:LONGEST]).strip("_")
    return name if name and name.isidentifier() else f"tag_{name}"
