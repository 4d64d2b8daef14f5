"""The stages of a profile: their order, which of them end a lead, which one its values reach.

Pure; moving a lead is the work of `stages`.
"""

from collections.abc import Collection, Mapping

from ivr.db.tables import FieldValue
from ivr.errors import Unprocessable
from ivr.leads import fields
from ivr.leads.profile import Field, Profile

FLAG = "flag"  # the field type that may say that a lead was won
_WON_STAGE, _LOST_STAGE = "ENROLLED", "LOST"  # where a profile does not name its own


def stage_of(profile: Profile, known: Collection[str]) -> str:
    """Return the furthest stage that a known field reaches, the profile's first without one."""
    reached = [
        profile.stages.index(item.stage)
        for item in profile.fields
        if item.stage and item.key in known
    ]
    return profile.stages[max(reached, default=0)]


def stage_names(profile: Profile) -> tuple[str, ...]:
    """Return every stage in order; a profile that names no lost stage ends with `LOST`."""
    return profile.stages if profile.lost_stages else (*profile.stages, _LOST_STAGE)


def is_won(profile: Profile, stage: str) -> bool:
    """Whether a lead in this stage has become a customer."""
    return stage in (profile.won_stages or (_WON_STAGE,))


def is_lost(profile: Profile, stage: str) -> bool:
    """Whether a lead in this stage is given up."""
    return stage in (profile.lost_stages or (_LOST_STAGE,))


def lost_stage(profile: Profile) -> str:
    """Return the stage in which a lead is given up."""
    return next(name for name in stage_names(profile) if is_lost(profile, name))


def won_flags(profile: Profile) -> list[Field]:
    """Return the flags that say that a lead has become a customer, such as `enrolled`."""
    return [it for it in profile.fields if it.type == FLAG and is_won(profile, it.stage)]


def demand_stage(profile: Profile, stage: str) -> str:
    """Return `stage`; raise `Unprocessable` with the valid ones unless it is one of them."""
    names = stage_names(profile)
    if stage not in names:
        raise Unprocessable(f"stage: {profile.key} has no {stage!r}; valid are {', '.join(names)}")
    return stage


def reaching(
    profile: Profile, known: Collection[str] | Mapping[str, FieldValue]
) -> Collection[str]:
    """Return the names that count for the stage: a flag only when it says yes."""
    if not isinstance(known, Mapping):
        return known
    items = {item.key: item for item in profile.fields}
    return {
        name
        for name, row in known.items()
        if name in items and fields.is_known(items[name], row.value)
    }


def is_ahead(profile: Profile, reached: str, stage: str) -> bool:
    """Whether a stage is further than another, or the other is none of the profile's own."""
    order = profile.stages
    return stage not in order or order.index(reached) > order.index(stage)
