"""POST /webhooks/whatsapp/inbound: a WhatsApp message, with its buttons and places."""

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
from ivr.vendors.twilio_messages import WHATSAPP


async def inbound(request: Request[Any]) -> Response:
    """Take a message."""
    return await twilio_message.respond(request, translate)


def translate(form: Form, files: Mapping[str, Any], now: datetime) -> Inbound:
    """Return what the form says (Twilio: messaging webhook request); raise `BadRequest`.

    The name of the WhatsApp profile stays in the payload: people call themselves anything there.
    """
    sender = required(form, "From").removeprefix(WHATSAPP)
    written = form.get("Body") or form.get("ButtonText") or form.get("ListTitle") or ""
    text = "\n".join(filter(None, [written, _place(form)]))
    return Inbound(
        channel=Channel.WHATSAPP,
        provider="twilio",
        event_id=required(form, "MessageSid"),
        text=with_files(text, files),
        now=now,
        session_key=caller_number(sender) or sender,
        address=caller_number(sender),
        called=form.get("To", "").removeprefix(WHATSAPP) or None,
        opt_out_type=form.get("OptOutType"),
        media=files,
        payload=form,
    )


def _place(form: Form) -> str:
    """Return a place that was shared in words, "" without one."""
    if "Latitude" not in form or "Longitude" not in form:
        return ""
    names = [form.get("Label", ""), form.get("Address", "")]
    point = f"{form['Latitude']}, {form['Longitude']}"
    return f"(sent a place: {', '.join(filter(None, [*names, point]))})"
