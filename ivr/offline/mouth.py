"""Speaks with espeak-ng: text to mu-law 8 kHz, words to phonemes. For a worker: it blocks.

espeak-ng keeps its state in the library, so there is one voice per process.
"""

import ctypes
import re
from array import array
from functools import lru_cache
from typing import Any

from ivr.errors import Unavailable
from ivr.offline.sound import BYTES_PER_MS, SILENCE, to_telephone

# espeak-ng's speak_lib.h
_SYNCHRONOUS = 2
_POSITION_CHARACTER = 1
_UTF8 = 1
_RATE_PARAMETER = 1
_IPA = 0x02
_VOICE = b"en-us"

_WORDS_PER_MINUTE = 165
_DIGITS_PER_MINUTE = 130  # digits are written down while they are heard
_PAUSE_MS = 180  # between sentences
_DIGITS = re.compile(r"(?:\b\d\b[ ,]*){3,}")
_SENTENCES = re.compile(r"(?<=[.!?])\s+")


class _Library:
    """The loaded library; `rate` is in Hz."""

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError as exc:
            raise Unavailable(
                "the offline voice needs espeakng-loader: pip install 'ivr[demo]'"
            ) from exc
        self.lib: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.rate = int(self.lib.espeak_Initialize(_SYNCHRONOUS, 0, data, 0))
        if self.rate <= 0 or self.lib.espeak_SetVoiceByName(_VOICE) != 0:
            raise Unavailable("espeak-ng did not start: its voice data is missing")
        self.lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._spoken = bytearray()
        shape = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self._callback = shape(self._take)  # the library keeps no reference of its own
        self.lib.espeak_SetSynthCallback(self._callback)

    def _take(self, samples: Any, count: int, _: Any) -> int:
        if samples and count > 0:
            self._spoken += ctypes.string_at(samples, count * 2)
        return 0

    def speak(self, text: str, words_per_minute: int) -> "array[int]":
        """Return the samples of `text`."""
        self._spoken.clear()
        data = text.encode()
        self.lib.espeak_SetParameter(_RATE_PARAMETER, words_per_minute, 0)
        self.lib.espeak_Synth(data, len(data) + 1, 0, _POSITION_CHARACTER, 0, _UTF8, None, None)
        self.lib.espeak_Synchronize()
        return array("h", bytes(self._spoken))

    def ipa(self, text: str) -> str:
        """Return the phonemes of `text` in IPA, parted by "_"."""
        rest = ctypes.c_char_p(text.encode())
        found = []
        while rest.value:
            part = self.lib.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA | (ord("_") << 8))
            found.append((part or b"").decode())
        return "_".join(found)


@lru_cache(maxsize=1)
def _library() -> _Library:
    return _Library()


def speak(text: str) -> bytes:
    """Return `text` as mu-law 8 kHz, numbers said slowly; raises Unavailable without espeak-ng."""
    pause = SILENCE * (_PAUSE_MS * BYTES_PER_MS)
    return b"".join(_sentence(part) + pause for part in _SENTENCES.split(text) if part.strip())


@lru_cache(maxsize=256)
def _sentence(text: str) -> bytes:
    library = _library()
    slowly = _DIGITS.search(text) is not None
    pace = _DIGITS_PER_MINUTE if slowly else _WORDS_PER_MINUTE
    return to_telephone(library.speak(text, pace), library.rate)


def ipa(word: str) -> str:
    """Return how espeak-ng says `word`, in IPA parted by "_"."""
    return _library().ipa(word)
