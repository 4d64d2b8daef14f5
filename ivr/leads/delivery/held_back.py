"""Why a lead is held back though enough is known of it, in an operator's words. Pure."""

from collections.abc import Iterable
from datetime import datetime

from ivr.db.tables import Channel, Conversation, Lead, Lifecycle, Role, Turn
from ivr.messages import opt_out

WRONG_NUMBER = "not submitted: it was a wrong number"
FORGET = "not submitted: they asked that we forget them (ivr forget)"
NOT_READY = "not submitted: not ready yet"  # how such a reason begins
_UNWANTED = frozenset({WRONG_NUMBER, FORGET})  # no value that is corrected changes that


def may_go(lead: Lead, held: str | None) -> bool:
    """Whether what was held back for this reason may go, now that more is known of its lead."""
    if held in _UNWANTED:
        return False
    return not (held or "").startswith(NOT_READY) or lead.lifecycle == Lifecycle.QUALIFIED


def unwanted(
    conversation: Conversation, turns: Iterable[Turn], *, since: datetime | None
) -> str | None:
    """Return why nobody is to hear of what was said in this episode; None when they may."""
    heard = [
        turn.text
        for turn in turns
        if turn.role == Role.CALLER and (since is None or turn.said_at > since)
    ]
    if any(opt_out.asks_to_be_forgotten(text) for text in heard):
        return FORGET
    if conversation.end_reason == "wrong_number":
        return WRONG_NUMBER
    # In a call it may be the number that was read back; whose last written word it is means us.
    is_written = conversation.channel != Channel.VOICE and bool(heard)
    return WRONG_NUMBER if is_written and opt_out.is_wrong_number(heard[-1]) else None
