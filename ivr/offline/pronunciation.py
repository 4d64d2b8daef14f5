"""Any word's phones for the recogniser: espeak-ng's IPA in the ARPABET of CMU's acoustic model.

So that every make, model and name that a profile may list can be heard, in a dictionary or not.
"""

import re

LETTERS = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY",
    "h": "EY CH", "i": "AY", "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N",
    "o": "OW", "p": "P IY", "q": "K Y UW", "r": "AA R", "s": "EH S", "t": "T IY", "u": "Y UW",
    "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S", "y": "W AY", "z": "Z IY",
}  # fmt: skip

# Longest first where one begins with another; espeak-ng's American English has these.
_PHONES = {
    "aɪɚ": "AY ER", "aɪə": "AY ER", "ɔːɹ": "AO R", "oːɹ": "AO R", "ɑːɹ": "AA R", "iəɹ": "IH R",
    "tʃ": "CH", "dʒ": "JH", "eɪ": "EY", "aɪ": "AY", "ɔɪ": "OY", "aʊ": "AW", "oʊ": "OW",
    "əl": "AH L", "iə": "IY AH", "ɜː": "ER", "ɑː": "AA", "ɔː": "AO", "iː": "IY", "uː": "UW",
    "oː": "AO", "ɛɹ": "EH R", "ɪɹ": "IH R", "ʊɹ": "UH R", "əɹ": "ER", "ɚ": "ER", "ɝ": "ER",
    "ɑ": "AA", "æ": "AE", "ʌ": "AH", "ə": "AH", "ɐ": "AH", "a": "AE", "ɔ": "AO", "o": "OW",
    "ɛ": "EH", "e": "EH", "ɪ": "IH", "ᵻ": "IH", "i": "IY", "ʊ": "UH", "u": "UW", "b": "B",
    "d": "D", "f": "F", "ɡ": "G", "g": "G", "h": "HH", "j": "Y", "k": "K", "x": "K", "l": "L",
    "m": "M", "n": "N", "ŋ": "NG", "p": "P", "ɹ": "R", "r": "R", "s": "S", "ʃ": "SH", "t": "T",
    "ɾ": "T", "ʔ": "T", "θ": "TH", "ð": "DH", "v": "V", "w": "W", "z": "Z", "ʒ": "ZH", "ɬ": "L",
}  # fmt: skip
_PHONE = re.compile("|".join(sorted(map(re.escape, _PHONES), key=len, reverse=True)))
_STRESS = re.compile("[ˈˌ_̩̃ʲ]")


def arpabet(ipa: str) -> str:
    """Return the phones of an IPA word, "" when it has none that we know."""
    return " ".join(_PHONES[found] for found in _PHONE.findall(_STRESS.sub("", ipa)))
