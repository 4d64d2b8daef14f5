"""POST /twilio/sms and /webhooks/sms/inbound: an SMS or MMS to the business."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ivr.channels import twilio_message
from ivr.channels.inbound import Inbound
from ivr.channels.twilio_message import Form, required, with_files
from ivr.db.tables import Channel
from ivr.leads.intake import caller_number


async def inbound(request: Request[Any]) -> Response:
    """Take a message."""
    return await twilio_message.respond(request, translate)


def translate(form: Form, files: Mapping[str, Any], now: datetime) -> Inbound:
    """Return what the form says (Twilio: messaging webhook request); raise `BadRequest`."""
    sender = required(form, "From")
    return Inbound(
        channel=Channel.SMS,
        provider="twilio",
        event_id=required(form, "MessageSid"),
        text=with_files(form.get("Body", ""), files),
        now=now,
        session_key=caller_number(sender) or sender,
        address=caller_number(sender),
        called=form.get("To"),
        opt_out_type=form.get("OptOutType"),
        media=files,
        payload=form,
    )
