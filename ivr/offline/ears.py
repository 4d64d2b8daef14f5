"""Hears with pocketsphinx: an answer's audio and its grammar in, words out. It blocks: for workers.

A grammar always finds something, so every answer is heard a second time as bare phones, and the
two are compared: what fits much worse than bare phones was something else; it is not understood.
"""

import itertools
import math
import random
from array import array
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from operator import add
from typing import Any

from ivr.errors import Unavailable
from ivr.offline import mouth
from ivr.offline.grammar import LETTER, Grammar
from ivr.offline.pronunciation import LETTERS, arpabet
from ivr.offline.sound import BYTES_PER_MS, RATE, decode, doubled

_RATE = 16000  # of the acoustic model that comes with pocketsphinx
_LOG_BASE = math.log(1.0001)  # pocketsphinx's unit of likelihood
_MOST_GRAMMARS = 64  # kept compiled by a worker
_PHONES = "phones"
_SHORTEST_MS = 60
# Beams a little narrower than usual: as right on closed grammars, and faster. The best path through
# the lattice may end in the middle of a phrase ("that's" for "yes"); the search itself does not.
_SEARCH = {"beam": 1e-40, "pbeam": 1e-40, "wbeam": 1e-25, "bestpath": False}
_MARGIN = 160 * BYTES_PER_MS  # samples kept around the speech: the recogniser adapts to them too
_STEP = 10 * BYTES_PER_MS
_LOUD = 250
_noise = random.Random(0)
# Telephone lines may be digitally silent; the acoustic model was never shown such silence.
_NOISE = array("h", [_noise.randrange(-12, 13) for _ in range(RATE)])


@dataclass(frozen=True, slots=True)
class Heard:
    """`text` is "" when nothing in the grammar was said; a `fit` of 0 is perfect, of -5 good."""

    text: str
    fit: float = 0.0


@dataclass(frozen=True, slots=True)
class _Part:
    word: str
    frames: int
    score: float


class Ears:
    """One recogniser with the grammars that it has met."""

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as exc:
            raise Unavailable(
                "the offline voice needs pocketsphinx: pip install 'ivr[demo]'"
            ) from exc
        self._decoder: Any = Decoder(samprate=_RATE, lm=None, loglevel="FATAL", **_SEARCH)
        self._decoder.add_allphone_file(_PHONES, None)
        self._grammars: OrderedDict[str, None] = OrderedDict()

    def hear(self, ulaw: bytes, grammar: Grammar) -> Heard:
        """Return what was said in `ulaw` as far as `grammar` knows it."""
        if len(ulaw) < _SHORTEST_MS * BYTES_PER_MS:
            return Heard("")
        self._learn(grammar)
        pcm = doubled(_prepared(decode(ulaw))).tobytes()
        words = self._search(grammar.name, pcm)
        text = " ".join(part.word for part in words if _is_word(part))
        if not text:
            return Heard("")
        fit = _fit(words, self._search(_PHONES, pcm))
        if fit < grammar.floor:
            return Heard("", fit)
        return Heard(_written(text, grammar), fit)

    def pronounce(self, word: str) -> str:
        """Return the phones of `word`, "" when nobody can say it."""
        if word.startswith(LETTER):
            return LETTERS[word.removeprefix(LETTER)]
        return self._decoder.lookup_word(word) or arpabet(mouth.ipa(word))

    def _learn(self, grammar: Grammar) -> None:
        if grammar.name in self._grammars:
            self._grammars.move_to_end(grammar.name)
            return
        for word in grammar.words:
            if self._decoder.lookup_word(word) is None:
                self._decoder.add_word(word, self.pronounce(word) or "SIL", False)
        arcs = [arc if arc[3] else arc[:3] for arc in grammar.arcs]
        network = self._decoder.create_fsg(grammar.name, 0, 1, arcs)
        self._decoder.add_fsg(grammar.name, network)
        self._grammars[grammar.name] = None
        if len(self._grammars) > _MOST_GRAMMARS:
            oldest, _ = self._grammars.popitem(last=False)
            self._decoder.remove_search(oldest)

    def _search(self, name: str, pcm: bytes) -> list[_Part]:
        decoder = self._decoder
        decoder.activate_search(name)
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
        if decoder.hyp() is None:
            return []
        return [
            _Part(
                part.word.partition("(")[0],
                part.end_frame - part.start_frame + 1,
                math.log(part.ascore) / _LOG_BASE if part.ascore > 0 else -math.inf,
            )
            for part in decoder.seg()
        ]


def _prepared(samples: "array[int]") -> "array[int]":
    """Return the speech with margins of equal length and a hint of noise."""
    steps = range(0, len(samples), _STEP)
    loud = [at for at in steps if max(map(abs, samples[at : at + _STEP])) > _LOUD]
    if loud:
        samples = samples[max(0, loud[0] - _MARGIN) : loud[-1] + _STEP + _MARGIN]
    noisy = map(add, samples, itertools.cycle(_NOISE))
    return array("h", (max(-32768, min(32767, sample)) for sample in noisy))


def _is_word(part: _Part) -> bool:
    return not part.word.startswith(("<", "["))


def _fit(words: list[_Part], phones: list[_Part]) -> float:
    """Return how much worse the words fit than bare phones, per frame of speech."""
    bare = [part.score / part.frames for part in phones for _ in range(part.frames)]
    at, total, frames = 0, 0.0, 0
    for part in words:
        if _is_word(part):
            total += part.score - sum(bare[at : at + part.frames])
            frames += part.frames
        at += part.frames
    return total / frames if frames else 0.0


def _written(text: str, grammar: Grammar) -> str:
    """Return the words as the profile writes them."""
    plain = " ".join(word.removeprefix(LETTER) for word in text.split())
    for said, written in grammar.written.items():
        if plain == said or plain.endswith(f" {said}"):
            return plain.removesuffix(said) + written
    return plain


@lru_cache(maxsize=1)
def _ears() -> Ears:
    return Ears()


def hear(ulaw: bytes, grammar: Grammar) -> Heard:
    """Hear with this process's recogniser; raises Unavailable without pocketsphinx."""
    return _ears().hear(ulaw, grammar)
