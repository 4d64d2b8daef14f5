"""Lists of one tenant's leads: any filters at once, in one order, a page at a time. Reads only.

A page is found by walking along an index in the order of the list, and never behind an offset. No
page walks past more than `MOST_WALKED` leads, or `MOST_PROBED`, if for each of them something has
to be looked up elsewhere: where filters leave few of them a page is short, or
empty, and says where to go on. So a page takes the same time whatever is asked.
"""

import operator
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import Select, literal_column, union
from sqlalchemy import select as sa_select
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from ivr.db.keysets import behind, until
from ivr.db.tables import Conversation, Lead, LeadWord, Lifecycle
from ivr.leads.progress import search
from ivr.leads.progress.search import Hits

FIRST_WALK, MOST_PROBED, MOST_WALKED = 400, 1000, 2000
_SPARE = 2
HOT, UNSCORED = "hot", "unscored"

Key = tuple[Any, datetime, uuid.UUID]  # the value that is sorted by, None without one
Test = Callable[[Any], ColumnElement[bool]]  # what a lead must pass, of `Lead` or an alias of it

# Each has an index in the order in which leads came; the ones that leave the fewest leads first.
_INDEXED = ("owner", "category", "stage", "source", "status", "lifecycle")
_LIMITS = ("created_after", "created_before")
_SORTED_BY = {"last_contact_at": "last_inbound_at", "score": "score"}


