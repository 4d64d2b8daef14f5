"""Which language a message is written in: by its script, else by a vote of its commonest words.

Knows nothing of profiles; None means that it is too short or too mixed to tell.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping

_SCRIPTS: Mapping[str, str] = {  # how Unicode names a script's letters = its commonest language
    "ARABIC": "ar",
    "CYRILLIC": "ru",
    "KANA": "ja",
    "HANGUL": "ko",
    "CJK": "zh",
    "DEVANAGARI": "hi",
    "BENGALI": "bn",
    "GURMUKHI": "pa",
    "TAMIL": "ta",
    "TELUGU": "te",
    "THAI": "th",
    "HEBREW": "he",
    "GREEK": "el",
}
_KANA = {"HIRAGANA", "KATAKANA"}
_URDU = frozenset("ٹڈڑںےھگچپک")  # letters that Arabic does not have; a few are Persian's, too
_PERSIAN_WORDS = frozenset("است می که را برای هستم".split())
_WORDS: Mapping[str, frozenset[str]] = {
    "en": frozenset(
        "the a an and is are i i'm my to of in want for you it can do would like have need with "
        "what how hello hi please am that this yes not me your looking about thanks".split()
    ),
    "es": frozenset(
        "el la los las un una y es soy yo mi quiero para de en que con hola por favor necesito "
        "gracias me llamo busco cuánto puedo sí como estoy".split()
    ),
    "fr": frozenset(
        "le la les un une et est je suis mon ma pour de en que avec bonjour vous voudrais merci "
        "s'il plaît j'ai cherche veux appelle oui comment nous".split()
    ),
    "de": frozenset(
        "der die das ein eine und ist ich bin mein für von mit hallo möchte bitte danke sie suche "
        "habe nicht wie kann heiße ja wir auf".split()
    ),
    "pt": frozenset(
        "o os as um uma e é eu sou meu minha quero para de em que com olá por favor preciso "
        "obrigado obrigada não chamo você sim".split()
    ),
    "it": frozenset(
        "il lo la gli un una e è io sono mio mia voglio per di in che con ciao buongiorno grazie "
        "vorrei chiamo cerco sì come".split()
    ),
    "tr": frozenset(
        "bir ve bu ben benim için ile merhaba istiyorum lütfen evet hayır adım var ne nasıl".split()
    ),
}
_FEWEST_WORDS = 2  # of a language, before Latin letters are taken for it
_CLEAR_WORDS: Mapping[str, frozenset[str]] = {  # alone they are enough
    "en": frozenset("hello hi hey thanks".split()),
    "es": frozenset("hola gracias".split()),
    "fr": frozenset("bonjour merci".split()),
    "de": frozenset("hallo danke".split()),
    "pt": frozenset("olá obrigado obrigada".split()),
    "it": frozenset("ciao buongiorno grazie".split()),
    "tr": frozenset("merhaba".split()),
}
# A word that tells the language that somebody wants to go on in.
_TELLING = frozenset(
    "hello hi مرحبا مرحبًا أهلا أهلًا اهلا سلام هلا نعم شكرا شكرًا بالعربية بالعربي عربي".split()
)


def detect(text: str) -> str | None:
    """Return the ISO 639 code of the language of most of `text`, None when it cannot be told."""
    scripts = Counter(_script(char) for char in text if char.isalpha())
    if scripts.keys() & _KANA:  # Japanese has Chinese letters, too
        scripts["KANA"] = sum(scripts.pop(script, 0) for script in (*_KANA, "CJK"))
    if not scripts:
        return None
    (script, letters), *others = scripts.most_common()
    if others and letters * 2 <= scripts.total() + others[0][1]:
        return None  # as much of one as of another
    if script == "LATIN":
        return _by_words(text)
    if letters < 2:
        return None
    language = _SCRIPTS.get(script)
    return _of_arabic_letters(text) if language == "ar" else language


def follow(text: str, *, now: str | None, known: Collection[str]) -> str | None:
    """Return the language to answer in: that of `text` if it is clear and `known`, else `now`.

    One word among others of another language may be a name or a course, and changes nothing.
    """
    found = detect(text)
    if found not in known:
        return now
    is_one_word = len(re.findall(r"[^\W\d_]+", text)) < 2
    is_told = text.strip(" .,!?،؟").casefold() in _TELLING
    return now if is_one_word and now is not None and not is_told else found


def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]


def _by_words(text: str) -> str | None:
    """Return the language with the most common words in `text`, if it has more than the others."""
    words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text.casefold().replace("\u2019", "'"))
    votes = Counter({name: sum(word in known for word in words) for name, known in _WORDS.items()})
    (best, most), (_, second), *_rest = votes.most_common()
    alone = {name for name, clear in _CLEAR_WORDS.items() if clear.intersection(words)}
    if len(alone) == 1 and votes[name := alone.pop()] == most:
        return name
    return best if most >= _FEWEST_WORDS and most > second else None


def _of_arabic_letters(text: str) -> str:
    if _PERSIAN_WORDS.intersection(text.split()):
        return "fa"
    return "ur" if _URDU.intersection(text) else "ar"
