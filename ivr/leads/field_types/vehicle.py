"""Make and model of a vehicle: known names by the way they are said, anything else as said.

A near miss ("Yamaka") is asked back. The lists are data; `catalogue` reads and compares.
"""

import re
from datetime import date

from ivr.leads.field_types.base import (
    Accepted,
    Checked,
    Doubtful,
    Field,
    FieldType,
    Refused,
    Vocabulary,
)
from ivr.leads.field_types.catalogue import (
    Catalogue,
    Model,
    catalogue,
    nearest,
    plain,
    said_form,
    squeezed,
    written_form,
)
from ivr.leads.field_types.speech import is_unknowing, strip_fillers
from ivr.leads.field_types.yes_no import NO, YES

LONGEST = 40  # characters of a name that no list knows
_LEAD_IN = re.compile(
    r"^(?:(?:the )?(?:make|brand|model|vehicle|bike)(?: is)?|it'?s|it is|that'?s|that is"
    r"|(?:that|it) would be|i have|i've got|i got|this is|called)\b[\s,]*(?:an?\b|the\b)?\s*"
    r"|^(?:an?|the)\s+",
    re.IGNORECASE,
)
# "A red one" tells neither make nor model.
_LOOKS = frozenset(
    "red blue green black white grey gray silver yellow orange purple pink brown gold dark light "
    "and a the one ones bike motorcycle motorbike cycle vehicle machine thing old new used big "
    "small nice fast".split()
)
_YEAR_IN_FRONT = re.compile(r"^(?:19|20)\d\d\s+")


def _bare(raw: str) -> str:
    """Return what was said without "um, it's a 2020 ..." in front."""
    text = strip_fillers(raw)
    while (shorter := _YEAR_IN_FRONT.sub("", _LEAD_IN.sub("", text, count=1))) != text:
        text = shorter
    return text.strip(" .,!?-")


def _spans(words: list[str], longest: int) -> list[str]:
    """Return all stretches of up to `longest` words, the longest first."""
    return [
        " ".join(words[start : start + length])
        for length in range(min(longest, len(words)), 0, -1)
        for start in range(len(words) - length + 1)
    ]


def _unusable(said: str, *, what: str) -> Refused | None:
    """Return the refusal when `said` cannot be a name at all."""
    if _LOOKS.issuperset(re.findall(r"[^\W\d_]+", said.casefold())):
        return Refused(f"I did not catch the {what}")
    if not re.search(r"\w", said) or is_unknowing(said) or said.casefold() in (*YES, *NO):
        return Refused(f"I did not catch the {what}")
    if len(said) > LONGEST or len(plain(said).split()) > 5:
        return Refused(f"I need just the {what}")
    return None


class VehicleMake(FieldType):
    options = {"catalogue": str, "known": list}

    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        named = self._named(field, raw)
        if len(named) == 1:
            return Accepted(named[0], named[0])
        if len(named) > 1:
            return Refused(f"I heard {named[0]} and {named[1]}; I need one make")
        said = _bare(raw)
        if refused := _unusable(said, what="make"):
            return refused
        if not re.search(r"[^\W\d_]{2}", plain(said)):
            return Refused("that does not sound like a make")
        return self._unknown(field, said, insisted=insisted)

    def find(self, field: Field, text: str, *, today: date) -> Accepted | None:
        named = self._named(field, text)
        return Accepted(named[0], named[0]) if len(named) == 1 else None

    def rule(self, field: Field, *, today: date | None) -> str:
        return "the manufacturer, such as Yamaha, in its usual spelling"

    def vocabulary(self, field: Field) -> Vocabulary:
        return Vocabulary(kind="words", words=tuple(self._makes(field)))

    def problem(self, field: Field) -> str:
        return _catalogue_problem(field)

    def _makes(self, field: Field) -> dict[str, str]:
        known = {plain(name): name for name in field.options.get("known", [])}
        listed = _catalogue(field)
        return (listed.makes if listed else {}) | known

    def _named(self, field: Field, text: str) -> list[str]:
        """Return the makes that `text` names, each once, in order."""
        makes, found = self._makes(field), dict[int, str]()
        rest = f" {plain(text)} "
        for said in sorted(makes, key=len, reverse=True):
            if f" {said} " in rest:
                found[rest.index(f" {said} ")] = makes[said]
                rest = rest.replace(f" {said} ", f" {'_' * len(said)} ")
        return list(dict.fromkeys(found[at] for at in sorted(found)))

    def _unknown(self, field: Field, said: str, *, insisted: bool) -> Checked:
        makes = self._makes(field)
        for span in [] if insisted else _spans(plain(said).split(), 2):
            if near := nearest(span, list(makes)):
                make = makes[near]
                return Doubtful(make, make, f"Did you mean {make}?")
        name = _bare(said if re.search(r"[A-Z]", said) else said.title())
        return Accepted(name, name) if name else Refused("I did not catch the make")


