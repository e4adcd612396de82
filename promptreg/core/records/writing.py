"""Records as bytes, and the path that those bytes make. Part of `records`."""

from __future__ import annotations

from promptreg.core.canonical import Json, canonical, digest_bytes
from promptreg.core.records.places import MANIFESTS, accepted_folder, verdict_folder
from promptreg.core.records.values import Acceptance, Kept, Manifest, Record, Recorded, VerdictRecord

RECORD, VERDICT, ACCEPTANCE, PRUNED = (f"promptreg/{kind}/1" for kind in ("record", "verdict", "acceptance", "pruned"))

_ID = 16  # hex digits of a file's digest: 64 bits, so that nobody hits another's by chance


def encode(value: Kept) -> tuple[str, bytes]:
    """The path and the bytes of *value*. UsageError for what JSON cannot say."""
    rows = [_header_row(value), *map(_answer_row, value.answers)] if isinstance(value, Record) else [_row(value)]
    content = b"".join(canonical(row) + b"\n" for row in rows)
    return path_of(value, content), content


def path_of(value: Kept, content: bytes) -> str:
    """Where *value*, written as *content*, belongs."""
    name = digest_bytes(content).removeprefix("sha256:")[:_ID]
    match value:
        case Record(header=header):
            return f"{header.cell.folder}/{_stamp(header.created)}-{name}.jsonl"
        case VerdictRecord():
            return f"{verdict_folder(value.prompt, value.behaviour)}/{name}.json"
        case Acceptance():
            return f"{accepted_folder(value.prompt, value.behaviour)}/{name}.json"
        case Manifest():
            return f"{MANIFESTS}/{_stamp(value.created)}-{name}.json"


def _header_row(record: Record) -> dict[str, Json]:
    header, cell = record.header, record.header.cell
    return {
        "schema": RECORD,
        "suite": cell.suite,
        "prompt": cell.prompt,
        "behaviour": cell.behaviour,
        "model": cell.alias,
        "identity": cell.identity,
        "facts": header.facts,
        "suite_digest": header.suite_digest,
        "dataset_digest": header.dataset_digest,
        "checks_digest": header.checks_digest,
        "params": header.params,
        "reported_models": header.reported_models,
        "version": header.version,
        "author": header.author,
        "created": header.created,
        "seed": header.seed,
        "retention": header.retention,
        "purpose": header.purpose,
    }


def _answer_row(answer: Recorded) -> dict[str, Json]:
    """Only what is set, besides who it is of."""
    completion = None if answer.completion is None else answer.completion.as_json()
    checks: list[Json] = [{"label": one.label, "value": one.value, "passed": one.passed} for one in answer.checks]
    optional: dict[str, Json] = {
        "completion": completion,
        "content": answer.content,
        "passed": answer.passed,
        "score": answer.score,
        "checks": checks or None,
        "cost_usd": answer.cost_usd,
        "failure": answer.failure,
    }
    first: dict[str, Json] = {"case": answer.case, "pair": answer.pair, "slot": answer.slot, "call": answer.call}
    return {**first, **{name: value for name, value in optional.items() if value is not None}}


def _row(value: VerdictRecord | Acceptance | Manifest) -> dict[str, Json]:
    schema = {VerdictRecord: VERDICT, Acceptance: ACCEPTANCE, Manifest: PRUNED}[type(value)]
    return {"schema": schema, **{name: getattr(value, name) for name in value.__dataclass_fields__}}


def _stamp(created: str) -> str:
    return created.replace("-", "").replace(":", "")
