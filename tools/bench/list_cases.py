"""The questions that the lists are measured with: the usual ones, and the worst that we know."""

import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Channel
from ivr.doors import cursor
from ivr.leads.attention import escalations, talks
from ivr.leads.profile import load_profile
from ivr.leads.progress import funnel, funnel_analysis, listing
from ivr.leads.progress.listing import Wanted
from ivr.web.lead_lists import Filters

from .seed_rows import DAYS, END, OWNERS, PROFILE, SOURCES

TIMES = 45
STAGES = ("NEW", "NAME_COLLECTED", "COURSE_SELECTED", "DEMO_SHARED", "ENROLLED", "LOST")
COMMON = ("moh", "ahmed", "ali", "khan", "garcia", "محمد")
RARE = ("benquinzim", "halrostor", "winters", "galmarpet")

Chance = random.Random
Query = Callable[[AsyncSession, uuid.UUID, dict[str, Any]], Awaitable[object]]


async def _leads(session: AsyncSession, tenant_id: uuid.UUID, asked: dict[str, Any]) -> object:
    filters = Filters(**asked)
    wanted = filters.wanted()
    after = cursor.decode(filters.cursor, asdict(wanted), tuple[None, cursor.Moment, uuid.UUID])
    return await listing.find(session, tenant_id, wanted, limit=filters.limit, after=after)


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked, where, with which parameters each time; `query` is the part of the database.

    `{tenant}` in the path is the id of the business.
    """

    name: str
    ask: Callable[[Chance], dict[str, Any]]
    path: str = "/api/v1/leads"
    query: Query = _leads
    times: int = TIMES


def _moment(chance: Chance) -> datetime:
    return END - timedelta(days=chance.uniform(1, DAYS))


def _behind(chance: Chance, **asked: Any) -> dict[str, Any]:
    """Return the parameters of a page somewhere in the middle of a list."""
    key = (None, _moment(chance), uuid.UUID(int=chance.getrandbits(128), version=4))
    return {**asked, "cursor": cursor.encode(asdict(Filters(**asked).wanted()), key)}


def _older(chance: Chance, **asked: Any) -> dict[str, Any]:
    return {**asked, "created_before": _moment(chance).isoformat()}


def _digits(chance: Chance, count: int) -> str:
    return "".join(chance.choices("0123456789", k=count))


LISTS = (
    Case("first page", lambda _: {}),
    Case("page in the middle, by cursor", _behind),
    Case("200 at once", lambda chance: _behind(chance, limit=200)),
    Case("one stage", lambda chance: _older(chance, stage=chance.choice(STAGES))),
    Case("oldest first, one stage", lambda it: {"stage": it.choice(STAGES), "sort": "created_at"}),
    Case("a rare lifecycle", lambda it: _older(it, lifecycle="APPOINTMENT_BOOKED")),
    Case(
        "status, label and source at once",
        lambda it: _older(it, status="contacted", score_label="HOT", source="whatsapp"),
    ),
    Case(
        "stage, owner and open at once",
        lambda it: {"stage": it.choice(STAGES), "owner": it.choice(OWNERS), "open": "true"},
    ),
    Case("a score of 99 or more", lambda it: _older(it, min_score=99)),
    Case("score between, rare source", lambda it: _older(it, min_score=5, source=SOURCES[0])),
    Case("channel of a conversation", lambda it: _older(it, channel="live_chat")),
    Case("filters that nobody passes", lambda it: _older(it, stage="ENROLLED", status="new")),
    Case("best score first", lambda it: {"sort": "-score"}),
    Case(
        "best score first, of one owner", lambda it: {"sort": "-score", "owner": it.choice(OWNERS)}
    ),
    Case(
        "best score first, nobody passes",
        lambda it: {"sort": "-score", "stage": "ENROLLED", "status": "new"},
    ),
    Case(
        "last contact first, one stage",
        lambda it: {"sort": "-last_contact_at", "stage": it.choice(STAGES)},
    ),
)
SEARCHES = (
    Case("q: a common name", lambda it: _older(it, q=it.choice(COMMON))),
    Case("q: two common names", lambda it: {"q": f"{it.choice(COMMON)} {it.choice(COMMON)}"}),
    Case("q: a rare name", lambda it: {"q": it.choice(RARE)}),
    Case("q: a common and a rare one", lambda it: {"q": f"ahmed {it.choice(RARE)}"}),
    Case("q: one letter", lambda it: _older(it, q=it.choice("abmsz"))),
    Case("q: two common names that are rarely one's", lambda it: {"q": "olga العتيبي"}),
    Case(
        "q: a common name, three filters",
        lambda it: {
            "q": "ahmed",
            "stage": "LOST",
            "owner": it.choice(OWNERS),
            "score_label": "HOT",
        },
    ),
    Case(
        "q: a common name, nobody passes",
        lambda it: _older(it, q="ahmed", stage="ENROLLED", status="new"),
    ),
    Case("q: a common name, best score first", lambda it: {"q": "ahmed", "sort": "-score"}),
    Case("q: the last four digits", lambda it: {"q": _digits(it, 4)}),
    Case("q: a whole number", lambda it: {"q": f"0300 0{_digits(it, 3)} {_digits(it, 3)}"}),
    Case("q: beginning of an e-mail", lambda it: {"q": f"ahmedkhan{_digits(it, 6)}@"}),
    Case("q: an id", lambda it: {"q": str(uuid.UUID(int=it.getrandbits(128), version=4))}),
)


async def _hot(session: AsyncSession, tenant_id: uuid.UUID, asked: dict[str, Any]) -> object:
    wanted = Wanted(category=listing.HOT, is_open=True, sort=listing.Sort(asked["sort"]))
    return await listing.find(session, tenant_id, wanted, limit=50, after=None)


async def _by_stage(session: AsyncSession, tenant_id: uuid.UUID, asked: dict[str, Any]) -> object:
    given = {name: asked[name] for name in ("limit", "offset") if name in asked}
    return await funnel.by_stage(session, tenant_id, load_profile(PROFILE), "LOST", **given)


async def _stats(session: AsyncSession, tenant_id: uuid.UUID, _: object) -> object:
    return await funnel.stats(session, tenant_id, load_profile(PROFILE))


async def _analytics(session: AsyncSession, tenant_id: uuid.UUID, _: object) -> object:
    return await funnel_analysis.analysis(session, tenant_id, load_profile(PROFILE))


async def _escalations(session: AsyncSession, tenant_id: uuid.UUID, asked: Any) -> object:
    return await escalations.of_tenant(
        session, tenant_id, include_done="all" in asked, limit=asked["limit"]
    )


async def _conversations(session: AsyncSession, tenant_id: uuid.UUID, asked: Any) -> object:
    channel = asked.get("channel")
    return await talks.by_start(
        session,
        tenant_id,
        channel=Channel(channel) if channel else None,
        lead_id=None,
        behind=None,
        count=51,
    )


async def _active(session: AsyncSession, tenant_id: uuid.UUID, _: object) -> object:
    return await talks.active(session, tenant_id, behind=None, count=51)


HOT = "/api/v1/leads/client/{tenant}/hot"
BY_STAGE = "/leads/by-stage/LOST"
OTHERS = (
    Case("hot list", lambda _: {"sort": "-created_at"}, HOT, _hot),
    Case("hot list, best first", lambda _: {"sort": "-score"}, HOT, _hot),
    Case("by-stage, 50", lambda _: {"limit": 50}, BY_STAGE, _by_stage),
    Case(
        "by-stage, 50 behind 20,000", lambda _: {"limit": 50, "offset": 20_000}, BY_STAGE, _by_stage
    ),
    Case("by-stage, 500", lambda _: {"limit": 500}, BY_STAGE, _by_stage, 20),
    Case("stats", lambda _: {}, "/leads/stats", _stats),
    Case("open escalations, 50", lambda _: {"limit": 50}, "/api/v1/escalations", _escalations),
    Case(
        "all escalations, 50",
        lambda _: {"limit": 50, "all": "true"},
        "/api/v1/escalations",
        _escalations,
    ),
    Case("conversations", lambda _: {}, "/api/v1/conversations", _conversations),
    Case(
        "conversations of one channel",
        lambda it: {"channel": it.choice(("api", "chat", "voice"))},
        "/api/v1/conversations",
        _conversations,
    ),
    Case(
        "active conversations (all are looked at)",
        lambda _: {},
        "/api/v1/conversations/client/{tenant}/active",
        _active,
        10,
    ),
    Case(
        "stage analytics (all leads are counted)",
        lambda _: {},
        "/api/v1/leads/stage-analytics",
        _analytics,
        2,
    ),
)
CASES = (*LISTS, *SEARCHES, *OTHERS)
