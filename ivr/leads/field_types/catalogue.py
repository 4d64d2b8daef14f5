"""Known names (makes, models) and how near an answer comes to one; reads the lists from TOML."""

import re
import tomllib
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from importlib.resources import files

from ivr.leads.field_types.spoken_numbers import is_number_word, number_phrase, runs, tokens

NEAR = 0.72  # "Yamaka"/"Yamaha" have 0.83, "Hyundai"/"Honda" 0.67, which are two names


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    make: str  # "" when two makes have a model of this name


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Names by the way they are said: plain lower-case words, numbers as digits."""

    makes: dict[str, str]
    models: dict[str, Model]
    heard_as: dict[str, str]

    @property
    def make_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.makes.values()))


def plain(text: str) -> str:
    """Return `text` as comparable words: "M T oh seven" and "MT-07" are both "mt 07"."""
    words = [word for token in tokens(text) for word in re.findall(r"[^\W\d_]+|\d+", token)]
    return " ".join(_joined(_with_digits(words)))


def squeezed(text: str) -> str:
    """Return `plain` without blanks and leading zeros: "MT-07" and "m t seven" are both "mt7"."""
    return "".join(word.lstrip("0") or "0" for word in plain(text).split())


def said_form(name: str) -> str:
    """Return a model's name in words as people say it: "YZ250F" is "y z two fifty f"."""
    return " ".join(
        number_phrase(part) if part.isdigit() else part if _is_word(part) else " ".join(part)
        for part in re.findall(r"[^\W\d_]+|\d+", name.casefold())
    )


def written_form(said: str) -> str:
    """Return a name that no list knows as it would be written: "xr 650 l" is "XR 650 L"."""
    return " ".join(
        word.capitalize() if _is_word(word) else word.upper() for word in plain(said).split()
    )


def _is_word(letters: str) -> bool:
    """Whether letters are said as a word and not one by one."""
    has_vowel = any(vowel in letters for vowel in "aeiouy")
    return letters.isalpha() and len(letters) > 2 and (has_vowel or len(letters) > 4)


def _with_digits(words: list[str]) -> list[str]:
    """Turn number words into digits, joined ("two fifty" -> "250"); typed numbers stay apart."""
    found: list[str] = []
    stretch: list[str] = []
    for word in [*words, ""]:
        typed = word.isdigit() and len(word) > 1
        if not typed and (is_number_word(word) or (stretch and word in ("hundred", "thousand"))):
            stretch.append(word)
            continue
        found += ["".join(runs(" ".join(stretch)))] if stretch else []
        found += [word] if word else []
        stretch = []
    return found


def _joined(words: list[str]) -> list[str]:
    """Join letters said one by one: "m", "t" -> "mt"."""
    joined: list[str] = []
    spelling = False
    for word in words:
        single = len(word) == 1 and word.isalpha()
        if single and spelling:
            joined[-1] += word
        else:
            joined.append(word)
        spelling = single
    return joined


@lru_cache(maxsize=8)
def catalogue(name: str) -> Catalogue | None:
    """Return the packaged list `profiles/makes/<name>.toml`, None when there is none."""
    entry = files("ivr.leads") / "profiles" / "makes" / f"{name}.toml"
    if not re.fullmatch(r"[a-z0-9_]+", name) or not entry.is_file():
        return None
    table = tomllib.loads(entry.read_text(encoding="utf-8"))
    makes: dict[str, str] = {}
    models: dict[str, Model] = {}
    for make in table["makes"]:
        makes |= {plain(said): make["name"] for said in (make["name"], *make["aliases"])}
        for model in make["models"]:
            said = squeezed(model)
            models[said] = Model(model, "" if said in models else make["name"])
    heard_as = {plain(heard): plain(said) for heard, said in table.get("heard_as", {}).items()}
    return Catalogue(makes, models, heard_as)


def nearest(said: str, known: list[str], *, likeness: float = NEAR) -> str | None:
    """Return the one of `known` that `said` was probably meant to be, None when nothing is near."""
    scored = [(SequenceMatcher(None, said, name).ratio(), name) for name in known]
    score, name = max(scored, default=(0.0, ""))
    return name if score >= likeness and len(said) > 2 else None
