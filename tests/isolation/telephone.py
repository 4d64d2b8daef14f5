"""What Twilio sends for the clients of a town, and what becomes of it."""

from collections.abc import Mapping

import httpx
from sqlmodel import select

from ivr.db.tables import Conversation
from tests.calls.world import PUBLIC, SID, TOKEN
from tests.isolation.town import Resident, Town
from tools.emulators.twilio.signing import sign

CALLER = "+17705550133"


async def twilio(town: Town, path: str, to: Resident, **form: str) -> httpx.Response:
    """Send what Twilio sends when somebody reaches one of the numbers."""
    fields = {"AccountSid": SID, "From": CALLER, "To": to.things["number"], **form}
    return await signed(town, path, fields)


async def signed(town: Town, path: str, fields: Mapping[str, str]) -> httpx.Response:
    signature = sign(TOKEN, f"{PUBLIC}{path}", fields.items())
    headers = {"X-Twilio-Signature": signature}
    return await town.ask("POST", path, None, headers=headers, data=fields)


async def call_of(town: Town, sid: str, resident: Resident) -> Conversation:
    """Return the one call of this name that a client had."""
    async with town.world.db.read() as session:
        query = select(Conversation).where(
            Conversation.session_key == sid, Conversation.tenant_id == resident.id
        )
        return (await session.exec(query)).one()
