"""`ivr chat`: talk to the assistant in the terminal as a lead would, and see what it makes of it.

It is a door like the others: the same desk, the same road, the database of the settings. It works
beside a running server and without one.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ivr import conversations
from ivr.channels.desk import Desk
from ivr.channels.inbound import Answer, Inbound
from ivr.cli.desk import chosen, quiet_logs
from ivr.db import Database
from ivr.db.tables import Channel, Conversation, ConversationStatus, Tenant, utc_now
from ivr.runtime import State, open_state
from ivr.settings import load_settings

LEAVE = frozenset({"/quit", "/exit"})
EXECUTOR = "chat"
ROAD_SECONDS = 30.0
LOOK_SECONDS = 0.1


def run_chat(
    *,
    profile: Annotated[str | None, typer.Option(help="Whose assistant, e.g. courses.")] = None,
) -> None:
    """Talk to the assistant as a lead would; /quit leaves."""
    asyncio.run(_chat(Console(highlight=False), profile))


async def _chat(console: Console, profile: str | None) -> None:
    console.print("Write as a lead would. /quit leaves, /new begins as somebody else.", style="dim")
    async with _open_desk(profile) as (state, desk, tenant):
        session_key = str(uuid.uuid4())
        while (line := await _line(console)) is not None:
            if line == "/new":
                session_key = str(uuid.uuid4())
            elif line:
                answer = await _say(desk, tenant, session_key, line)
                _show(console, answer)
                await _see_off(console, state["db"], answer)


@asynccontextmanager
async def _open_desk(profile: str | None) -> AsyncIterator[tuple[State, Desk, Tenant]]:
    """Open a desk in this process; `profile` counts for this talk only."""
    changes = {"profile": profile} if profile else {}
    settings = load_settings(executor_id=EXECUTOR)
    quiet_logs(settings, level="ERROR")  # what is not set would stand between the lines
    async with open_state(settings, voice=None) as state, Desk.open(state) as desk:
        async with state["db"].read() as session:
            tenant = await chosen(session)
        yield state, desk, tenant.model_copy(update=changes)


async def _see_off(console: Console, db: Database, answer: Answer) -> None:
    """When the conversation is over, wait until its lead is on its way, and say so."""
    key = uuid.UUID(answer.conversation_id)
    with suppress(TimeoutError):
        async with asyncio.timeout(ROAD_SECONDS):
            while (row := await _conversation(db, key)).ended_at is not None:
                if row.status == ConversationStatus.FINISHED:
                    console.print("      the lead is finished: see `ivr leads list`", style="dim")
                    return
                await asyncio.sleep(LOOK_SECONDS)


async def _conversation(db: Database, key: uuid.UUID) -> Conversation:
    async with db.read() as session:
        return await conversations.by_id(session, key)


async def _line(console: Console) -> str | None:
    """Return what is typed, "" for an empty line; None at the end."""
    try:
        line = await asyncio.to_thread(console.input, "[bold]you[/bold] > ")
    except (EOFError, KeyboardInterrupt):
        return None
    return None if line.strip() in LEAVE else line.strip()


async def _say(desk: Desk, tenant: Tenant, session_key: str, text: str) -> Answer:
    inbound = Inbound(
        channel=Channel.CHAT,
        event_id=str(uuid.uuid4()),
        text=text,
        now=utc_now(),
        provider="terminal",
        session_key=session_key,
        payload={"message": text},
    )
    return await desk.answer(await desk.receive(tenant, inbound))


def _show(console: Console, answer: Answer) -> None:
    said = answer.response or "(a person has this conversation now)"
    console.print(Text("ivr > ", style="bold cyan") + Text(said))
    known = ", ".join(f"{name}={value}" for name, value in answer.lead_data.items() if value)
    console.print(Text(f"      {answer.stage or ''}  {known}", style="dim"))
