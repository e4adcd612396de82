"""`bleu`, `chrf`: sacrebleu's own sentence scores, divided by 100."""

from __future__ import annotations

import sys

import pytest
import sacrebleu
from answers import LONG, value

from promptreg.errors import UsageError
from promptreg.metrics.bleu import Bleu
from promptreg.metrics.chrf import Chrf

PAIRS = [
    (["The cat sat on the mat."], "The cat sat on the mat."),
    (["The cat sat on the mat."], "A cat sat on a mat."),
    (["The cat sat on the mat.", "A cat was sitting on a mat."], "A cat sat on a mat."),
    (["The cat sat on the mat."], "THE CAT SAT ON THE MAT."),
    (["cat"], "dog"),
    (["Die Übung macht den Meister"], "Übung macht den Meister"),
    (["私は猫です"], "私は犬です"),
    (["one"], ""),
]


@pytest.mark.parametrize(("references", "text"), PAIRS)
@pytest.mark.parametrize("lowercase", [False, True])
def test_bleu_is_sacrebleus(references: list[str], text: str, lowercase: bool) -> None:
    oracle = sacrebleu.BLEU(effective_order=True, lowercase=lowercase).sentence_score(text, references)
    assert value(Bleu(expected=references, ignore_case=lowercase), text) == pytest.approx(oracle.score / 100)


@pytest.mark.parametrize(("references", "text"), PAIRS)
@pytest.mark.parametrize("word_order", [0, 2])
def test_chrf_is_sacrebleus(references: list[str], text: str, word_order: int) -> None:
    oracle = sacrebleu.CHRF(word_order=word_order).sentence_score(text, references)
    assert value(Chrf(expected=references, word_order=word_order), text) == pytest.approx(oracle.score / 100)


@pytest.mark.parametrize("metric", [Bleu, Chrf])
def test_equal_texts_pass(metric: type) -> None:
    assert value(metric(expected="The very same words, all of them."), "The very same words, all of them.") == 1.0
    assert value(metric(expected="short"), "short") == 1.0


@pytest.mark.parametrize("metric", [Bleu, Chrf])
def test_a_long_answer_is_scored(metric: type) -> None:
    assert value(metric(expected="nothing like it"), "x" * LONG) < 0.01


@pytest.mark.parametrize("metric", [Bleu, Chrf])
def test_without_sacrebleu_there_is_a_remedy(metric: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)  # what an environment without the package looks like
    with pytest.raises(UsageError, match="not installed") as caught:
        metric(expected="x")
    assert caught.value.hint == "pip install 'git-promptreg[text]'"


@pytest.mark.parametrize("options", [{"expected": []}, {"expected": None}, {"expected": "x", "word_order": -1}])
def test_senseless_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"expected|word_order"):
        Chrf(**options)