class Sort(StrEnum):
    """The order of a list; who has no such value comes last. With a minus the greatest is first."""

    NEWEST = "-created_at"
    OLDEST = "created_at"
    LATEST_CONTACT = "-last_contact_at"
    EARLIEST_CONTACT = "last_contact_at"
    BEST = "-score"
    WORST = "score"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which leads, and in which order; None is any. `category` may be "unscored".

    `stage`, `lifecycle`, `status`, `source`, `owner` and `profile` as they stand in the lead;
    `channel`: of one of its conversations. Merged leads are listed only by that lifecycle.
    """

    stage: str | None = None
    lifecycle: str | None = None
    status: str | None = None
    category: str | None = None
    min_score: int | None = None
    max_score: int | None = None
    profile: str | None = None
    source: str | None = None
    channel: str | None = None
    owner: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    is_open: bool | None = None
    q: str | None = None
    sort: Sort = Sort.NEWEST

    @property
    def sorted_by(self) -> str | None:
        """Return the column that comes before `created_at` in the order."""
        return _SORTED_BY.get(self.sort.lstrip("-"))

    @property
    def is_falling(self) -> bool:
        return self.sort.startswith("-")


@dataclass(frozen=True, slots=True)
class Found:
    """A page; `next` is the key behind which the next one begins, None at the end."""

    leads: Sequence[Lead]
    next: Key | None


async def find(
    session: AsyncSession, tenant_id: uuid.UUID, wanted: Wanted, *, limit: int, after: Key | None
) -> Found:
    """Return a page of at most `limit`; raise `Unprocessable` when nobody can be found by `q`."""
    hits = await search.look_up(session, tenant_id, wanted.q) if wanted.q is not None else None
    if hits is not None and hits.ids is not None:
        return await _among(session, tenant_id, wanted, hits, limit=limit, after=after)
    found: list[Lead] = []
    for is_valued in (True, False) if wanted.sorted_by else (False,):
        if after is not None and is_valued and after[0] is None:
            continue  # all that have a value were on earlier pages
        begin = after if after is not None and (after[0] is not None) is is_valued else None
        walk, tests = _way(tenant_id, wanted, hits, is_valued=is_valued)
        more, stopped = await _along(session, walk, tests, begin, limit + 1 - len(found))
        found += more
        if len(found) > limit:
            return Found(found[:limit], key_of(wanted, found[limit - 1]))
        if stopped is not None:
            return Found(found, stopped)
    return Found(found, None)


def key_of(wanted: Wanted, lead: Lead) -> Key:
    """Return where a lead stands in the order of a list."""
    value = getattr(lead, wanted.sorted_by) if wanted.sorted_by else None
    return value, lead.created_at, lead.id


async def _among(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    wanted: Wanted,
    hits: Hits,
    *,
    limit: int,
    after: Key | None,
) -> Found:
    """Return a page of the few that were found. They are put in order here.

    Asked for the order, or for the tenant, SQLite would walk along all of the tenant's leads.
    """
    tests = [*_tests(wanted).values(), *map(_has_word, hits.beginnings)]
    query = select(Lead).where(col(Lead.id).in_(hits.ids or ()), *(test(Lead) for test in tests))
    found = (await session.exec(query)).all()
    ours = {key_of(wanted, lead): lead for lead in found if lead.tenant_id == tenant_id}
    last = set() if after is None else {after}  # which may have gone meanwhile
    keys = _in_order({*ours, *last}, is_falling=wanted.is_falling)
    page = keys[keys.index(after) + 1 :] if after is not None else keys
    more = page[limit - 1] if len(page) > limit else None
    return Found([ours[key] for key in page[:limit]], more)


def _in_order(keys: Iterable[Key], *, is_falling: bool) -> list[Key]:
    valued = [key for key in keys if key[0] is not None]
    others = [key for key in keys if key[0] is None]
    by_time = sorted(others, key=lambda key: key[1:], reverse=is_falling)
    return [*sorted(valued, reverse=is_falling), *by_time]


async def _along(
    session: AsyncSession, walk: "_Walk", tests: Sequence[Test], after: Key | None, want: int
) -> tuple[list[Lead], Key | None]:
    """Return leads that pass, and where the walk was broken off, None at its end."""
    if not tests:
        return list((await session.exec(walk.leads(after, want))).all()), None
    found: list[Lead] = []
    for most in (FIRST_WALK, walk.most - FIRST_WALK):
        # First where this part ends: on PostgreSQL leads come and go between two statements.
        last = (await session.exec(walk.key(after, most - 1))).first()
        end = (last[0], last[1], last[2]) if last is not None else None
        page = walk.passing(tests, after, end, most).limit(want - len(found))
        found += (await session.exec(page)).all()
        if end is None or len(found) == want:
            return found, None
        after = end
    return found, after


class _Walk(Protocol):
    """Leads in the order of a list; `most` is how many a page walks past."""

    @property
    def most(self) -> int: ...

    def leads(self, after: Key | None, most: int) -> SelectOfScalar[Lead]: ...

    def passing(
        self, tests: Sequence[Test], after: Key | None, end: Key | None, most: int
    ) -> SelectOfScalar[Lead]:
        """Return the query for those that pass, up to `end`, which is `most` leads away, or None.

        Some more may have come since: `_SPARE` times as many are walked past if need be.
        """
        ...

    def key(self, after: Key | None, place: int) -> Any:
        """Return the query for the key of the lead at a place, the next one being at 0."""
        ...


@dataclass(frozen=True, slots=True)
class _ByIndex:
    """Leads that fulfil `tests` in the order of these columns, which have an index together."""

    tests: Sequence[Test]
    order: Sequence[str]
    is_falling: bool
    most: int

    def leads(self, after: Key | None, most: int) -> SelectOfScalar[Lead]:
        ordered: SelectOfScalar[Lead] = self._next(select(Lead), after)
        return ordered.limit(most)

    def passing(
        self, tests: Sequence[Test], after: Key | None, end: Key | None, most: int
    ) -> SelectOfScalar[Lead]:
        part = self.leads(after, _SPARE * most)
        if end is not None:
            part = part.where(until(*self._place(end), is_falling=self.is_falling))
        walked = aliased(Lead, part.subquery())
        query = select(walked).where(*(test(walked) for test in tests))
        return query.order_by(*self._ordered(walked))

    def key(self, after: Key | None, place: int) -> Any:
        columns = [getattr(Lead, name) for name in self.order]
        empty: list[Any] = [literal_column("NULL")] * (len(_KEY) + 1 - len(columns))
        return self._next(sa_select(*empty, *columns), after).limit(1).offset(place)

    def _next(self, query: Any, after: Key | None) -> Any:
        query = query.where(*(test(Lead) for test in self.tests)).order_by(*self._ordered(Lead))
        if after is None:
            return query
        return query.where(behind(*self._place(after), is_falling=self.is_falling))

    def _place(self, key: Key) -> tuple[Sequence[Any], Sequence[Any]]:
        columns = [col(getattr(Lead, name)) for name in self.order]
        return columns, key[-len(columns) :]

    def _ordered(self, entity: Any) -> list[ColumnElement[Any]]:
        return [_turned(getattr(entity, it), is_falling=self.is_falling) for it in self.order]


_KEY = ("created_at", "id")


@dataclass(frozen=True, slots=True)
class _BySpellings:
    """Leads that have one of a few words, as they came: a walk along each word, side by side."""

    tenant_id: uuid.UUID
    words: Sequence[str]
    limits: Sequence[Test]  # of `created_at`, which words have as leads do
    is_falling: bool
    most: int

    def leads(self, after: Key | None, most: int) -> SelectOfScalar[Lead]:
        return self._of(self._hits(after, None, most))

    def passing(
        self, tests: Sequence[Test], after: Key | None, end: Key | None, most: int
    ) -> SelectOfScalar[Lead]:
        found = self._of(self._hits(after, end, _SPARE * most))
        return found.where(*(test(Lead) for test in tests))

    def key(self, after: Key | None, place: int) -> Any:
        hits = self._hits(after, None, place + 1).subquery()
        query = sa_select(literal_column("NULL"), hits.c.created_at, hits.c.lead_id)
        return query.order_by(*self._ordered(hits.c)).limit(1).offset(place)

    def _of(self, found: Select[Any]) -> SelectOfScalar[Lead]:
        hits = found.subquery()
        query = select(Lead).join(hits, hits.c.lead_id == col(Lead.id))
        return query.order_by(*self._ordered(hits.c))

    def _hits(self, after: Key | None, end: Key | None, most: int) -> Select[Any]:
        """Return the query for the next hits; a lead that has two of the words is one hit."""
        each = [sa_select(self._word(word, after, end, most).subquery()) for word in self.words]
        hits = union(*each).subquery()
        return sa_select(hits).order_by(*self._ordered(hits.c)).limit(most)

    def _word(self, word: str, after: Key | None, end: Key | None, most: int) -> Select[Any]:
        columns: tuple[Any, Any] = (col(LeadWord.created_at), col(LeadWord.lead_id))
        query: Select[Any] = sa_select(*columns).where(
            col(LeadWord.tenant_id) == self.tenant_id,
            col(LeadWord.word) == word,
            *(test(LeadWord) for test in self.limits),
        )
        if after is not None:
            query = query.where(behind(columns, after[1:], is_falling=self.is_falling))
        if end is not None:
            query = query.where(until(columns, end[1:], is_falling=self.is_falling))
        ordered = query.order_by(*(_turned(it, is_falling=self.is_falling) for it in columns))
        return ordered.limit(most)

    def _ordered(self, hits: Any) -> list[ColumnElement[Any]]:
        columns = (hits.created_at, hits.lead_id)
        return [_turned(it, is_falling=self.is_falling) for it in columns]


def _turned(column: Any, *, is_falling: bool) -> Any:
    return column.desc() if is_falling else column.asc()


def _way(
    tenant_id: uuid.UUID, wanted: Wanted, hits: Hits | None, *, is_valued: bool
) -> tuple[_Walk, Sequence[Test]]:
    """Return what to walk along, and what a lead must pass then."""
    ours: list[Test] = [lambda lead: lead.tenant_id == tenant_id]
    tests = _tests(wanted)
    tests |= {f"word {one}": _has_word(one) for one in (hits.beginnings if hits else ())}
    by, along = wanted.sorted_by, [*ours]
    if by is not None:
        along.append(_is_null(by, is_null=not is_valued))
    order = (by, *_KEY) if by is not None and is_valued else _KEY
    if hits is not None and hits.spellings and by is None:
        del tests[f"word {hits.beginnings[0]}"]
        limits = [tests.pop(name) for name in _LIMITS if name in tests]
        words = _BySpellings(tenant_id, hits.spellings, limits, wanted.is_falling, MOST_PROBED)
        return words, tuple(tests.values())
    along += [tests.pop(name) for name in _along_what(wanted, tests)]
    most = MOST_PROBED if wanted.channel is not None or hits is not None else MOST_WALKED
    return _ByIndex(along, order, wanted.is_falling, most), tuple(tests.values())


def _along_what(wanted: Wanted, tests: Mapping[str, Test]) -> list[str]:
    """Return the tests whose passing leads stand together in an index, in the order wanted."""
    names = ["not merged"]
    if wanted.sorted_by is None:
        names += _LIMITS
        names += [name for name in _INDEXED if name in tests][:1]
        if wanted.category == HOT and wanted.is_open and "owner" not in tests:
            names.append("is_open")
    return [name for name in names if name in tests]


def _tests(wanted: Wanted) -> dict[str, Test]:
    """Return what a lead must pass, by the names of what is wanted."""
    exact = ("stage", "lifecycle", "status", "profile", "source", "owner")
    given = {name: getattr(wanted, name) for name in exact}
    tests = {name: _equals(name, value) for name, value in given.items() if value is not None}
    if wanted.lifecycle != Lifecycle.MERGED:
        tests["not merged"] = _is_not_merged
    if wanted.category is not None:
        tests["category"] = _in_category(wanted.category)
    if wanted.channel is not None:
        tests["channel"] = _came_by(wanted.channel)
    if wanted.is_open is not None:
        tests["is_open"] = _is_null("closed_at", is_null=wanted.is_open)
    limits: dict[str, tuple[str, Any, Any]] = {
        "min_score": ("score", operator.ge, wanted.min_score),
        "max_score": ("score", operator.le, wanted.max_score),
        "created_after": ("created_at", operator.ge, wanted.created_after),
        "created_before": ("created_at", operator.lt, wanted.created_before),
    }
    for name, (column, compare, limit) in limits.items():
        if limit is not None:
            tests[name] = _limited(column, compare, limit)
    return tests


def _equals(name: str, value: str) -> Test:
    return lambda lead: getattr(lead, name) == value


def _limited(name: str, compare: Any, limit: Any) -> Test:
    return lambda lead: compare(getattr(lead, name), limit)


def _is_null(name: str, *, is_null: bool) -> Test:
    if is_null:
        return lambda lead: getattr(lead, name).is_(None)
    return lambda lead: getattr(lead, name).is_not(None)


def _is_not_merged(lead: Any) -> ColumnElement[bool]:
    # A parameter would hide from the planner that the indexes without merged leads will do.
    return col(lead.lifecycle) != literal_column(f"'{Lifecycle.MERGED}'")


def _in_category(category: str) -> Test:
    if category == UNSCORED:
        return _is_null("category", is_null=True)
    if category == HOT:  # in plain sight, like `_is_not_merged`
        return lambda lead: lead.category == literal_column(f"'{HOT}'")
    return _equals("category", category)


def _came_by(channel: str) -> Test:
    conversations = sa_select(col(Conversation.id)).where(col(Conversation.channel) == channel)
    return lambda lead: conversations.where(col(Conversation.lead_id) == lead.id).exists()


def _has_word(beginning: str) -> Test:
    words = sa_select(col(LeadWord.word)).where(*search.begins(col(LeadWord.word), beginning))
    return lambda lead: words.where(col(LeadWord.lead_id) == lead.id).exists()
