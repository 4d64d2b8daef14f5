"""Examines what is on this machine: settings, profile, database, the offline voice.

Opens no connection but the database's.
"""

import asyncio
import os
from importlib.util import find_spec

from ivr.cli.checkup.finding import TIMEOUT_SECONDS, Finding, Link, Visit
from ivr.cli.database import existing, folder_of, newest_revision, place, try_writing
from ivr.db import Database, row_security
from ivr.db.engine import database_path
from ivr.errors import IvrError, ProfileError
from ivr.leads.profile import load_profile

_OFFLINE_PARTS = ("pocketsphinx", "espeakng_loader", "webrtcvad")


async def check_settings(visit: Visit) -> list[Finding]:
    """Report what is missing or weak: a server in development starts all the same."""
    link = Link("settings")
    problems = visit.settings.check()
    if not problems:
        return [link.fine("complete", "complete")]
    return [link.warning(problem.id, problem.message, problem.hint) for problem in problems]


async def check_profile(visit: Visit) -> list[Finding]:
    """Load the profile that the settings name."""
    link = Link("profile")
    try:
        profile = load_profile(visit.settings.profile)
    except ProfileError as exc:
        return [link.broken("unusable", str(exc), "PROFILE names a shipped profile or a file")]
    asked = ", ".join(field.key for field in profile.required)
    findings = [link.fine("loaded", f"{profile.key} asks for {asked}")]
    if profile.target == "webhook" and visit.settings.target_webhook_url is None:
        message = f"the leads of {profile.key} have nowhere to go and wait in failed_leads"
        findings.append(link.warning("no-target", message, "set TARGET_WEBHOOK_URL"))
    return findings


async def check_database(visit: Visit) -> list[Finding]:
    """Open the database, compare its revision and take the write lock; never make one."""
    link, url = Link("database"), visit.settings.database_url
    path = database_path(url)
    if path is not None and not path.exists():
        folder = folder_of(path)
        if os.access(folder, os.W_OK):
            hint = "start the server once: `ivr serve`; DATABASE_URL says where it lies"
            return [link.warning("absent", f"none at {place(url)} yet", hint)]
        message = f"none at {place(url)}, and {folder} cannot be written to"
        return [link.broken("absent", message, "give the server a folder of its own")]
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS), existing(url) as db:
            await try_writing(db)
            weakness = await _weakness(db)
    except TimeoutError:
        message = f"{place(url)} is locked, or does not answer in {TIMEOUT_SECONDS:g} s"
        return [link.broken("slow", message, "which program holds it open for writing?")]
    except IvrError as exc:
        return [link.broken("unusable", str(exc), "DATABASE_URL says where it lies")]
    findings = [link.fine("ready", f"{place(url)} is writable, at revision {newest_revision()}")]
    if weakness is not None:
        hint = "give the server a role of its own, see docs/postgresql.md: DATABASE_OWNER_URL"
        findings.append(link.warning("role", f"the role we connect as {weakness}", hint))
    return findings


async def _weakness(db: Database) -> str | None:
    if db.is_sqlite:
        return None
    async with db.engine.connect() as connection:
        return await row_security.weakness(connection)


async def check_voice(visit: Visit) -> list[Finding]:
    """Say who answers the phone."""
    link = Link("voice")
    if visit.settings.openai_api_key is not None:
        return [link.fine("model", f"{visit.settings.openai_realtime_model} answers the phone")]
    absent = [name for name in _OFFLINE_PARTS if find_spec(name) is None]
    if absent:
        message = f"no model key, and the offline voice lacks {', '.join(absent)}"
        return [link.broken("nobody", message, "set OPENAI_API_KEY, or pip install 'ivr[demo]'")]
    return [link.fine("offline", "the offline voice answers the phone")]
