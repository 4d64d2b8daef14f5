"""POST /webhooks/web-form: a form of the business's own web site was sent."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from ivr.channels import json_door
from ivr.channels.inbound import Inbound
from ivr.channels.json_door import EventId, Said, TheDesk
from ivr.db.engine import storable
from ivr.db.tables import Channel, utc_now
from ivr.doors.credentials import IsPublic, Visitor
from ivr.doors.key_first import KeyFirst
from ivr.doors.wire_values import Name, Sound, Text, finite
from ivr.errors import BadRequest

router = APIRouter(tags=["webhooks"], route_class=KeyFirst)
MOST_FIELDS = 50


def _as_text(value: object) -> object:
    """Forms send numbers and ticks as such; a field is answered in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(finite(value)) if isinstance(value, int | float) else value


Answer = Annotated[str, Field(max_length=2000), Sound, BeforeValidator(_as_text)]


class Form(BaseModel):
    """What was typed; besides these, any field of the business's profile by its key."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Answer | None]

    name: Answer | None = None
    phone: Answer | None = None
    email: Answer | None = None
    message: Text = ""
    source: Answer | None = Field(None, description="where the form stands, such as website")
    consent: bool = Field(False, description="the box that lets us answer by SMS and WhatsApp")
    event_id: Name | None = Field(None, validation_alias=AliasChoices("event_id", "id"))

    @property
    def answers(self) -> dict[str, str]:
        """What was typed into fields."""
        own = {"name": self.name, "phone": self.phone, "email": self.email}
        every = {**(self.__pydantic_extra__ or {}), **own}
        return {key: value.strip() for key, value in every.items() if value and value.strip()}


@router.post("/webhooks/web-form")
async def web_form(
    body: Form, tenant: Visitor, is_public: IsPublic, desk: TheDesk, key: EventId
) -> Said:
    """Make a lead of a form, thank for it, and ask for what is missing."""
    answers = body.answers
    if not answers and not body.message.strip():
        raise BadRequest("message: expected some text, or name, phone or email")
    if len(answers) > MOST_FIELDS:
        raise BadRequest(f"the form: expected at most {MOST_FIELDS} fields")
    event_id = json_door.event_id(key, body.event_id)
    inbound = Inbound(
        channel=Channel.WEB_FORM,
        event_id=event_id,
        text=body.message.strip(),
        now=utc_now(),
        session_key=event_id,
        given=answers,
        consent=body.consent,
        payload={storable(key): value for key, value in body.model_dump().items()},
    )
    answer = await json_door.converse(desk, tenant, inbound)
    return json_door.said(answer, is_public=is_public)
