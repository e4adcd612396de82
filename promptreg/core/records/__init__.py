"""What the runs branch holds, as values and as the bytes of its files: answers, verdicts, acceptances, and what was pruned.

    runs/<suite>/<prompt>/<behaviour12>/<alias>-<identity8>/<utc>-<id>.jsonl      Record: a header, then one line for each answer
    verdicts/<prompt>/<behaviour12>/<id>.json                                     VerdictRecord
    accepted/<prompt>/<behaviour12>/<id>.json                                     Acceptance
    pruned/<utc>-<id>.json                                                        Manifest

Names are percent-quoted, `<id>` is the beginning of the file's own digest: so two writers never mean different things by one path,
and a file that was altered does not fit its name. Reading is the inverse of writing, and refuses (DataError) whatever differs from
what writing makes, path and header alike. Knows neither Git nor the clock: `created` is ISO 8601, UTC, to the second.
"""

from __future__ import annotations

from promptreg.core.records.places import Place, accepted_folder, place, quoted, unquoted, verdict_folder
from promptreg.core.records.reading import decode, decode_header
from promptreg.core.records.redaction import redacted
from promptreg.core.records.values import (
    Acceptance,
    Cell,
    CheckScore,
    Header,
    Kept,
    Manifest,
    Purpose,
    Record,
    Recorded,
    VerdictRecord,
)
from promptreg.core.records.writing import encode

__all__ = [
    "Acceptance",
    "Cell",
    "CheckScore",
    "Header",
    "Kept",
    "Manifest",
    "Place",
    "Purpose",
    "Record",
    "Recorded",
    "VerdictRecord",
    "accepted_folder",
    "decode",
    "decode_header",
    "encode",
    "place",
    "quoted",
    "redacted",
    "unquoted",
    "verdict_folder",
]
