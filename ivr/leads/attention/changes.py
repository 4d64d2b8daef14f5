"""What staff change in a lead by hand: several things at once, all of them or none.

A won stage and `closed_won` are one thing, as are a lost stage and `closed_lost`, and who does not
fit (DISQUALIFIED) is lost. Everything else may be set for itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Axis, Contact, Lead, Lifecycle
from ivr.errors import Unprocessable
from ivr.leads import field_edits, given_fields, last_talk
from ivr.leads.attention import hand_offs, review
from ivr.leads.attention.hand_offs import HandOff
from ivr.leads.profile import Profile
from ivr.leads.progress import profile_stages, search, stages
from ivr.leads.progress.lifecycle import Mover
from ivr.leads.progress.moves import Cause

_MOVES = frozenset({"lifecycle", "status", "stage"})
# Of a lead that was found not to fit: it is worked on after all.
_AGAIN = (Lifecycle.QUALIFYING, Lifecycle.NURTURING, Lifecycle.QUALIFIED)
STATUSES = ("new", "contacted", "qualified", "negotiating", "follow_up", stages.WON, stages.LOST)


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be changed: only the names in `parts`, each of them also when it is None.

    `fields`, `owner`, `status`, `stage` (None: as the values say), `lifecycle`, `lost_reason`.
    """

    parts: Mapping[str, Any]

    def __contains__(self, name: str) -> bool:
        return name in self.parts

    def get(self, name: str) -> Any:
        """Return what is wanted, None also where nothing is."""
        return self.parts.get(name)


async def make(
    session: AsyncSession, lead: Lead, wanted: Change, hand_off: HandOff, cause: Cause
) -> None:
    """Change a lead; it and its conversations are locked.

    Raises `Unprocessable` for what cannot be, `Conflict` for what cannot be now: then nothing is to
    be committed. Poke the outbox after the commit.
    """
    profile = hand_off.profile
    _demand_sense(wanted, lead, profile)
    if "fields" in wanted:
        await _set_fields(session, lead, profile, wanted.get("fields"), cause)
    if lead.lifecycle == Lifecycle.DISQUALIFIED and wanted.get("lifecycle") in _AGAIN:
        await _take_up_again(session, lead, profile, wanted, cause)
    await _move(session, lead, profile, _whole(wanted, profile), cause)
    if "lifecycle" in wanted:
        await _turn(session, lead, wanted, hand_off, cause)
    if _MOVES & wanted.parts.keys():
        await review.let_go(session, lead, profile, now=cause.now)
    if "owner" in wanted:
        await hand_offs.own(session, lead, wanted.get("owner"), cause)
    if wanted.get("lost_reason") not in (None, lead.lost_reason):
        lead.lost_reason, lead.updated_at = wanted.get("lost_reason"), cause.now
        session.add(lead)


def _demand_sense(wanted: Change, lead: Lead, profile: Profile) -> None:
    """Raise `Unprocessable` for words that are none, and for two that contradict each other."""
    status, stage = wanted.get("status"), wanted.get("stage")
    if "status" in wanted and status not in STATUSES:
        raise Unprocessable(f"status: {status!r} is none; valid are {', '.join(STATUSES)}")
    if stage is not None:
        profile_stages.demand_stage(profile, stage)
    is_lost = _ends_as(wanted, profile) == stages.LOST
    if stage is not None and status is not None:
        _demand_one_end(_end_of(profile, stage), _closing(status))
    if wanted.get("lifecycle") == Lifecycle.DISQUALIFIED and not is_lost:
        raise Unprocessable("lifecycle: who is DISQUALIFIED is lost: status closed_lost goes along")
    stays_lost = lead.status == stages.LOST and not ({"status", "stage"} & wanted.parts.keys())
    if wanted.get("lost_reason") is not None and not is_lost and not stays_lost:
        raise Unprocessable("lost_reason: expected with a lost stage or closed_lost only")


def _demand_one_end(by_stage: str | None, by_status: str | None) -> None:
    if by_stage != by_status:
        raise Unprocessable(
            "status: closed_won and a won stage are one thing, as are closed_lost and a lost stage"
        )


def _closing(status: str | None) -> str | None:
    return status if status in (stages.WON, stages.LOST) else None


def _end_of(profile: Profile, stage: str) -> str | None:
    if profile_stages.is_won(profile, stage):
        return stages.WON
    return stages.LOST if profile_stages.is_lost(profile, stage) else None


def _ends_as(wanted: Change, profile: Profile) -> str | None:
    """Return how the lead ends by what is wanted, None when it is to go on."""
    if (stage := wanted.get("stage")) is not None:
        return _end_of(profile, stage)
    if (end := _closing(wanted.get("status"))) is not None:
        return end
    is_unfit = wanted.get("lifecycle") == Lifecycle.DISQUALIFIED
    return stages.LOST if is_unfit and not {"status", "stage"} & wanted.parts.keys() else None


