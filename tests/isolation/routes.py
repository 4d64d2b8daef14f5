"""The isolation matrix: how each route is asked for another client's things.

A new route needs a line here, or `test_matrix.py` fails. `{kind}` stands for a thing of `town.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LEADS, TALKS, CLIENTS = "/api/v1/leads", "/api/v1/conversations", "/api/v1/clients"
CLIENT, WHO = CLIENTS + "/{client_id}", {"assignee": "Mallory"}
RULES, KEYS = CLIENT + "/qualification-rules", CLIENT + "/keys"
RULE = {
    "name": "mine",
    "conditions": {"all": [{"field": "channel", "op": "equals", "value": "sms"}]},
    "outcome": "DISQUALIFIED",
}
PERSON = {"name": "{name}", "phone": "{phone}", "email": "{email}"}
NOT_FOUND, FORBIDDEN, FINE, MADE = 404, 403, 200, 201


@dataclass(frozen=True, slots=True)
class Line:
    """A route as one client asks it for what is another's.

    `says` is the status then, and the same as for what nobody has. `named`: what stands in its
    path. `own`: the status for whose it is. Lists, and what makes something new, say 200 or 201;
    then nothing of the other client may be in the answer.
    """

    method: str
    path: str
    says: int = NOT_FOUND
    named: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    own: int = FINE

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def request(self, things: Mapping[str, str]) -> dict[str, Any]:
        """Return the request that names these things."""
        path = self.path
        for parameter, kind in {**_BY_PARAMETER, **self.named}.items():
            path = path.replace(f"{{{parameter}}}", things.get(kind, kind))
        asked = {"params": dict(self.query), "headers": dict(self.headers)}
        body = {} if self.body is None else {"json": _filled(self.body, things)}
        return {"method": self.method, "path": path, **_filled(asked, things), **body}


# What a parameter of a path names; a stage is everybody's.
_BY_PARAMETER = {
    "client_id": "client",
    "lead_id": "lead",
    "conversation_id": "conversation",
    "escalation_id": "escalation",
    "key_id": "key",
    "rule_id": "rule",
    "stage": "NEW",
}


def _filled(template: Any, things: Mapping[str, str]) -> Any:
    if isinstance(template, str):
        return template.format_map(things)
    if isinstance(template, Mapping):
        return {name: _filled(value, things) for name, value in template.items()}
    return [_filled(one, things) for one in template] if isinstance(template, list) else template


LINES = [
    # Stages
    Line("GET", "/leads/by-stage/{stage}", FINE),
    Line("GET", "/leads/stats", FINE),
    Line("GET", LEADS + "/stage-analytics", FINE),
    Line("GET", "/conversations/{conversation_id}/stage"),
    Line(
        "POST",
        "/conversations/{conversation_id}/update-stage",
        query={"new_stage": "NAME_COLLECTED"},
    ),
    Line("POST", TALKS + "/{conversation_id}/release-stage"),
    Line("GET", TALKS + "/{conversation_id}/stage-history"),
    Line(
        "POST",
        LEADS + "/bulk-stage",
        FINE,
        body={"lead_ids": ["{lead}"], "new_stage": "NAME_COLLECTED"},
    ),
    Line(
        "POST",
        LEADS + "/bulk-stage",
        FINE,
        body={"conversation_ids": ["{conversation}", "{session}"], "new_stage": "NAME_COLLECTED"},
    ),
    # Escalations
    Line("GET", "/api/v1/escalations", FINE, query={"all": "true"}),
    Line("POST", "/api/v1/escalations/{escalation_id}/take", body=WHO),
    Line("POST", "/api/v1/escalations/{escalation_id}/say", body={**WHO, "message": "Hi"}),
    Line("POST", "/api/v1/escalations/{escalation_id}/give-back", body=WHO),
    Line("POST", "/api/v1/escalations/{escalation_id}/resolve", body=WHO),
    # Conversations
    Line("GET", TALKS, FINE, query={"lead_id": "{lead}"}),
    Line("GET", TALKS + "/client/{client_id}/active"),
    Line("GET", TALKS + "/{conversation_id}"),
    Line("GET", TALKS + "/{conversation_id}/messages"),
    Line("POST", TALKS + "/{conversation_id}/messages", body={"message": "Hi"}, own=MADE),
    Line(
        "POST",
        TALKS + "/{conversation_id}/messages",
        headers={"Idempotency-Key": "{event}"},
        body={"message": "Hi"},
        own=422,
    ),
    Line("POST", TALKS + "/{conversation_id}/escalate", body={}),
    # Leads
    Line("GET", LEADS, FINE, query={"q": "{name}"}),
    Line("GET", LEADS, FINE, query={"q": "{phone}"}),
    Line("GET", LEADS, FINE, query={"q": "{email}"}),
    Line(
        "POST",
        LEADS,
        MADE,
        body={"name": "Mallory"},
        headers={"Idempotency-Key": "{event}"},
        own=422,
    ),
    Line("GET", LEADS + "/client/{client_id}/hot"),
    Line("GET", LEADS + "/{lead_id}"),
    Line("GET", LEADS + "/{lead_id}", headers={"If-None-Match": '"{etag}"'}),
    Line("PATCH", LEADS + "/{lead_id}", body={"owner": "Mallory"}),
    Line("PATCH", LEADS + "/{lead_id}", headers={"If-Match": '"{etag}"'}, body={}, own=412),
    Line("DELETE", LEADS + "/{lead_id}", own=204),
    Line("PATCH", LEADS + "/{lead_id}/score", body={"score": 1}),
    Line("POST", LEADS + "/{lead_id}/handoff", body={}),
    # Clients
    Line(
        "POST",
        CLIENTS,
        FORBIDDEN,
        body={"name": "{name}", "slug": "{slug}", "timezone": "UTC"},
        own=FORBIDDEN,
    ),
    Line("GET", CLIENTS, FORBIDDEN, own=FORBIDDEN),
    Line("GET", CLIENT),
    Line("PATCH", CLIENT, body={"name": "Mallory"}),
    Line("POST", CLIENT + "/activate", own=FORBIDDEN),
    Line("POST", CLIENT + "/pause", own=FORBIDDEN),
    Line("GET", CLIENT + "/usage"),
    Line("GET", KEYS),
    Line("POST", KEYS, body={"name": "mine"}, own=MADE),
    Line("DELETE", KEYS + "/{key_id}", own=204),
    Line("GET", RULES),
    Line("POST", RULES, body=RULE, own=MADE),
    Line("POST", RULES + "/test", body={}),
    Line("PATCH", RULES + "/{rule_id}", body={"name": "mine"}),
    Line("DELETE", RULES + "/{rule_id}", own=204),
    Line("POST", CLIENT + "/rotate-api-key", body={"grace_seconds": 3600}),
    # What people say
    Line("POST", "/webhooks/missed-call", FINE, body={"phone": "{number}", "called": "{number}"}),
    Line("POST", "/chat", body={"message": "Hi", "conversation_id": "{conversation}"}),
    Line("POST", "/chat", FINE, body={"message": "Hi", "session_id": "{session}"}),
    Line("POST", "/chat", FINE, body={"message": "Hi"}, headers={"Idempotency-Key": "{event}"}),
    Line("GET", "/chat/{conversation_id}/messages"),
    Line("POST", "/webhooks/live-chat", FINE, body={"message": "Hi", "session_id": "{visitor}"}),
    # All that is known of somebody, then one address each: what the others know must not come out.
    # Only the first tells us of them; what the lines after it find is ours.
    Line("POST", LEADS, MADE, body=PERSON),
    Line("POST", "/webhooks/web-form", FINE, body={**PERSON, "message": "Hi"}),
    Line("POST", "/webhooks/live-chat", FINE, body={**PERSON, "message": "Hi"}),
    Line("POST", LEADS, MADE, body={"email": "{alias}"}),
    Line("POST", "/webhooks/live-chat", FINE, body={"message": "Hi", "name": "{name}"}),
    Line("GET", "/webhooks/live-chat/messages", FINE, query={"session_id": "{visitor}"}),
    Line("POST", "/webhooks/web-form", FINE, body={"phone": "{phone}", "message": "Hi"}),
]

# The other client's things behind our own id.
CROSSED = [
    Line("DELETE", KEYS + "/{key_id}", named={"client_id": "ours"}, own=204),
    Line("PATCH", RULES + "/{rule_id}", named={"client_id": "ours"}, body={"name": "mine"}),
    Line("DELETE", RULES + "/{rule_id}", named={"client_id": "ours"}, own=204),
]

# Doors that Twilio signs: whose they are follows from the number or the call, see
# test_telephony.py and test_calls_of_others.py.
SIGNED = {
    "/twilio/voice-realtime-proxied",
    "/twilio/voice",
    "/twilio/voice/after",
    "/twilio/voice/whisper",
    "/twilio/voice/status",
    "/twilio/voice-ivr",
    "/twilio/voice-ivr/collect",
    "/twilio/voice/stream",
    "/twilio/sms",
    "/webhooks/sms/inbound",
    "/webhooks/whatsapp/inbound",
    "/twilio/message-status",
}

# The same for everybody, without any row of a client.
OF_NOBODY = {
    "/health",
    "/health/live",
    "/health/ready",
    "/widget",
    "/widget.js",
    "/docs",
    "/docs/docs.js",
    "/docs/swagger-ui",
    "/openapi.json",
}
