"""What a caller is told first who is on the line again: cut off, or nobody was free for them.

No model, no I/O.
"""

from collections.abc import Mapping

from ivr.agent.phrases import Phrases
from ivr.leads.profile import Field, Profile


def apology(profile: Profile, known: Mapping[str, str]) -> str:
    """Return the words with which the conversation goes on where it was."""
    phrases = Phrases(profile.languages[0], "voice")
    asked = next((field for field in profile.required if field.key not in known), None)
    if asked is None:
        return f"{phrases.say('cut_off')} {profile.closing}"
    return f"{phrases.say('cut_off')} {phrases.say(_giving(asked), label=asked.label)}"


def nobody_free(profile: Profile, known: Mapping[str, str]) -> str:
    """Return the words with which the conversation goes on after the phone rang in vain."""
    phrases = Phrases(profile.languages[0], "voice")
    asked = next((field for field in profile.required if field.key not in known), None)
    if asked is None:
        return f"{phrases.say('nobody_free')} {profile.closing}"
    return f"{phrases.say('nobody_free')} {phrases.say('rest')} {asked.ask}"


def _giving(field: Field) -> str:
    """Return the phrase that names a field as a person would: "your" where it is asked for so."""
    return "giving_your" if "your" in field.ask.lower().split() else "giving_the"
