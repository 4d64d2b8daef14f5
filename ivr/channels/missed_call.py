"""POST /webhooks/missed-call: somebody rang and nobody answered. They are written to instead.

Twilio tells it with a signed form (a status callback, or the action of a <Dial>), everybody else
with JSON and a key.
"""

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AliasChoices, BaseModel, Field, ValidationError
from starlette.responses import JSONResponse, Response

from ivr import tenants
from ivr.channels import json_door
from ivr.channels.inbound import Inbound
from ivr.channels.json_door import EventId, Said, TheDesk
from ivr.channels.twilio_message import required
from ivr.db.engine import storable
from ivr.db.tables import Channel, Tenant, utc_now
from ivr.doors.credentials import intake_of
from ivr.doors.problems import problems_of
from ivr.doors.twilio_form import SIGNATURE, signed_form
from ivr.doors.wire_values import Name
from ivr.errors import Unprocessable
from ivr.leads.intake import caller_number

router = APIRouter(tags=["webhooks"])
log = structlog.get_logger(__name__)
# Twilio: voice call resource, CallStatus; twiml/dial, DialCallStatus
MISSED = frozenset({"busy", "no-answer", "failed", "canceled"})


class MissedCall(BaseModel):
    """Who rang, with + and country code, and which of the business's numbers."""

    phone: Annotated[Name, Field(validation_alias=AliasChoices("phone", "from", "caller"))]
    called: Name | None = Field(None, validation_alias=AliasChoices("called", "to"))
    name: Name | None = None
    event_id: Name | None = Field(None, validation_alias=AliasChoices("event_id", "id", "call_sid"))


_BODY = {"content": {"application/json": {"schema": MissedCall.model_json_schema()}}}


@router.post(
    "/webhooks/missed-call",
    response_model=Said,
    responses=problems_of(401, 403, 503),
    openapi_extra={"requestBody": _BODY},
)
async def missed_call(request: Request, desk: TheDesk, key: EventId) -> Response:
    """Make a lead of a call that nobody took, and write to the caller if we may."""
    if SIGNATURE in request.headers:
        return await _from_twilio(request, desk)
    tenant = await intake_of(request)
    body = await _read(request)
    called = await _own_number(request, tenant, body.called)
    answer = await json_door.converse(desk, tenant, _translate(body, key, called))
    return JSONResponse(json_door.said(answer).model_dump(mode="json"))


async def _read(request: Request) -> MissedCall:
    try:
        return MissedCall.model_validate_json(await request.body())
    except ValidationError as exc:
        errors = [{**one, "loc": ("body", *one["loc"])} for one in exc.errors(include_url=False)]
        raise RequestValidationError(errors) from exc


def _translate(body: MissedCall, key: str | None, called: str | None) -> Inbound:
    number = caller_number(body.phone)
    if number is None:
        raise Unprocessable("phone: expected a number with + and country code")
    event_id = json_door.event_id(key, body.event_id)
    return Inbound(
        channel=Channel.MISSED_CALL,
        event_id=event_id,
        text="",
        now=utc_now(),
        session_key=event_id,
        address=number,
        called=called,
        given={"name": body.name} if body.name else {},
        payload=body.model_dump(mode="json"),
    )


async def _own_number(request: Request[Any], tenant: Tenant, called: str | None) -> str | None:
    """Return which of its numbers a client says was called, None for anything else.

    No lead is worth less for it: then the caller is written to from the client's first number.
    """
    async with request.state["db"].read() as session:
        number = await tenants.own_number(session, tenant, caller_number(called) or called)
    if called and number is None:
        log.info("called: is none of the client's numbers", client=str(tenant.id))
    return number


async def _from_twilio(request: Request[Any], desk: TheDesk) -> Response:
    form = {name: storable(value) for name, value in (await signed_form(request)).items()}
    if form.get("DialCallStatus", form.get("CallStatus")) in MISSED:
        await json_door.converse(desk, await _called(request, form), _from_form(form))
    return Response("<Response/>", media_type="text/xml")


async def _called(request: Request[Any], form: dict[str, str]) -> Tenant:
    async with request.state["db"].read() as session:
        return await tenants.by_call(session, form.get("CallSid"), form.get("To"))


def _from_form(form: dict[str, str]) -> Inbound:
    sid = required(form, "CallSid")
    return Inbound(
        channel=Channel.MISSED_CALL,
        provider="twilio",
        event_id=sid,
        text="",
        now=utc_now(),
        session_key=sid,
        address=caller_number(form.get("From")),
        called=form.get("To"),
        payload=form,
    )
