"""Metric `refusal`: the model declined to answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.metrics.wording import quoted

# An opening, perhaps after an apology: "(I'm sorry, but) I can't help with that". A bare "I can't find an error" is no refusal.
_APOLOGY = (
    r"(?:(?:i['’]?m|i am)(?: very| really| so| truly)? sorry|sorry|(?:my )?apologies|i apologi[sz]e|unfortunately"
    r"|as an ai[\w ]{0,30})[,.!:;]?(?: but)?,? "
)
_CANNOT = (
    r"i (?:can['’]?t|cannot|can not|won['’]?t|will not|must (?:decline|refuse)|have to decline|decline)"
    r"|(?:i['’]?m|i am) (?:unable|not able|not willing|not allowed|not permitted)"
)
_DEED = (
    r"(?:help|assist|provide|comply|fulfil?l|answer|discuss|create|generate|write|share|support|engage|participate|offer|give"
    r"|do (?:that|this)|continue|respond)"
)
_REFUSAL = re.compile(rf"[\s\"'“*_#>]*(?:{_APOLOGY})?(?:{_CANNOT})(?: to| with)?(?: \w+ly)? {_DEED}\b", re.IGNORECASE)
_LOOKED_AT = 400  # characters: a refusal opens the answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Did the model refuse? 1 if it did, so that `not_refusal` is the usual check.

    It did when the provider says so (stop `refusal` or `filter`), or when the answer opens with an English formula such as
    "I'm sorry, but I can't help", "I cannot assist", "I'm unable to provide", "I must decline to answer".
    phrases: further openings that count, casefolded, for other languages or house styles.
    """

    name: ClassVar[str] = "refusal"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "phrases"
    cached: ClassVar[bool] = False

    phrases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(phrase.strip() for phrase in self.phrases):
            raise ValueError("'phrases' holds an empty one, with which every answer opens")

    def score(self, answer: Answer) -> Score:
        if answer.completion.stop.refused:
            return Score(value=1.0, reason=f"the provider stopped it: {answer.completion.stop}")
        if self.declines(answer.text):
            return Score(value=1.0, reason=f"refused: {quoted(answer.text)}")
        return Score(value=0.0, reason=f"did not refuse: {quoted(answer.text)}")

    def declines(self, text: str) -> bool:
        start = text.lstrip()[:_LOOKED_AT]
        own = tuple(phrase.strip().casefold() for phrase in self.phrases)
        return _REFUSAL.match(start) is not None or start.casefold().startswith(own)
