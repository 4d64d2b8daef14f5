"""A message as Twilio brings it, on SMS or WhatsApp: verify, commit, answer at once.

The assistant's words follow by REST. Without an account, only a token, they are the answer itself.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

import structlog
from starlette.requests import Request
from starlette.responses import Response

from ivr import tenants
from ivr.channels.desk import Desk
from ivr.channels.inbound import Inbound, Received
from ivr.db.engine import patiently, storable
from ivr.db.tables import utc_now
from ivr.doors.twilio_form import signed_form
from ivr.errors import BadRequest
from ivr.messages import media

COMMIT_SECONDS = 10.0  # Twilio waits 15 s for a webhook, and asks 5xx answers no second time
ANSWER_SECONDS = 10.0
_NOTHING = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
_MESSAGE = '<?xml version="1.0" encoding="UTF-8"?><Response><Message>{}</Message></Response>'
# XML has no words for these, whoever writes them.
_NO_XML = {code: None for code in range(32) if chr(code) not in "\t\n\r"}

Form = Mapping[str, str]
Translate = Callable[[Form, Mapping[str, Any], datetime], Inbound]

log = structlog.get_logger(__name__)


async def respond(request: Request[Any], translate: Translate) -> Response:
    """Commit the message and answer; raises what `signed_form` does, and `BadRequest`."""
    form = {name: storable(value) for name, value in (await signed_form(request)).items()}
    files = media.read(form, api_base_url=request.state["settings"].twilio_api_base_url)
    inbound = translate(form, files, utc_now())
    desk: Desk = request.state["desk"]

    async def commit() -> Received:
        async with request.state["db"].read() as session:
            tenant = await tenants.by_called_number(session, inbound.called)
        return await desk.receive(tenant, inbound)

    received = await patiently(commit, seconds=COMMIT_SECONDS)
    if request.state["twilio"] is not None:
        desk.answer_later(received)
        return _twiml("")
    return _twiml(await _soon(desk, received))


def required(form: Form, name: str) -> str:
    """Return a field of the form; raise `BadRequest` without it."""
    if not form.get(name):
        raise BadRequest(f"{name}: expected in a request of Twilio's")
    return form[name]


def with_files(text: str, files: Mapping[str, Any]) -> str:
    """Return what was written and, in words, what files came with it."""
    kinds = [item["type"] for item in files.get("items", [])]
    note = f"(sent {len(kinds)} file(s): {', '.join(kinds)})" if kinds else ""
    return "\n".join(filter(None, [text.strip(), note]))


async def _soon(desk: Desk, received: Received) -> str:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return (await desk.answer(received)).response
    except TimeoutError:
        log.warning("answered too late for Twilio: set TWILIO_SID, then it is sent all the same")
        return ""


def _twiml(text: str) -> Response:
    words = escape(text.translate(_NO_XML))
    return Response(_MESSAGE.format(words) if words else _NOTHING, media_type="text/xml")
