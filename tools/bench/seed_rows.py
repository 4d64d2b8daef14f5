"""The rows of made-up businesses, the same ones each time; written nowhere, see `seed`.

Three businesses, of which one has nine tenths; two years; names of several languages, some of them
very common; stage, lifecycle, status, score and owner as they hang together.
"""

import random
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, product
from typing import Any

from ivr.db import lead_words
from ivr.leads.progress.scoring import label_of

PROFILE = "courses"
SHARES = {"large": 0.9, "middle": 0.08, "small": 0.02}
DAYS = 730
END = datetime(2026, 11, 1, tzinfo=UTC)

Rows = Mapping[str, Sequence[Mapping[str, Any]]]

# Stage, and what comes with it: lifecycle, status, whether it is closed, and of a hundred how many.
STANDS = (
    ("NEW", "NEW", "new", False, 11),
    ("NEW", "NURTURING", "new", False, 5),
    ("NAME_COLLECTED", "QUALIFYING", "contacted", False, 8),
    ("COURSE_SELECTED", "QUALIFYING", "contacted", False, 13),
    ("EDUCATION_COLLECTED", "QUALIFYING", "contacted", False, 9),
    ("GOAL_COLLECTED", "QUALIFIED", "qualified", False, 8),
    ("GOAL_COLLECTED", "SUBMITTED", "qualified", True, 6),
    ("DEMO_SHARED", "QUALIFIED", "qualified", False, 7),
    ("DEMO_SHARED", "APPOINTMENT_BOOKED", "qualified", False, 1),
    ("DEMO_SHARED", "HANDED_OFF", "qualified", False, 2),
    ("ENROLLED", "SUBMITTED", "closed_won", True, 10),
    ("LOST", "NURTURING", "closed_lost", True, 16),
    ("LOST", "DISQUALIFIED", "closed_lost", True, 3),
    ("NAME_COLLECTED", "MERGED", "contacted", True, 1),
)
CHANNELS = ("voice", "sms", "whatsapp", "chat", "live_chat", "web_form", "missed_call", "api")
_SHARE_OF_CHANNEL = (34, 10, 22, 12, 6, 9, 6, 1)
SOURCES = ("spring campaign", "partner", "walk-in")  # of what came by API
OWNERS = tuple(f"agent-{number:02}" for number in range(1, 41))

_FIRST = (
    "Mohammed Ahmed Ali Fatima Omar Aisha Hassan Maryam Yusuf Sara James Maria John David Anna "
    "Michael José Sofía Carlos Elena Pierre Zoë François Renée Jürgen Björn Łukasz Agnieszka "
    "Priya Rahul Wei Ling Kenji Yuki Olu Ngozi Ivan Olga Nguyen Linh محمد أحمد فاطمة علي خالد "
    "مريم نورة عبدالله"
).split()
_LAST = (
    "Khan Ahmed Hussain Al-Rashid Smith Garcia Martínez Müller O'Neill Dubois Rossi Kowalski "
    "Singh Sharma Chen Wang Tanaka Okafor Petrov Tran Johnson Brown العتيبي الغامدي الشمري"
).split()
_SYLLABLES = (
    "ba ben car dal fer gor hal jan kel lin mar nor pet quin ros sal tor vin wal zim".split()
)
_DOMAINS = ("gmail.com", "yahoo.com", "outlook.com", "example.org", "hotmail.com")


TABLES = (
    "contacts",
    "contact_points",
    "leads",
    "conversation_sessions",
    "field_values",
    "transitions",
    "lead_words",
    "escalations",
)


def tenant(slug: str, key: uuid.UUID) -> dict[str, Any]:
    return {
        "id": key,
        "slug": slug,
        "name": slug,
        "profile": PROFILE,
        "timezone": "UTC",
        "status": "active",
        "business_hours": {},
        "config": {},
        "secrets": {},
        "created_at": END - timedelta(days=DAYS),
    }


