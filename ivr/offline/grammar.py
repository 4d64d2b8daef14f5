"""What the caller may say next, as a network of words made of the profile; `ears` hears with it.

Every grammar also has what people say besides answering ("what was that?", "I don't know"): without
it the recogniser would have to press such words into an answer.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from ivr.agent.acts import Expectation
from ivr.leads.field_types.spoken_numbers import number_phrase
from ivr.leads.fields import Vocabulary, vocabulary
from ivr.leads.profile import Profile

LETTER = "ltr_"  # in front of a letter that is said as its name

# Phrases that are hard to take for one another; "uh huh" and "uh uh" are not.
YES = (
    "yes", "yeah", "yep", "yes that's right", "that's right", "yes it is", "correct",
    "that's correct", "yes that's correct", "right", "sure", "okay", "yes please", "that's fine",
    "yes that's fine",
)  # fmt: skip
NO = (
    "no", "nope", "no that's wrong", "that's wrong", "no it's not", "no that's not right",
    "that's not right", "incorrect", "no that's not it", "no it isn't",
)  # fmt: skip
ASIDES = (
    "what", "pardon", "sorry", "hello", "repeat that please", "can you repeat that",
    "say that again", "could you say that again", "what did you say", "can you hear me",
    "hello can you hear me", "hold on", "wait a minute", "let me think", "i don't know",
    "i do not know", "i'm not sure", "i don't remember", "i'd rather not say",
    "i would rather not say", "why do you need that", "who is this", "what is this about",
    "are you a robot", "are you a real person", "can i speak to a person",
    "i want to talk to a person", "a person please", "operator", "representative", "goodbye",
    "bye", "never mind", "not interested", "leave me alone",
)  # fmt: skip
_LEAD_INS: Mapping[str, tuple[str, ...]] = {
    "digits": ("it's", "it is", "that's", "my number is", "the number is", "my zip code is"),
    "year": ("it's a", "it's", "it is a", "a", "the year is", "it's from"),
    "words": ("it's a", "it's an", "it is a", "a", "an", "the"),
    "names": ("my name is", "it's", "this is", "i'm", "i am", "the name is"),
}  # fmt: skip

_UNITS = tuple("one two three four five six seven eight nine".split())
_DIGITS = ("oh", "zero", *_UNITS)
_TEENS = tuple(
    "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
)
_TENS = tuple("twenty thirty forty fifty sixty seventy eighty ninety".split())

# Measured on flite's voice and on sentences that fit no grammar; long lists of names fit worse.
_FLOORS: Mapping[str, float] = {"digits": -18.0, "year": -18.0, "names": -26.0, "words": -22.0}
_YES_NO_FLOOR = -21.0
_PATIENCE_MS: Mapping[str, int] = {"digits": 900}

Arc = tuple[int, int, float, str]  # from, to, probability, word ("" for none)


@dataclass(frozen=True, slots=True)
class Grammar:
    """A network from state 0 to state 1. `floor`: how well sounds must fit (see `ears`).

    `patience_ms`: the silence that ends an answer; people pause between groups of digits.
    `written`: phrases of the grammar that a profile writes in another way.
    """

    name: str
    arcs: tuple[Arc, ...]
    floor: float
    patience_ms: int = 0
    written: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(sorted({word for *_, word in self.arcs if word}))

    @property
    def states(self) -> int:
        return 1 + max(max(start, end) for start, end, *_ in self.arcs)


class _Network:
    """Arcs in the making."""

    def __init__(self) -> None:
        self.arcs: list[Arc] = []
        self._states = 2

    def state(self) -> int:
        self._states += 1
        return self._states - 1

    def skip(self, start: int, end: int, weight: float = 1.0) -> None:
        self.arcs.append((start, end, weight, ""))

    def phrase(self, start: int, end: int, words: str, weight: float = 1.0) -> None:
        """Add the way through `words`."""
        *before, last = words.split()
        for word in before:
            after = self.state()
            self.arcs.append((start, after, weight, word))
            start, weight = after, 1.0
        self.arcs.append((start, end, weight, last))

    def any_of(self, start: int, end: int, phrases: Iterable[str], weight: float = 1.0) -> None:
        for words in dict.fromkeys(filter(None, phrases)):
            self.phrase(start, end, words, weight)


def grammar(expects: Expectation) -> Grammar:
    """Return the grammar for what the dialogue expects next."""
    known = vocabulary(expects.field) if expects.field else Vocabulary("open")
    return _grammar(known, is_yes_no=expects.kind == "yes_no")


def warm(profile: Profile) -> None:
    """Make the grammars of a profile, so that no call waits for them (0.2 s the first time)."""
    for entry in profile.required:
        grammar(Expectation(entry, "answer"))
        grammar(Expectation(entry, "yes_no"))


@lru_cache(maxsize=128)
def _grammar(known: Vocabulary, *, is_yes_no: bool) -> Grammar:
    network = _Network()
    network.any_of(0, 1, ASIDES, 0.02)
    has_answer = known.kind in _LEAD_INS
    if is_yes_no or not has_answer:
        _add_yes_no(network)
    if has_answer:
        _add_answer(network, known, weight=0.02 if is_yes_no else 1.0)
    kind = "yes_no" if is_yes_no or not has_answer else known.kind
    return Grammar(
        name=hashlib.sha256(repr(network.arcs).encode()).hexdigest()[:16],
        arcs=tuple(network.arcs),
        floor=_FLOORS.get(kind, _YES_NO_FLOOR),
        patience_ms=_PATIENCE_MS.get(known.kind, 0),
        written=_written(known),
    )


def _add_yes_no(network: _Network) -> None:
    network.any_of(0, 1, YES)
    network.any_of(0, 1, NO)


def _add_answer(network: _Network, known: Vocabulary, *, weight: float) -> None:
    start, asked = network.state(), network.state()
    network.skip(0, start, weight)
    network.any_of(0, start, ("no", "no wait", "sorry"), weight * 0.02)
    network.skip(start, asked)
    network.any_of(start, asked, _LEAD_INS[known.kind], 0.02)
    match known.kind:
        case "digits":
            _add_digits(network, asked, known.length)
        case "year":
            _add_year(network, asked)
        case "names":
            _add_names(network, asked, known.words)
        case _:
            network.any_of(asked, 1, (way for word in known.words for way in _ways(word)))


def _add_digits(network: _Network, start: int, length: int) -> None:
    """Add `length` digits (0 is any number), also as "double five" or "eight hundred ..."."""
    if length == 0:
        network.any_of(start, start, _DIGITS)
        return network.any_of(start, 1, _DIGITS)
    at = [start, *(network.state() for _ in range(length - 1)), 1]
    for place in range(length):
        network.any_of(at[place], at[place + 1], _DIGITS)
        for times, word in ((2, "double"), (3, "triple")):
            if place + times <= length:
                repeated = network.state()
                network.phrase(at[place], repeated, word, 0.05)
                network.any_of(repeated, at[place + times], _DIGITS)
    if length == 10:
        network.phrase(start, at[3], "eight hundred", 0.05)
    return None


def _add_year(network: _Network, start: int) -> None:
    century, tens, oh, thousand, linked = (network.state() for _ in range(5))
    network.any_of(start, century, ("nineteen", "twenty"))
    network.any_of(century, 1, ("hundred", *_TEENS))
    network.any_of(century, tens, _TENS)
    network.skip(tens, 1)
    network.any_of(tens, 1, _UNITS)
    network.phrase(century, oh, "oh")
    network.phrase(start, oh, "oh", 0.1)
    network.any_of(oh, 1, _UNITS)
    network.phrase(start, thousand, "two thousand")
    network.skip(thousand, 1)
    network.skip(thousand, linked)
    network.phrase(thousand, linked, "and")
    network.any_of(linked, 1, (*_UNITS, *_TEENS))
    network.any_of(linked, tens, _TENS)
    first = network.state()
    network.skip(start, first, 0.1)
    _add_digits(network, first, 4)


def _add_names(network: _Network, start: int, names: Iterable[str]) -> None:
    """Add one or two names; our lists begin with first names, so early ones come first."""
    ways = list(dict.fromkeys(filter(None, (" ".join(_plain(name)) for name in names))))
    after = network.state()
    network.skip(start, after, 0.05)
    for rank, words in enumerate(ways):
        late = rank / len(ways)
        network.phrase(start, after, words, 1 - 0.8 * late)
        network.phrase(after, 1, words, 0.2 + 0.8 * late)


def _written(known: Vocabulary) -> dict[str, str]:
    """Return the phrases of a list that cannot be read back from how they are said."""
    if known.kind != "words":
        return {}
    return {said(word): word for word in known.words if said(word) != word.casefold()}


def _plain(text: str) -> list[str]:
    """Return the words of `text`: lower case, without accents, numbers as they are said."""
    bare = unicodedata.normalize("NFKD", text.casefold().replace("\u2019", "'"))
    ascii_only = bare.encode("ascii", "ignore").decode()
    numbers = re.sub(r"\d+", lambda digits: f" {number_phrase(digits.group())} ", ascii_only)
    return re.findall(r"[a-z']*[a-z][a-z']*", numbers)


def _phrase(text: str) -> str:
    """Return `text` in the grammar's words: single letters by name, but "a car" stays "a car"."""
    words = [part for word in _plain(text) for part in _spelled(word)]
    following = [*words[1:], ""]
    return " ".join(
        f"{LETTER}{word}" if len(word) == 1 and not (word in "ai" and len(after) > 1) else word
        for word, after in zip(words, following, strict=True)
    )


def _spelled(word: str) -> str | list[str]:
    """Return the letters of a word that nobody can say, such as "ktm"."""
    return word if len(word) < 5 and not re.search("[aeiouy']", word) else [word]


def _ways(text: str) -> list[str]:
    """Return the phrase with its ways to say "oh"; after a letter it is often left out."""
    phrase = _phrase(text)
    if "oh" not in phrase.split():
        return [phrase]
    dropped = re.sub(rf"({LETTER}\w) oh\b", r"\1", phrase)
    return [phrase, re.sub(r"\boh\b", "zero", phrase), dropped]


def said(text: str) -> str:
    """Return a profile's words as `ears` answers with them: plain text."""
    return " ".join(word.removeprefix(LETTER) for word in _phrase(text).split())