class VehicleModel(FieldType):
    options = {"catalogue": str, "known": list}

    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        if known := self._known(field, self._without_make(field, plain(strip_fillers(raw)))):
            return self._accepted(field, known)
        bare = _bare(raw)
        if refused := _unusable(bare, what="model"):
            return refused
        said = self._without_make(field, plain(bare))
        if not said:
            return Refused("that is the make; I need the model as well")
        return self._unknown(field, said, bare, insisted=insisted)

    def find(self, field: Field, text: str, *, today: date) -> Accepted | None:
        """Only where a make is named too, or the model has both letters and digits."""
        said = self._heard(field, plain(text))
        known = self._known(field, self._without_make(field, said))
        if known is None:
            return None
        mixed = re.search(r"[a-z]", squeezed(known.name)) and re.search(r"\d", known.name)
        has_make = self._without_make(field, said) != said
        return self._accepted(field, known) if mixed or has_make else None

    def spoken(self, field: Field, value: str) -> str:
        """Letters and leading zeros apart: "MT-07" is "M T 0 7", "Ninja 400" stays."""
        parts = re.findall(r"[^\W\d_]+|\d+", value)
        return " ".join(
            " ".join(part) if part.startswith("0") or (part.isupper() and len(part) < 5) else part
            for part in parts
        )

    def rule(self, field: Field, *, today: date | None) -> str:
        return "the model without make and year, in its usual spelling, such as MT-07"

    def vocabulary(self, field: Field) -> Vocabulary:
        names = [model.name for model in self._models(field).values()]
        return Vocabulary(kind="words", words=tuple(dict.fromkeys(map(said_form, names))))

    def problem(self, field: Field) -> str:
        return _catalogue_problem(field)

    def _models(self, field: Field) -> dict[str, Model]:
        known = {squeezed(name): Model(name, "") for name in field.options.get("known", [])}
        listed = _catalogue(field)
        return (listed.models if listed else {}) | known

    def _known(self, field: Field, said: str) -> Model | None:
        """Return the known model with the longest name within `said`."""
        models = self._models(field)
        for span in _spans(said.split(), 5):
            if found := models.get(squeezed(span)):
                return found
        return None

    def _heard(self, field: Field, said: str) -> str:
        listed = _catalogue(field)
        words = listed.heard_as if listed else {}
        return " ".join(words.get(word, word) for word in said.split())

    def _without_make(self, field: Field, said: str) -> str:
        listed = _catalogue(field)
        rest = f" {self._heard(field, said)} "
        for make in sorted(listed.makes if listed else [], key=len, reverse=True):
            rest = rest.replace(f" {make} ", " ")
        return rest.strip()

    def _accepted(self, field: Field, model: Model) -> Accepted:
        details = {"make": model.make} if model.make else {}
        return Accepted(model.name, self.spoken(field, model.name), details)

    def _unknown(self, field: Field, said: str, bare: str, *, insisted: bool) -> Checked:
        """Ask back a near miss with the same digits; the beginning of a known name is good."""
        models, short = self._models(field), squeezed(said)
        digits = re.findall(r"\d+", short)
        known = [name for name in models if re.findall(r"\d+", name) == digits]
        beginning = any(name.startswith(short) for name in models)
        near = None if insisted or beginning else nearest(short, known, likeness=0.8)
        if near:
            model = models[near]
            return Doubtful(
                model.name, self.spoken(field, model.name), f"Did you mean {model.name}?"
            )
        typed = re.search(r"[A-Z]", bare) and self._without_make(field, plain(bare)) == plain(bare)
        name = bare if typed and " " not in bare else _bare(written_form(said))
        if not name:
            return Refused("I did not catch the model")
        return Accepted(name, self.spoken(field, name))


def _catalogue(field: Field) -> Catalogue | None:
    name = field.options.get("catalogue", "")
    return catalogue(name) if name else None


def _catalogue_problem(field: Field) -> str:
    name = field.options.get("catalogue", "")
    return f"there is no catalogue {name!r}" if name and catalogue(name) is None else ""
