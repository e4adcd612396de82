"""What others publish about the ends of models, one format per file: text in, facts out; anything odd is refused by file and line.

Nothing here fetches, and nothing here weighs one source against another.
"""

from __future__ import annotations

from typing import Any

from promptreg.core.lifecycle import Fact
from promptreg.documents.feeds import bedrock, litellm, model_eol, openai
from promptreg.documents.feeds.feed import MAX_FEED_BYTES, Feed
from promptreg.documents.json import decode_json
from promptreg.documents.lifecycle import SCHEMA, broken_line, read_models_lock
from promptreg.errors import DocumentError, Where

__all__ = ["FORMATS", "MAX_FEED_BYTES", "Feed", "read_feed"]

FORMATS = {
    "model-eol": model_eol,
    "OpenAI's GET /v1/models": openai,
    "Bedrock's ListFoundationModels or GetFoundationModel": bedrock,
    "litellm's table": litellm,
}


def read_feed(content: bytes, feed: Feed) -> tuple[Fact, ...]:
    """The facts of *content*, whichever format it has. DocumentError for one that is unknown, too large, or broken."""
    if len(content) > MAX_FEED_BYTES:
        raise DocumentError(f"it is larger than {MAX_FEED_BYTES:,} bytes", where=Where(feed.path))
    try:
        raw: Any = decode_json(content)
    except ValueError as fault:
        raise DocumentError(f"it is not JSON: {str(fault)[:200]}", where=Where(feed.path, broken_line(content))) from fault
    feed = feed.of(content)
    if isinstance(raw, dict):
        if raw.get("schema") == SCHEMA:
            return read_models_lock(content, feed.path)
        for reader in FORMATS.values():
            if reader.recognises(raw):
                return tuple(reader.facts(raw, feed))
    hint = f"what is read: {', '.join(FORMATS)}, and another registry's models.lock.json"
    raise DocumentError("nobody here knows this format", where=Where(feed.path), hint=hint)
