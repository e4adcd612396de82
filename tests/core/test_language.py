"""Which language an answer is in, by its little words; other writing systems by their letters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.language import language, script

SPOKEN = {
    "en": "I am sorry, but the parcel that you ordered is not in our stock, and it will be sent to you on Monday.",
    "de": "Es tut mir leid, aber das Paket ist nicht mehr auf Lager und wird für Sie am Montag mit der Post versandt.",
    "fr": "Je suis désolé, mais le colis que vous avez commandé n'est pas en stock, et il sera envoyé par la poste lundi.",
    "es": "Lo siento, pero el paquete que pidió no está en el almacén y se enviará por correo el lunes con los demás.",
    "it": "Mi dispiace, ma il pacco che hai ordinato non è in magazzino e sarà spedito lunedì con la posta del mattino.",
    "pt": "Sinto muito, mas o pacote que você pediu não está em estoque e será enviado na segunda-feira com os outros.",
    "nl": "Het spijt me, maar het pakket dat u hebt besteld is niet op voorraad en wordt maandag met de post verzonden.",
    "sv": "Jag är ledsen, men paketet som ni beställde finns inte i lager och ska skickas på måndag med de andra.",
    "pl": "Przykro mi, ale paczka nie jest dostępna i zostanie wysłana w poniedziałek, tak jak się umówiliśmy na początku.",
    "tr": "Üzgünüm ama bu paket depoda yok ve pazartesi günü sizin için posta ile gönderilecek, çok daha erken değil.",
    "id": "Maaf, tetapi paket yang anda pesan tidak ada di gudang dan akan dikirim pada hari Senin dengan pos dari kami.",
}


@pytest.mark.parametrize("name", SPOKEN)
def test_little_words_tell_a_language(name: str) -> None:
    assert language(SPOKEN[name]) == name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("billing", "LATIN"),
        ("простой ответ", "CYRILLIC"),
        ("答え", "CJK"),
        ("42 %", ""),
        ("", ""),
        ("\ud800", ""),
        ("ABC-123", "LATIN"),
    ],
)
def test_what_shows_no_language_stands_for_its_letters(text: str, found: str) -> None:
    assert language(text) == found


def test_the_writing_system_is_that_of_most_letters() -> None:
    assert script("ответ: yes") == "CYRILLIC"
    assert script("réponse") == "LATIN"


@given(st.text(max_size=300))
def test_any_text_has_an_answer_and_its_case_plays_no_part(text: str) -> None:
    assert isinstance(language(text), str)
    if text.isascii():
        assert language(text.upper()) == language(text.lower())