class Maker:
    """Makes one lead after another, each with all that belongs to it."""

    def __init__(self, chance: random.Random, tenants: Sequence[uuid.UUID], leads: int) -> None:
        self._chance = chance
        self._tenants = tenants
        self._leads = leads
        self._last = [*_LAST, *("".join(both).title() for both in product(_SYLLABLES, repeat=3))]
        # The more common a name, the earlier it stands; one of twenty is the first.
        self._first_weights = list(accumulate(1 / (place + 3) for place in range(len(_FIRST))))
        self._last_weights = list(accumulate(1 / (place + 4) for place in range(len(self._last))))

    def add(self, rows: Mapping[str, list[Mapping[str, Any]]], place: int) -> None:
        """Add one lead and its person."""
        chance = self._chance
        (tenant_id,) = chance.choices(self._tenants, list(SHARES.values()))
        stand = chance.choices(STANDS, [it[-1] for it in STANDS])[0]
        at = END - timedelta(days=DAYS * chance.random() ** 1.3)  # more and more of them
        lead = self._lead(tenant_id, stand, at)
        name, phone, email = self._name(), f"+9230{place:08}", None
        if chance.random() < 0.4:
            plain = "".join(lead_words.of_name(name)) or "someone"
            email = f"{plain}{place}@{chance.choice(_DOMAINS)}"
        is_named = stand[0] != "NEW"
        person = (lead, name if is_named else None, phone, email)
        rows["leads"].append(lead)
        self._add_contact(rows, person)
        conversation_id = self._add_conversation(rows, lead, phone)
        self._add_values(rows, person, conversation_id)
        self._add_moves(rows, lead)
        if lead["lifecycle"] == "HANDED_OFF" or chance.random() < 0.02:
            self._add_escalation(rows, lead, conversation_id)

    def _lead(self, tenant_id: uuid.UUID, stand: Any, at: datetime) -> dict[str, Any]:
        chance = self._chance
        stage, lifecycle, status, is_closed, _ = stand
        score = None if chance.random() < 0.45 else round(chance.triangular(0, 100, 45))
        (channel,) = chance.choices(CHANNELS, _SHARE_OF_CHANNEL)
        heard = at + timedelta(hours=chance.expovariate(1 / 60))
        return {
            "id": new_id(chance),
            "tenant_id": tenant_id,
            "contact_id": new_id(chance),
            "profile": PROFILE,
            "stage": stage,
            "lifecycle": lifecycle,
            "status": status,
            "created_at": at,
            "updated_at": heard,
            "lost_reason": "no answer" if stage == "LOST" else None,
            "score": score,
            "category": None if score is None else str(label_of(score)),
            "owner": chance.choice(OWNERS) if chance.random() < 0.6 else None,
            "source": chance.choice(SOURCES) if channel == "api" else channel,
            "last_inbound_at": heard,
            "closed_at": heard if is_closed else None,
        }

    def _name(self) -> str:
        (first,) = self._chance.choices(_FIRST, cum_weights=self._first_weights)
        (last,) = self._chance.choices(self._last, cum_weights=self._last_weights)
        return f"{first} {last}"

    def _add_contact(self, rows: Mapping[str, list[Any]], person: Any) -> None:
        lead, name, phone, email = person
        key, tenant_id, at = lead["contact_id"], lead["tenant_id"], lead["created_at"]
        rows["contacts"].append({"id": key, "tenant_id": tenant_id, "name": name, "created_at": at})
        words = set(lead_words.of_name(name or ""))
        for kind, value in (("phone", phone), ("email", email)):
            if value is None:
                continue
            make = lead_words.of_phone if kind == "phone" else lead_words.of_email
            words.update(make(value))
            rows["contact_points"].append(
                {
                    "id": new_id(self._chance),
                    "tenant_id": tenant_id,
                    "contact_id": key,
                    "kind": kind,
                    "value": value,
                    "verified": kind == "phone",
                    "created_at": at,
                }
            )
        rows["lead_words"].extend(
            {"tenant_id": tenant_id, "word": word, "created_at": at, "lead_id": lead["id"]}
            for word in sorted(words)
        )

    def _add_conversation(
        self, rows: Mapping[str, list[Any]], lead: Mapping[str, Any], phone: str
    ) -> uuid.UUID:
        key, source, at = new_id(self._chance), lead["source"], lead["created_at"]
        rows["conversation_sessions"].append(
            {
                "id": key,
                "tenant_id": lead["tenant_id"],
                "lead_id": lead["id"],
                "channel": source if source in CHANNELS else "api",
                "session_key": key.hex,
                "from_number": phone,
                "state": {},
                "status": "finished",
                "episode": 1,
                "streaming": False,
                "streams": 0,
                "line_closed_at": at,
                "line_tries": 0,
                "started_at": at,
                "ended_at": lead["updated_at"],
                "finished_at": lead["updated_at"],
                "assistant_paused": False,
                "usage": {},
            }
        )
        return key

    def _add_values(
        self, rows: Mapping[str, list[Any]], person: Any, conversation_id: uuid.UUID
    ) -> None:
        lead, name, phone, _ = person
        course = "CTA" if lead["stage"] not in ("NEW", "NAME_COLLECTED") else None
        given = {"name": name, "phone": phone, "selected_course": course}
        rows["field_values"].extend(
            {
                "tenant_id": lead["tenant_id"],
                "lead_id": lead["id"],
                "conversation_id": conversation_id,
                "name": key,
                "value": value,
                "raw": value,
                "source": "tool",
                "details": {},
                "created_at": lead["created_at"],
            }
            for key, value in given.items()
            if value is not None
        )

    def _add_moves(self, rows: Mapping[str, list[Any]], lead: Mapping[str, Any]) -> None:
        ways = ["NEW"] if lead["stage"] == "NEW" else ["NEW", lead["stage"]]
        for seq, stage in enumerate(ways, start=1):
            rows["transitions"].append(
                {
                    "tenant_id": lead["tenant_id"],
                    "lead_id": lead["id"],
                    "axis": "stage",
                    "seq": seq,
                    "from_value": None if seq == 1 else "NEW",
                    "to_value": stage,
                    "actor": "system",
                    "reason": "seeded",
                    "at": lead["created_at"] if seq == 1 else lead["updated_at"],
                }
            )

    def _add_escalation(
        self, rows: Mapping[str, list[Any]], lead: Mapping[str, Any], conversation_id: uuid.UUID
    ) -> None:
        is_open = lead["lifecycle"] == "HANDED_OFF"
        rows["escalations"].append(
            {
                "id": new_id(self._chance),
                "tenant_id": lead["tenant_id"],
                "lead_id": lead["id"],
                "conversation_id": conversation_id,
                "trigger": "asked_for_human",
                "reason": "seeded",
                "state": "acknowledged" if is_open else "resolved",
                "assignee": lead["owner"],
                "created_at": lead["updated_at"],
                "resolved_at": None if is_open else lead["updated_at"],
            }
        )


def new_id(chance: random.Random) -> uuid.UUID:
    return uuid.UUID(int=chance.getrandbits(128), version=4)
