"""What a caller is told first who is on the line again: cut off, or nobody was free for them.

No model, no I/O.
"""

from collections.abc import Mapping

from ivr.leads.profile import Field, Profile

SORRY = "Sorry, we were cut off."
NOBODY_FREE = "Sorry, nobody is free right now. Someone will call you back."


def apology(profile: Profile, known: Mapping[str, str]) -> str:
    """Return the words with which the conversation goes on where it was."""
    asked = next((field for field in profile.required if field.key not in known), None)
    if asked is None:
        return f"{SORRY} {profile.closing}"
    return f"{SORRY} You were giving me {_named(asked)}."


def nobody_free(profile: Profile, known: Mapping[str, str]) -> str:
    """Return the words with which the conversation goes on after the phone rang in vain."""
    asked = next((field for field in profile.required if field.key not in known), None)
    if asked is None:
        return f"{NOBODY_FREE} {profile.closing}"
    return f"{NOBODY_FREE} I'll take the rest of your details. {asked.ask}"


def _named(field: Field) -> str:
    """Return the field as a person would name it: "your" where it is asked for like that."""
    is_theirs = "your" in field.ask.lower().split()
    return f"{'your' if is_theirs else 'the'} {field.label}"
