"""One exchange with one person on any channel: start it, write down what is said, end it.

Knows no channel and no lead. A conversation is over when its finaliser has run
(`leads/road.py`), not when its socket closed.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, case, func, update
from sqlalchemy import select as sa_select
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.engine import storable
from ivr.db.inserts import BY_DIALECT, insert_into
from ivr.db.tables import Channel, Conversation, ConversationStatus, Role, Turn
from ivr.errors import NotFound

OPTED_OUT = "opted_out"  # the end of a conversation whose contact wants no more messages
_OFFERED = "offered_stream"  # in a conversation's state
_MOST_OFFERS = 2  # the process may have died just when the stream came
_STAFF = "staff_"  # begins the item_id of what a person said in the assistant's place


@dataclass(frozen=True, slots=True)
class Said:
    """What one side said; writing the same `item_id` again replaces it, as a cut answer must."""

    item_id: str
    position: int
    role: Role
    text: str
    said_at: datetime
    cut: bool = False
    heard_ms: int | None = None


class ConversationStore:
    """The conversations of one tenant, in one transaction."""

    def __init__(self, session: AsyncSession, tenant_id: uuid.UUID) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def find(
        self, channel: str, session_key: str, *, locked: bool = False
    ) -> Conversation | None:
        """Return the conversation with this key, e.g. a CallSid; `locked`: nobody changes it."""
        query = select(Conversation).where(
            Conversation.tenant_id == self._tenant_id,
            Conversation.channel == channel,
            Conversation.session_key == session_key,
        )
        if locked:
            query = query.with_for_update(key_share=True)
            query = query.execution_options(populate_existing=True)
        return (await self._session.exec(query)).one_or_none()

    async def get(self, channel: str, session_key: str) -> Conversation:
        """Return the conversation with this key; raise `NotFound` with words for an operator."""
        found = await self.find(channel, session_key)
        if found is None:
            raise NotFound(f"no {channel} conversation {session_key}")
        return found

    def start(
        self,
        *,
        lead_id: uuid.UUID,
        channel: str,
        session_key: str,
        from_number: str | None,
        to_number: str | None,
        finish_after: datetime,
        now: datetime,
    ) -> Conversation:
        """Add an open conversation that is finished at `finish_after` unless told otherwise."""
        conversation = Conversation(
            tenant_id=self._tenant_id,
            lead_id=lead_id,
            channel=channel,
            session_key=session_key,
            from_number=from_number,
            to_number=to_number,
            finish_after=finish_after,
            line_due_at=finish_after if channel == Channel.VOICE else None,
            started_at=now,
        )
        self._session.add(conversation)
        return conversation


async def by_id(session: AsyncSession, conversation_id: uuid.UUID) -> Conversation:
    """Return the conversation; raise `NotFound` when there is none."""
    found = await session.get(Conversation, conversation_id)
    if found is None:
        raise NotFound(f"no conversation {conversation_id}")
    return found


async def lock(session: AsyncSession, conversation_id: uuid.UUID) -> Conversation:
    """Return a conversation that nobody else changes until the transaction is over.

    Everybody locks it before its lead.
    """
    query = select(Conversation).where(Conversation.id == conversation_id)
    locked = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return (await session.exec(locked)).one()


async def transcript(session: AsyncSession, conversation_id: uuid.UUID) -> Sequence[Turn]:
    """Return what was said, in the order in which it was said."""
    query = (
        select(Turn)
        .where(Turn.conversation_id == conversation_id)
        .order_by(col(Turn.position), col(Turn.id))
    )
    return (await session.exec(query)).all()


async def latest_turns(
    session: AsyncSession, conversation_id: uuid.UUID, count: int
) -> Sequence[Turn]:
    """Return what was said last, in the order in which it was said."""
    query = (
        select(Turn)
        .where(Turn.conversation_id == conversation_id)
        .order_by(col(Turn.position).desc(), col(Turn.id).desc())
        .limit(count)
    )
    return (await session.exec(query)).all()[::-1]


async def turns_behind(
    session: AsyncSession,
    conversation_id: uuid.UUID,
    position: int,
    roles: Collection[Role],
    count: int,
) -> Sequence[Turn]:
    """Return the first that these said behind a position, in the order in which it was said."""
    query = (
        select(Turn)
        .where(
            Turn.conversation_id == conversation_id,
            Turn.position > position,
            col(Turn.role).in_(roles),
        )
        .order_by(col(Turn.position), col(Turn.id))
        .limit(count)
    )
    return (await session.exec(query)).all()


def of_staff() -> str:
    """Return an `item_id` for a turn that a person says in the assistant's place."""
    return f"{_STAFF}{uuid.uuid4().hex}"


