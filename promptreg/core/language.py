"""Which language a text is in, as far as its writing system and its commonest little words tell. A guess for drift, no linguistics.

Languages of the Latin alphabet are told apart by function words: the one that has LEAST of them, and half as many again as any
other. Other writing systems stand for themselves: who changes from Russian to Bulgarian is not seen. The word lists are our own.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

LOOKED_AT = 2_000  # characters
LEAST = 2
AHEAD = 1.5
LATIN = "LATIN"
_WORD = re.compile(r"[^\W\d_]+")
_WORDS = {
    "en": "the and of to is that for with you are this have not be was it as on at from your they will can would",
    "de": "der die das und ist nicht ein eine zu den mit von auf für sie ich wir sich dem des auch als sind wird oder",
    "fr": "le la les et est des un une dans que pour qui pas vous nous sur avec ce cette sont il elle du au par",
    "es": "el la los las y es que en un una por con para no se del al lo como más pero sus este esta son",
    "it": "il lo gli di che è e un una per non con sono del della nel alla come anche più questo questa si da ma",
    "pt": "o os as e é que não um uma em do da dos das para com por se mais como mas foi são você ao",
    "nl": "de het een en van is dat niet op te voor met zijn die aan er maar ook als wordt bij naar door deze je",
    "sv": "och att det är som en ett på för med inte av den till har de vi jag kan från om men så ska eller",
    "da": "og at det er som en et på for med ikke af den til har de vi jeg kan fra om men så skal eller",
    "pl": "i w nie na się z do że jest to jak o co ale po dla przez są tak już tylko czy od może był",
    "tr": "ve bir bu için ile de da çok daha ne olarak gibi ama var mı değil ben sen biz kadar sonra olan en ki",
    "id": "yang dan di untuk dengan ini itu tidak dari ke pada adalah akan saya anda kami bisa ada juga atau oleh karena dalam",
}
_SPEAKS: dict[str, frozenset[str]] = {name: frozenset(words.split()) for name, words in _WORDS.items()}


def language(text: str) -> str:
    """`en`, `de` … for a Latin text that shows it, else the writing system (`CYRILLIC`, `CJK` …); empty without letters."""
    head = text[:LOOKED_AT]
    system = script(head)
    if system != LATIN:
        return system
    words = Counter(word.casefold() for word in _WORD.findall(head))
    scores = Counter({name: sum(words[word] for word in known) for name, known in _SPEAKS.items()})
    (best, most), (_, second) = scores.most_common(2)
    return best if most >= LEAST and most >= AHEAD * second else LATIN


def script(text: str) -> str:
    """The writing system of most letters of *text*, as Unicode names begin; empty without letters."""
    counts = Counter(unicodedata.name(letter, "?").partition(" ")[0] for letter in text[:LOOKED_AT] if letter.isalpha())
    return min(counts, key=lambda name: (-counts[name], name)) if counts else ""
