"""`refusal`: the model declined to answer."""

from __future__ import annotations

import pytest
from answers import LONG, answer, value

from promptreg.core.run import Stop
from promptreg.metrics.refusal import Refusal


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I can’t assist with that request.",
        "I am very sorry, but I am unable to provide this.",
        "Sorry, I cannot comply.",
        "I cannot answer this question.",
        "I can not discuss that.",
        "I won't help you build one.",
        "As an AI language model, I cannot provide medical advice.",
        "Unfortunately, I'm not able to share this.",
        "I must decline to answer.",
        "I apologize, but I cannot fulfill this request.",
        "  **I can't do that.**",
        '"I cannot help."',
        "I can't ethically assist.",
    ],
)
def test_english_refusals(text: str) -> None:
    assert value(Refusal(), text) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "billing",
        "I can't find an error in this code.",
        "I'm sorry to hear that! Let me help you.",
        "Sorry, the shop is closed on Mondays.",
        "The support agent wrote: I can't help with that.",
        "Unfortunately, the parcel was lost.",
        "I will not be there on Monday, he said.",
        "I cannot help"[:8],
        "Je ne peux pas vous aider.",
        "I'm sorry, " * (LONG // 11),
        " " * LONG,
        "as an ai " * (LONG // 9),
    ],
)
def test_answers(text: str) -> None:
    assert value(Refusal(), text) == 0


@pytest.mark.parametrize(("stop", "refused"), [(Stop.REFUSAL, 1), (Stop.FILTER, 1), (Stop.END, 0), (Stop.LENGTH, 0)])
def test_the_provider_may_say_so(stop: Stop, refused: float) -> None:
    assert value(Refusal(), "", stop=stop) == refused


def test_phrases_of_ones_own() -> None:
    metric = Refusal(phrases=("Je ne peux pas", "ESCALATE"))
    assert value(metric, "je ne peux pas vous aider") == 1
    assert value(metric, "escalate: legal") == 1
    assert value(metric, "Bien sûr") == 0
    assert "refused" in metric.score(answer("ESCALATE")).reason


def test_an_empty_phrase_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Refusal(phrases=("ok", " "))