def is_of_staff(turn: Turn | Said) -> bool:
    """Return whether a person said it in the assistant's place."""
    return turn.item_id.startswith(_STAFF)


async def next_position(session: AsyncSession, conversation_id: uuid.UUID) -> int:
    """Return the position that the next turn takes."""
    query = select(func.coalesce(func.max(col(Turn.position)), -1) + 1).where(
        Turn.conversation_id == conversation_id
    )
    return (await session.exec(query)).one()


async def write_turn(session: AsyncSession, conversation: Conversation, said: Said) -> None:
    """Add a turn, or replace the one with the same `item_id`."""
    await write_turns(session, [(conversation, said)])


async def write_turns(session: AsyncSession, turns: Sequence[tuple[Conversation, Said]]) -> None:
    """Add turns, of any conversations, or replace those with the same `item_id`."""
    insert = insert_into(session, Turn)
    changed = {name: insert.excluded[name] for name in ("position", "text", "cut", "heard_ms")}
    await session.exec(
        insert.on_conflict_do_update(index_elements=["conversation_id", "item_id"], set_=changed),
        params=[_row(conversation, said) for conversation, said in turns],
    )


async def write_behind(
    session: AsyncSession,
    conversation: Conversation,
    *,
    item_id: str,
    role: Role,
    text: str,
    said_at: datetime,
) -> None:
    """Add a turn behind all others; one that is there stays as it is."""
    said = Said(item_id=item_id, position=0, role=role, text=text, said_at=said_at)
    row = _row(conversation, said)
    del row["position"]
    await session.exec(_BEHIND[session.get_bind().dialect.name], params=row)


def _behind(insert: Any) -> Any:
    """Return what adds a turn at the next position of its conversation."""
    table = Turn.__table__  # type: ignore[attr-defined]  # by its metaclass
    columns = table.c
    names = [column.name for column in columns if column.name not in ("id", "position")]
    given = {name: bindparam(name, type_=columns[name].type) for name in names}
    next_one = sa_select(*given.values(), func.coalesce(func.max(columns.position), -1) + 1).where(
        columns.conversation_id == given["conversation_id"]
    )
    statement = insert(table).from_select([*names, "position"], next_one)
    return statement.on_conflict_do_nothing(index_elements=["conversation_id", "item_id"])


_BEHIND = {name: _behind(insert) for name, insert in BY_DIALECT.items()}


def _row(conversation: Conversation, said: Said) -> dict[str, Any]:
    return {
        "tenant_id": conversation.tenant_id,
        "conversation_id": conversation.id,
        "item_id": said.item_id,
        "position": said.position,
        "role": said.role,
        "text": storable(said.text),
        "cut": said.cut,
        "heard_ms": said.heard_ms,
        "said_at": said.said_at,
    }


async def call_over(
    session: AsyncSession,
    conversation_id: uuid.UUID,
    *,
    now: datetime,
    reason: str | None = None,
) -> None:
    """Note that nothing follows: finish at once, or, while a stream is open, when it has closed."""
    await session.exec(
        update(Conversation)
        .where(
            col(Conversation.id) == conversation_id,
            col(Conversation.status) == ConversationStatus.OPEN,
        )
        .values(
            ended_at=func.coalesce(Conversation.ended_at, now),
            end_reason=func.coalesce(reason, Conversation.end_reason),
            finish_after=case(
                (col(Conversation.streaming).is_(True), Conversation.finish_after), else_=now
            ),
        )
    )


async def lend_until(
    session: AsyncSession, conversation_id: uuid.UUID, moment: datetime, *, reason: str
) -> None:
    """Note that others have the contact, who may come back: else it is finished at `moment`."""
    await session.exec(
        update(Conversation)
        .where(
            col(Conversation.id) == conversation_id,
            col(Conversation.status) == ConversationStatus.OPEN,
            col(Conversation.ended_at).is_(None),
        )
        .values(
            end_reason=func.coalesce(Conversation.end_reason, reason),
            finish_after=moment,
        )
    )


