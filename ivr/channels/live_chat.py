"""POST /webhooks/live-chat: a message of a visitor of the business's own web site."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import AliasChoices, BaseModel, Field

from ivr.channels import json_door
from ivr.channels.inbound import Inbound
from ivr.channels.json_door import EventId, Said, TheDesk
from ivr.db.tables import Channel, utc_now
from ivr.doors.credentials import IsPublic, Visitor
from ivr.doors.key_first import KeyFirst
from ivr.doors.wire_values import Name, Text

router = APIRouter(tags=["webhooks"], route_class=KeyFirst)


class VisitorMessage(BaseModel):
    """What a visitor writes, and what the page knows of them."""

    message: Annotated[Text, Field(min_length=1)]
    session_id: Name | None = Field(
        None, validation_alias=AliasChoices("session_id", "visitor_id", "conversation_id")
    )
    event_id: Name | None = Field(None, validation_alias=AliasChoices("event_id", "id"))
    name: Name | None = None
    phone: Name | None = None
    email: Name | None = None


@router.post("/webhooks/live-chat")
async def live_chat(
    body: VisitorMessage, tenant: Visitor, is_public: IsPublic, desk: TheDesk, key: EventId
) -> Said:
    """Answer a visitor; `session_id` of the answer continues the conversation."""
    typed = {"name": body.name, "phone": body.phone, "email": body.email}
    inbound = Inbound(
        channel=Channel.LIVE_CHAT,
        event_id=json_door.event_id(key, body.event_id),
        text=body.message,
        now=utc_now(),
        session_key=body.session_id or None,
        given={name: value for name, value in typed.items() if value},
        payload=body.model_dump(mode="json"),
    )
    answer = await json_door.converse(desk, tenant, inbound)
    return json_door.said(answer, is_public=is_public)
