"""A business's own rules: what they do to its leads (S2.24)."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import httpx
import pytest

from ivr import tenants
from ivr.db import Database
from ivr.db.tables import (
    Axis,
    Channel,
    Conversation,
    FailedLead,
    Lead,
    Lifecycle,
    QualificationRule,
    Source,
    Submission,
    SucceededLead,
    Tenant,
    Transition,
)
from ivr.leads import fields, intake, values
from ivr.leads.delivery.submissions import Submissions
from ivr.leads.fields import Accepted
from ivr.leads.profile import load_profile
from ivr.leads.progress import profile_stages, qualification_rules, stages
from ivr.leads.progress.lifecycle import Mover
from ivr.leads.progress.qualification import OUTCOMES
from ivr.leads.progress.qualification_rules import Draft
from tests.leads.cast import LEAD, NOW, TALK, call, finish, road_of, rows, save, settings_for
from tools.emulators.npa import NpaEmulator

HOMES = load_profile("real_estate")
COMPLETE = {
    "name": "Ahmed",
    "phone": "+966501234567",
    "service_interest": "buy",
    "property_type": "apartment",
    "location": "Dammam",
    "budget": "800000 SAR",
    "timeline": "next month",
}
RICH = {"field": "budget", "op": "at_least", "value": "500,000 SAR"}
POOR = {"field": "budget", "op": "at_most", "value": 100_000}


async def agency(db: Database, slug: str = tenants.DEFAULT) -> Tenant:
    """A business; under another slug, another one beside it."""
    if slug == tenants.DEFAULT:
        made = settings_for(db.url, profile="real_estate", timezone="Asia/Riyadh")
        return await tenants.ensure_default(db, made, now=NOW)
    async with db.write() as session:
        zone = "Asia/Riyadh"
        tenant = Tenant(slug=slug, name=slug, profile="real_estate", timezone=zone, created_at=NOW)
        session.add(tenant)
        return tenant


async def ruled(
    db: Database,
    tenant: Tenant,
    name: str,
    outcome: str,
    *conditions: Mapping[str, Any],
    **more: Any,
) -> QualificationRule:
    draft = Draft(name=name, outcome=outcome, conditions={"all": list(conditions)}, **more)
    async with db.write() as session:
        return await qualification_rules.add(session, tenant.id, HOMES, draft, now=NOW)


async def enquiry(db: Database, tenant: Tenant, key: str = "s") -> Conversation:
    asked = intake.Enquiry(Channel.CHAT, key, None, None, finish_after=NOW, now=NOW)
    return await intake.begin(db, tenant, HOMES, asked)


async def tell(db: Database, conversation: Conversation, **given: str) -> Lead:
    """Have the assistant save values, and move the lead."""
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        for name, raw in given.items():
            checked = fields.check(HOMES.field(name), raw, today=NOW.date(), insisted=True)
            assert isinstance(checked, Accepted)
            words = {"name": name, "value": checked.value, "raw": raw, "source": Source.TOOL}
            await values.add(session, conversation, **words, now=NOW)
        await session.flush()
        held = await values.current(session, lead.id)
        await stages.assess(session, lead, HOMES, held, met=True, now=NOW)
        return lead


async def moves(db: Database, lead: Lead, axis: Axis = Axis.LIFECYCLE) -> Sequence[Transition]:
    found = [row for row in await rows(db, Transition) if row.lead_id == lead.id]
    return sorted((row for row in found if row.axis == axis), key=lambda row: row.seq)


async def test_with_no_rule_all_required_fields_qualify(db: Database) -> None:
    conversation = await enquiry(db, await agency(db))
    lead = await tell(db, conversation, budget="800000 SAR")
    assert (lead.lifecycle, lead.status) == ("QUALIFYING", "contacted")
    lead = await tell(db, conversation, **COMPLETE)
    assert (lead.lifecycle, lead.status) == ("QUALIFIED", "qualified")


async def test_a_rule_qualifies_a_lead_and_says_so(db: Database) -> None:
    tenant = await agency(db)
    await ruled(db, tenant, "has the money", "QUALIFIED", RICH)
    lead = await tell(db, await enquiry(db, tenant), budget="800k")
    assert (lead.lifecycle, lead.status, lead.closed_at) == ("QUALIFIED", "qualified", None)
    last = (await moves(db, lead))[-1]
    assert (last.from_value, last.to_value) == ("QUALIFYING", "QUALIFIED")
    assert (last.actor, last.reason) == ("rules", "has the money")


async def test_a_rule_changes_the_outcome_for_its_own_tenant_only(db: Database) -> None:
    mine, other = await agency(db), await agency(db, "other")
    await ruled(db, mine, "too little", "DISQUALIFIED", POOR)
    lifecycles = [
        (await tell(db, await enquiry(db, tenant), **{**COMPLETE, "budget": "90000 SAR"})).lifecycle
        for tenant in (mine, other)
    ]
    assert lifecycles == ["DISQUALIFIED", "QUALIFIED"]


async def test_the_first_rule_that_fits_decides(db: Database) -> None:
    tenant = await agency(db)
    await ruled(db, tenant, "second", "DISQUALIFIED", RICH, position=2)
    first = await ruled(db, tenant, "first", "NURTURING", RICH, position=1)
    await ruled(db, tenant, "off", "QUALIFIED", RICH, position=1, is_active=False)
    assert (
        await tell(db, await enquiry(db, tenant, "a"), budget="1m SAR")
    ).lifecycle == "NURTURING"
    async with db.write() as session:
        found = await qualification_rules.find(session, tenant.id, first.id)
        await qualification_rules.change(session, found, HOMES, {"position": 3}, now=NOW)
    lead = await tell(db, await enquiry(db, tenant, "b"), budget="1m SAR")
    assert lead.lifecycle == "DISQUALIFIED"


async def test_a_rule_decides_even_where_all_required_fields_are_known(db: Database) -> None:
    tenant = await agency(db)
    await ruled(
        db, tenant, "later", "NURTURING", {"field": "timeline", "op": "contains", "value": "month"}
    )
    lead = await tell(db, await enquiry(db, tenant), **COMPLETE)
    assert (lead.lifecycle, lead.status, lead.closed_at) == ("NURTURING", "contacted", None)
    assert not profile_stages.is_lost(HOMES, lead.stage)
    lead = await tell(db, await enquiry(db, tenant), timeline="now")
    assert lead.lifecycle == "QUALIFIED", "no rule fits any more"


async def at_stage(db: Database, tenant: Tenant, stage: str, outcome: str) -> None:
    await ruled(db, tenant, "by stage", outcome, {"field": "stage", "op": "equals", "value": stage})


async def test_a_rule_on_the_stage_is_not_undone_by_the_stage_that_it_leads_to(
    db: Database,
) -> None:
    tenant = await agency(db)
    await at_stage(db, tenant, "NAME_COLLECTED", "DISQUALIFIED")
    conversation = await enquiry(db, tenant)
    seen = [(await tell(db, conversation, name=name)).lifecycle for name in ("Ali", "Ed", "Ahmed")]
    assert seen == ["DISQUALIFIED"] * 3
    lead = await tell(db, conversation, location="Dammam")
    assert (lead.lifecycle, lead.stage) == ("QUALIFYING", "LOCATION_KNOWN"), "beyond it by now"


async def test_a_rule_sees_the_stage_that_the_newest_value_leads_to(db: Database) -> None:
    tenant = await agency(db)
    await at_stage(db, tenant, "BUDGET_KNOWN", "QUALIFIED")
    lead = await tell(db, await enquiry(db, tenant), budget="800000 SAR")
    assert lead.lifecycle == "QUALIFIED"


async def test_a_rule_sees_the_stage_that_a_person_set(db: Database) -> None:
    tenant = await agency(db)
    await at_stage(db, tenant, "VIEWING_BOOKED", "QUALIFIED")
    conversation = await enquiry(db, tenant)
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        words = {"actor": "Sarah", "reason": "a viewing", "now": NOW}
        await stages.pin(session, lead, HOMES, "VIEWING_BOOKED", **words)
    assert (await tell(db, conversation, name="Ahmed")).lifecycle == "QUALIFIED"


async def test_another_currency_is_neither_more_nor_less(db: Database) -> None:
    tenant = await agency(db)
    await ruled(db, tenant, "too little", "DISQUALIFIED", POOR)
    await ruled(db, tenant, "has the money", "QUALIFIED", RICH)
    lead = await tell(db, await enquiry(db, tenant), budget="80000 USD")
    assert lead.lifecycle == "QUALIFYING"


async def test_who_does_not_fit_is_lost_with_the_reason_and_closed(db: Database) -> None:
    tenant = await agency(db)
    await ruled(db, tenant, "too little", "DISQUALIFIED", POOR, reason="below our cheapest home")
    conversation = await enquiry(db, tenant)
    lead = await tell(db, conversation, budget="90000 SAR")
    assert (lead.lifecycle, lead.status) == ("DISQUALIFIED", "closed_lost")
    assert (lead.stage, lead.stage_pin) == ("LOST", "LOST")
    assert lead.lost_reason == "below our cheapest home" and lead.closed_at is not None
    for axis in (Axis.LIFECYCLE, Axis.STAGE, Axis.STATUS):
        last = (await moves(db, lead, axis))[-1]
        assert (last.actor, last.reason) == ("rules", "too little")
    lead = await tell(db, conversation, timeline="next month")
    assert (lead.lifecycle, len(await moves(db, lead))) == ("DISQUALIFIED", 2)


async def test_a_corrected_value_takes_back_what_a_rule_said(db: Database) -> None:
    tenant = await agency(db)
    await ruled(db, tenant, "too little", "DISQUALIFIED", POOR)
    conversation = await enquiry(db, tenant)
    await tell(db, conversation, budget="8 thousand", name="Ahmed")
    lead = await tell(db, conversation, budget="800 thousand")
    assert (lead.lifecycle, lead.status) == ("QUALIFYING", "contacted")
    assert (lead.stage, lead.stage_pin, lead.lost_reason) == ("BUDGET_KNOWN", None, None)
    assert lead.closed_at is None
    assert (await moves(db, lead))[-1].reason == "no longer: too little"


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_what_staff_decided_is_not_undone_by_a_rule(db: Database, outcome: str) -> None:
    tenant = await agency(db)
    conversation = await enquiry(db, tenant)
    lead = await tell(db, conversation, name="Ahmed")
    words = {"actor": "Sarah", "reason": "she knows them", "now": NOW}
    async with db.write() as session:
        lead = await stages.lock(session, lead.id)
        to = Lifecycle.NURTURING if outcome == "QUALIFIED" else Lifecycle.QUALIFIED
        await stages.move(session, lead, Axis.LIFECYCLE, to, **words)
    await ruled(db, tenant, "has a budget", outcome, {"field": "budget", "op": "known"})
    lead = await tell(db, conversation, budget="90000 SAR")
    assert (lead.lifecycle, lead.stage) == (to, "BUDGET_KNOWN")


@pytest.mark.parametrize("by", ["staff", "the person"])
async def test_whom_staff_find_not_ready_no_value_makes_qualified(db: Database, by: str) -> None:
    conversation = await enquiry(db, await agency(db))
    lead = await tell(db, conversation, name="Ahmed")
    words = {"actor": "Sarah", "reason": "next year", "now": NOW}
    async with db.write() as session:
        lead = await stages.lock(session, lead.id)
        await stages.move(session, lead, Axis.LIFECYCLE, Lifecycle.NURTURING, **words)
    lead = await tell(db, conversation, **COMPLETE)
    assert (lead.lifecycle, lead.status) == ("NURTURING", "contacted")
    async with db.write() as session:
        lead = await stages.lock(session, lead.id)
        if by == "staff":
            await stages.move(session, lead, Axis.LIFECYCLE, Lifecycle.QUALIFYING, **words)
        else:
            await stages.inbound(session, lead, HOMES, now=NOW)
    lead = await tell(db, conversation, timeline="this month")
    assert lead.lifecycle == "QUALIFIED", "it is worked on again"


async def test_who_staff_found_not_to_fit_stays_so(db: Database) -> None:
    conversation = await enquiry(db, await agency(db))
    lead = await tell(db, conversation, name="Ahmed")
    words = {"actor": "Sarah", "reason": "a competitor", "now": NOW}
    async with db.write() as session:
        lead = await stages.lock(session, lead.id)
        assert await stages.disqualify(session, lead, HOMES, by=Mover.STAFF, **words)
        assert not await stages.disqualify(session, lead, HOMES, by=Mover.STAFF, **words)
    lead = await tell(db, conversation, **COMPLETE)
    assert (lead.lifecycle, lead.status) == ("DISQUALIFIED", "closed_lost")
    assert (lead.stage, lead.lost_reason) == ("LOST", "a competitor")


async def test_a_stage_that_staff_set_is_not_lost_by_a_rule(db: Database) -> None:
    tenant = await agency(db)
    await ruled(db, tenant, "too little", "DISQUALIFIED", POOR)
    conversation = await enquiry(db, tenant)
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        words = {"actor": "Sarah", "reason": "a viewing", "now": NOW}
        await stages.pin(session, lead, HOMES, "VIEWING_BOOKED", **words)
    lead = await tell(db, conversation, budget="90000 SAR")
    assert (lead.stage, lead.lifecycle) == ("VIEWING_BOOKED", "QUALIFYING")


async def test_nurturing_goes_on_when_they_write_again(db: Database) -> None:
    tenant = await agency(db)
    await ruled(db, tenant, "in no hurry", "NURTURING", {"field": "urgency", "op": "known"})
    conversation = await enquiry(db, tenant)
    lead = await tell(db, conversation, urgency="not urgent")
    assert (lead.lifecycle, lead.closed_at) == ("NURTURING", None)
    async with db.write() as session:
        lead = await stages.lock(session, lead.id)
        await stages.inbound(session, lead, HOMES, now=NOW + timedelta(hours=1))
    assert lead.lifecycle == "QUALIFYING"


async def test_the_end_of_a_call_is_judged_by_the_rules(db: Database, npa: NpaEmulator) -> None:
    conversation = await call(db, TALK)
    profile = load_profile("powersports")
    draft = Draft(
        name="too old",
        outcome="DISQUALIFIED",
        conditions={"all": [{"field": "vehicle_year", "op": "at_most", "value": 2020}]},
    )
    async with db.write() as session:
        tenant_id = conversation.tenant_id
        await qualification_rules.add(session, tenant_id, profile, draft, now=NOW)
    await save(db, conversation, LEAD)
    async with road_of(db, npa) as road:
        await finish(road, db, conversation)
    (lead,) = await rows(db, Lead)
    assert (lead.lifecycle, lead.lost_reason) == ("DISQUALIFIED", "too old")
    assert npa.leads == [] and await rows(db, SucceededLead) == []
    (held,) = await rows(db, FailedLead)
    assert "closed before, as LOST" in held.error_message, "a person may still send it"


async def test_who_a_rule_on_the_stage_finds_unfit_during_a_call_is_not_sent_at_its_end(
    db: Database, npa: NpaEmulator
) -> None:
    conversation, profile = await call(db, TALK[:8]), load_profile("powersports")
    condition = {"field": "stage", "op": "one_of", "value": ["VEHICLE_STARTED"]}
    draft = Draft(name="no cars", outcome="DISQUALIFIED", conditions={"all": [condition]})
    async with db.write() as session:
        await qualification_rules.add(session, conversation.tenant_id, profile, draft, now=NOW)
    await save(db, conversation, {name: LEAD[name] for name in ("phone", "vehicle_year")})
    for _ in range(2):  # two values come in
        async with db.write() as session:
            lead = await stages.lock(session, conversation.lead_id)
            held = await values.current(session, lead.id)
            await stages.assess(session, lead, profile, held, met=True, now=NOW)
    async with road_of(db, npa) as road:
        await finish(road, db, conversation)
    (lead,) = await rows(db, Lead)
    assert (lead.lifecycle, npa.leads) == ("DISQUALIFIED", [])


async def test_what_waits_to_be_sent_stays_when_its_lead_does_not_fit(
    db: Database, npa: NpaEmulator
) -> None:
    npa.faults.status = 429
    conversation = await call(db, TALK)
    await save(db, conversation, LEAD)
    async with road_of(db, npa) as road:
        await finish(road, db, conversation)
        (waiting,) = await rows(db, Submission)
        async with db.write() as session:
            lead = await stages.lock(session, conversation.lead_id)
            words = {"actor": "Sarah", "reason": "a dealer", "now": NOW}
            profile = load_profile("powersports")
            await stages.disqualify(session, lead, profile, by=Mover.STAFF, **words)
            row = await session.get_one(Submission, waiting.id)
            row.next_attempt_at = NOW
    npa.faults.status = None
    async with httpx.AsyncClient() as http:
        given = settings_for(db.url, npa.base_url)
        submissions = Submissions(db, http, given, load_profile)
        assert await submissions.attempt(waiting.id) is None
        (held,) = await rows(db, Submission)
        assert (held.state, await submissions.due()) == ("held", [])
        (failed,) = await rows(db, FailedLead)
        sent = await submissions.retry(conversation.tenant_id, failed.id, force=True)
    assert sent.state == "succeeded", "on an operator's word it goes"
    assert (await rows(db, Lead))[0].lifecycle == "DISQUALIFIED"
