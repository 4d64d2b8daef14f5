"""The door at which Twilio tells what became of our messages: verify, note, say nothing.

POST /twilio/message-status?message=<our id>
"""

import uuid

from starlette.requests import Request
from starlette.responses import Response

from ivr import tenants
from ivr.db.engine import patiently
from ivr.db.tables import utc_now
from ivr.doors.twilio_form import signed_form
from ivr.leads.attention import tasks
from ivr.messages import receipts
from ivr.runtime import State
from ivr.vendors.twilio_messages import WHATSAPP

ANSWER_SECONDS = 10.0  # Twilio waits 15 s


async def status(request: Request[State]) -> Response:
    """The status of a message has changed."""
    form = await signed_form(request)
    message_id = _uuid(request.query_params.get("message"))

    async def write() -> bool:
        number = form.get("From", "").removeprefix(WHATSAPP)
        async with request.state["db"].read() as session:
            tenant = await tenants.by_message(session, message_id, number)
        async with request.state["db"].for_tenant(tenant.id).write() as session:
            return await receipts.note(
                session,
                tenant.id,
                form,
                now=utc_now(),
                message_id=message_id,
                on_undeliverable=tasks.write_back,
            )

    if await patiently(write, seconds=ANSWER_SECONDS):
        request.state["outbox"].poke()  # it may have been what the next message waits for
    return Response(status_code=204)


def _uuid(text: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        return None
