"""What a caller is told first who was cut off and is on the line again. No model, no I/O."""

from collections.abc import Mapping

from ivr.leads.profile import Field, Profile

SORRY = "Sorry, we were cut off."


def apology(profile: Profile, known: Mapping[str, str]) -> str:
    """Return the words with which the conversation goes on where it was."""
    asked = next((field for field in profile.required if field.key not in known), None)
    if asked is None:
        return f"{SORRY} {profile.closing}"
    return f"{SORRY} You were giving me {_named(asked)}."


def _named(field: Field) -> str:
    """Return the field as a person would name it: "your" where it is asked for like that."""
    is_theirs = "your" in field.ask.lower().split()
    return f"{'your' if is_theirs else 'the'} {field.label}"
