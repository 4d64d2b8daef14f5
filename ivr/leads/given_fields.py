"""Values that a program or a person of the business hands us for fields: all read, or none."""

from collections.abc import Mapping
from datetime import date

from ivr.errors import Unprocessable
from ivr.leads import fields
from ivr.leads.fields import Accepted, Refused
from ivr.leads.profile import Field, Profile

Problems = dict[str, str]


def read(
    profile: Profile, given: Mapping[str, object], *, today: date
) -> dict[str, Accepted | None]:
    """Return each value as its field takes it, None for one that is taken away.

    Raises `Unprocessable` with every field that is none, or that refuses its value.
    """
    found, problems = sort(profile, given, today=today)
    refuse(problems)
    return found


def sort(
    profile: Profile, given: Mapping[str, object], *, today: date
) -> tuple[dict[str, Accepted | None], Problems]:
    """Return the values that can be taken, and what is wrong with the others, by name."""
    known = {item.key: item for item in profile.fields}
    found: dict[str, Accepted | None] = {}
    problems: Problems = {}
    for name, raw in given.items():
        if name not in known:
            problems[name] = f"{profile.key} has no such field; it has {', '.join(known)}"
        elif raw is None or raw == "":
            found[name] = None
        elif isinstance(verdict := check(known[name], raw, today=today), Accepted):
            found[name] = verdict
        else:
            problems[name] = verdict
    return found, problems


def check(field: Field, raw: object, *, today: date) -> Accepted | str:
    """Return a value as its field takes it, or what was expected; nobody is there to be asked."""
    text = str(raw).lower() if isinstance(raw, bool) else str(raw)
    verdict = fields.check(field, text, today=today, insisted=True)
    if isinstance(verdict, Accepted):
        return verdict
    return verdict.reason if isinstance(verdict, Refused) else verdict.question


def refuse(problems: Problems) -> None:
    """Raise `Unprocessable` with the problems, by the names of their fields, if there are any."""
    if problems:
        errors = [{"field": name, "problem": words} for name, words in problems.items()]
        words = "; ".join(f"{name}: {problem}" for name, problem in problems.items())
        raise Unprocessable(words, errors=errors)