async def stream_closed(
    session: AsyncSession,
    conversation_id: uuid.UUID,
    *,
    stream: int,
    reason: str,
    finish_after: datetime,
    usage: Mapping[str, Any],
    now: datetime,
) -> None:
    """Note why a stream ended; the episode is finished now if the call is over, else later."""
    # Locked: the call's status comes at the same moment, and each must see what the other wrote.
    conversation = await session.get_one(Conversation, conversation_id, with_for_update=True)
    add_usage(conversation, usage)
    if conversation.streams != stream:  # given up by others, and the call goes on in another one
        return
    conversation.streaming = False
    conversation.end_reason = conversation.end_reason or reason
    later = max(conversation.finish_after or finish_after, finish_after)
    conversation.finish_after = now if conversation.ended_at is not None else later


def add_usage(conversation: Conversation, usage: Mapping[str, Any]) -> None:
    """Add what an answer took to what its conversation took; the row is to be locked."""
    conversation.usage = _sum_of(conversation.usage, usage)


def _sum_of(before: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Add up what the streams or answers used; a word, as a model's name, is the last one's."""
    total = dict(before)
    for name, used in more.items():
        if isinstance(used, Mapping):
            total[name] = _sum_of(total.get(name) or {}, used)
        elif name not in total or isinstance(used, str):
            total[name] = used
        else:
            total[name] += used
    return total


async def stream_lost(
    session: AsyncSession, conversation_id: uuid.UUID, *, stream: int, reason: str
) -> None:
    """Note that whoever carried the stream is gone; without that its row waits for their word."""
    await session.exec(
        update(Conversation)
        .where(col(Conversation.id) == conversation_id, col(Conversation.streams) == stream)
        .values(streaming=False, end_reason=func.coalesce(Conversation.end_reason, reason))
    )


async def stream_offered(
    session: AsyncSession, conversation_id: uuid.UUID, *, request: str
) -> bool:
    """Note that the call was sent to its next stream, in answer to `request`.

    False when others had it sent there often enough: that stream has never been opened.
    """
    conversation = await session.get_one(Conversation, conversation_id, with_for_update=True)
    stream = conversation.streams + 1
    before = conversation.state.get(_OFFERED, {})
    requests = before["requests"] if before.get("stream") == stream else []
    if request and request in requests:
        return True
    if len(requests) >= _MOST_OFFERS:
        return False
    offered = {"stream": stream, "requests": [*requests, request]}
    conversation.state = {**conversation.state, _OFFERED: offered}
    return True


async def continue_until(
    session: AsyncSession,
    conversation_ids: uuid.UUID | Collection[uuid.UUID],
    moment: datetime,
    *,
    line_due_at: datetime | None = None,
    while_streaming: bool = False,
) -> None:
    """Keep conversations going until `moment`; a finished one begins its next episode.

    Somebody cares for the phone call until `line_due_at`, else until `moment`. Webhooks come in any
    order: a call that is over is not taken up again. `while_streaming`: nor one whose stream has
    closed meanwhile.
    """
    ids = [conversation_ids] if isinstance(conversation_ids, uuid.UUID) else conversation_ids
    is_finished = col(Conversation.status) == ConversationStatus.FINISHED
    is_call = col(Conversation.channel) == Channel.VOICE  # nothing else has a line to look after
    these = update(Conversation).where(
        col(Conversation.id).in_(ids), col(Conversation.line_closed_at).is_(None)
    )
    if while_streaming:
        these = these.where(col(Conversation.streaming).is_(True))
    await session.exec(
        these.values(
            episode=col(Conversation.episode) + case((is_finished, 1), else_=0),
            ended_at=case((is_finished | ~is_call, None), else_=col(Conversation.ended_at)),
            end_reason=case((is_call, col(Conversation.end_reason)), else_=None),
            finished_at=None,
            status=ConversationStatus.OPEN,
            finish_after=moment,
            line_due_at=case((is_call, line_due_at or moment), else_=None),
            line_tries=0,
        ).execution_options(synchronize_session=False)
    )
