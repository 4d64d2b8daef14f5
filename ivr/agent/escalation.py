"""When a person takes over from the assistant: the contact asks for one, or a rule says so.

Pure: text and numbers in, a trigger out. What follows from it is `leads.escalations`' work.
"""

from ivr.agent.person_request import says, wants_person
from ivr.db.tables import Trigger
from ivr.leads.field_types.amounts import minor_units
from ivr.leads.profile import Profile

__all__ = ["KEYWORDS", "trigger", "value_currency", "wants_person"]

KEYWORDS = ("manager", "human", "agent", "representative", "supervisor", "operator")


def value_currency(profile: Profile) -> str:
    """Return the currency in which the profile says what is worth a person's time."""
    return profile.escalation.currency or profile.currency


def trigger(
    profile: Profile,
    *,
    text: str,
    exchanges: int,
    confidence: float | None,
    value: int | None,
) -> tuple[Trigger, str] | None:
    """Return why the conversation goes to a person, with words for staff; None when it does not.

    `exchanges` counts what the contact has said so far, this included; `value` is what they mean
    to spend, in minor units (cents) of `value_currency`. None is not known.
    """
    rules = profile.escalation
    if wants_person(text):
        return Trigger.ASKED, "asks for a person"
    for word in rules.keywords or KEYWORDS:
        if says(word, text):
            return Trigger.KEYWORD, f"said {word!r}"
    if confidence is not None and confidence < rules.min_confidence:
        return Trigger.LOW_CONFIDENCE, f"the assistant is unsure ({confidence:.2f})"
    if value is not None and rules.high_value is not None:
        currency = value_currency(profile)
        if value > rules.high_value * minor_units(currency):
            return Trigger.HIGH_VALUE, f"worth more than {rules.high_value:,} {currency}"
    if exchanges > rules.most_exchanges:
        return Trigger.LONG, f"more than {rules.most_exchanges} exchanges"
    return None
