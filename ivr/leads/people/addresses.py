"""The addresses of people: what a network shows of who a conversation is with, and what is typed.

Pure; whose address it is, `identity` knows.
"""

from dataclasses import dataclass

from ivr.db.tables import Channel, Conversation

PHONES = frozenset({Channel.VOICE, Channel.SMS, Channel.WHATSAPP, Channel.MISSED_CALL})
# In a conversation's state: the visitor's id where it is not the session's, and what was typed
# beside the first message: {"phone", "email", "name"}.
CHAT_ID = "chat_id"
TYPED = "typed"


@dataclass(frozen=True, slots=True)
class Address:
    """A way to reach a person: `kind` is that of a contact point, `value` normalised."""

    kind: str
    value: str


def shown_address(conversation: Conversation) -> Address | None:
    """Return what the network shows of who it is; None for a form, and a withheld number."""
    if conversation.channel in Channel.chats():
        return Address("chat", conversation.state.get(CHAT_ID, conversation.session_key))
    if conversation.channel in PHONES and conversation.from_number:
        return Address("phone", conversation.from_number)
    return None