def _whole(wanted: Change, profile: Profile) -> Change:
    """Return it with the stage that an end by status or lifecycle means."""
    end = _ends_as(wanted, profile)
    if end is None or wanted.get("stage") is not None:
        return wanted
    names = profile_stages.stage_names(profile)
    stage = next((name for name in names if _end_of(profile, name) == end), None)
    return Change({**wanted.parts, "stage": stage}) if stage else wanted


async def _set_fields(
    session: AsyncSession,
    lead: Lead,
    profile: Profile,
    given: Mapping[str, object],
    cause: Cause,
) -> None:
    """Set fields by the hand of staff; what waits to be sent gets the new values."""
    found, wrong = given_fields.sort(profile, given, today=cause.now.date())
    given_fields.refuse({f"fields.{name}": words for name, words in wrong.items()})
    names = (found.get(item.key) for item in profile.fields if item.type == "person_name")
    if name := next(filter(None, names), None):
        contact = await session.get_one(Contact, lead.contact_id)
        contact.name = name.value
    conversation = await last_talk.for_values(session, lead.id)
    held = await field_edits.set_fields(
        session,
        conversation,
        lead,
        profile,
        given,
        actor=cause.actor,
        now=cause.now,
        by_staff=True,
    )
    if name is not None:
        await search.keep_contact(session, lead.contact_id)  # its other leads, too
    await review.let_go(session, lead, profile, now=cause.now, known=held)


async def _move(
    session: AsyncSession, lead: Lead, profile: Profile, wanted: Change, cause: Cause
) -> None:
    """Put the lead into a stage, or let go of it, and give it its status."""
    words: dict[str, Any] = {"actor": cause.actor, "reason": cause.reason, "now": cause.now}
    status, stage = wanted.get("status"), wanted.get("stage")
    if stage is not None:
        reason = wanted.get("lost_reason") or cause.reason
        await stages.pin(session, lead, profile, stage, **{**words, "reason": reason})
    elif "stage" in wanted:
        await stages.unpin(session, lead, profile, **words)
    elif status is not None and _closing(status) is None and _closing(lead.status):
        await _go_on(session, lead, profile, cause)
    if status is not None and status != lead.status:
        await stages.move(session, lead, Axis.STATUS, status, **words)
        if _closing(status) is not None:  # the profile has no such stage
            lead.closed_at = lead.closed_at or cause.now


async def _go_on(session: AsyncSession, lead: Lead, profile: Profile, cause: Cause) -> None:
    """Take back that a lead was won or lost: it stands where its values put it."""
    conversation = await last_talk.for_values(session, lead.id)
    words: dict[str, Any] = {"actor": cause.actor, "now": cause.now}
    flags = {flag.key: None for flag in profile_stages.won_flags(profile)}
    await field_edits.set_fields(session, conversation, lead, profile, flags, **words)
    if _closing(lead.status) is not None:
        await stages.unpin(session, lead, profile, reason=cause.reason, **words)


async def _take_up_again(
    session: AsyncSession, lead: Lead, profile: Profile, wanted: Change, cause: Cause
) -> None:
    """Have a lead that did not fit be one again, before it is moved: else it could not open."""
    words: dict[str, Any] = {"actor": cause.actor, "reason": cause.reason, "now": cause.now}
    await stages.move(session, lead, Axis.LIFECYCLE, wanted.get("lifecycle"), **words)
    if not {"status", "stage"} & wanted.parts.keys():
        await _go_on(session, lead, profile, cause)


async def _turn(
    session: AsyncSession, lead: Lead, wanted: Change, hand_off: HandOff, cause: Cause
) -> None:
    """Move the lead's lifecycle, with what that means for who speaks to the person."""
    to = wanted.get("lifecycle")
    words: dict[str, Any] = {"actor": cause.actor, "reason": cause.reason, "now": cause.now}
    if to == lead.lifecycle:
        return
    if to == Lifecycle.HANDED_OFF:
        await hand_offs.hand_off(session, lead, hand_off, cause)
    elif to == Lifecycle.DISQUALIFIED:
        words["reason"] = wanted.get("lost_reason") or cause.reason
        await stages.disqualify(session, lead, hand_off.profile, by=Mover.STAFF, **words)
    else:
        was_staffs = lead.lifecycle == Lifecycle.HANDED_OFF
        await stages.move(session, lead, Axis.LIFECYCLE, to, **words)
        if was_staffs:
            await hand_offs.take_back(session, lead, cause)
