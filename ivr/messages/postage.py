"""What a message takes: noted when it has come in, or when the vendor has it to send."""

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.costs import numbers, usage
from ivr.costs.usage import Kind, Used
from ivr.db.tables import Channel, Direction, Message, Purpose


async def note(session: AsyncSession, message: Message, *, now: datetime) -> None:
    """Write down what a message takes, once."""
    used = [_used(message)]
    await usage.note(session, message.tenant_id, message.conversation_id, used, now=now)


def _used(message: Message) -> Used:
    is_in = message.direction == Direction.IN
    model = numbers.message_model(
        "in" if is_in else "out",
        message.recipient,
        whatsapp=message.channel == Channel.WHATSAPP,
        media=bool(message.media),
    )
    is_to_staff = message.purpose == Purpose.STAFF
    return Used(
        kind=Kind.MESSAGE,
        purpose="staff" if is_to_staff else str(message.direction),
        provider="twilio",
        model=model,
        quantities={"messages": 1, "segments": message.segments},
        key=f"message:{message.id}",
    )
