"""POST /chat: one message of a lead, and the answer to it. Machines with a secret key come here."""

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import AliasChoices, BaseModel, Field

from ivr.channels import json_door
from ivr.channels.inbound import Inbound
from ivr.channels.json_door import EventId, Said, TheDesk
from ivr.db.tables import Channel, utc_now
from ivr.doors.credentials import TakesIn
from ivr.doors.key_first import KeyFirst
from ivr.doors.problems import problems_of
from ivr.doors.wire_values import Name, Text
from ivr.errors import BadRequest

router = APIRouter(tags=["chat"], route_class=KeyFirst)


class ChatMessage(BaseModel):
    """What somebody writes; without an id a new conversation begins."""

    message: Annotated[Text, Field(min_length=1)]
    conversation_id: Name | None = None
    session_id: Name | None = Field(None, description="an id of your own, or a conversation_id")
    event_id: Name | None = Field(None, validation_alias=AliasChoices("event_id", "id"))
    role: Literal["lead", "agent"] = "lead"


@router.post("/chat", responses=problems_of(404))
async def chat(body: ChatMessage, tenant: TakesIn, desk: TheDesk, key: EventId) -> Said:
    """Answer a message; the same Idempotency-Key or `event_id` gets the same answer."""
    if body.role == "agent":
        raise BadRequest("role: commands of staff are not understood yet; expected lead")
    inbound = Inbound(
        channel=Channel.CHAT,
        event_id=json_door.event_id(key, body.event_id),
        text=body.message,
        now=utc_now(),
        session_key=body.session_id or None,
        conversation_id=body.conversation_id or None,
        payload=body.model_dump(mode="json"),
    )
    return json_door.said(await json_door.converse(desk, tenant, inbound))
