"""`ivr review`: the questions that only a person can answer, and what the answers do."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.db.tables import (
    Channel,
    ConsentAction,
    Conversation,
    Lead,
    ReviewItem,
    ReviewKind,
    Submission,
    Transition,
    utc_now,
)
from ivr.errors import Undone
from ivr.leads.attention import opt_out_review
from ivr.leads.extraction import Extraction
from ivr.leads.intake import Enquiry, begin
from ivr.messages import consent
from tests.cli.conftest import CALLER, JOHN, House, Terminal
from tests.leads.cast import rows, until
from tests.leads.people.test_lock_order import somebody_waits

WITHOUT_MODEL = {name: value for name, value in JOHN.items() if name != "vehicle_model"}


async def test_a_disputed_field_is_decided_by_a_person(house: House, terminal: Terminal) -> None:
    dispute = Extraction(by="model", disputed={"vehicle_model": ["MT-07", "MT-09"]})
    house.npa.faults.status = 503
    await house.send(await house.conclude(await house.call("CA1", known=WITHOUT_MODEL), dispute))
    (item,) = json.loads((await terminal.run("review", "list", "--json")).out)
    assert "vehicle_model: MT-07 or MT-09?" in (await terminal.run("review", "list")).out
    answer = await terminal.run("review", "decide", str(item["id"]), "vehicle_model=MT-07")
    assert answer.code == 0, answer.err
    (lead,) = json.loads((await terminal.run("leads", "list", "--json")).out)
    assert lead["missing"] == []
    assert (await terminal.run("review", "list")).out == "nothing waits for a person\n"


async def without_phone(house: House) -> str:
    """Take a call whose lead is held for its phone number; return the question about its year."""
    known = {name: JOHN[name] for name in ("full_name", "zip_code")}
    dispute = Extraction(by="model", disputed={"vehicle_year": ["2015", "2050"]})
    await house.conclude(await house.call("CA1", known=known, caller=None), dispute)
    (item,) = await rows(house.db, ReviewItem)
    return str(item.id)


async def test_a_decision_moves_the_lead_as_any_other_value(
    house: House, terminal: Terminal
) -> None:
    number = await without_phone(house)
    given = ("vehicle_year=2021", "vehicle_make=Yamaha", "vehicle_model=MT-07")
    answer = await terminal.run("review", "decide", number, "phone=+17705550123", *given)
    assert "the lead goes out" in answer.out, answer.err
    (lead,) = await rows(house.db, Lead)
    assert (lead.stage, lead.lifecycle) == ("QUALIFIED", "QUALIFIED")
    (last,) = [it for it in await rows(house.db, Transition) if it.to_value == lead.lifecycle][-1:]
    assert last.actor == "operator"


async def test_a_decision_is_judged_by_the_rules_before_the_lead_goes_out(
    house: House, terminal: Terminal
) -> None:
    number = await without_phone(house)
    rule = ("too old", "DISQUALIFIED", "--when", "vehicle_year at_most 2020")
    assert (await terminal.run("rules", "add", *rule)).code == 0
    given = ("phone=+17705550123", "vehicle_year=2015")
    answer = await terminal.run("review", "decide", number, *given)
    assert answer.out == f"review item {number} decided\n", answer.err
    (lead,) = await rows(house.db, Lead)
    (held,) = await rows(house.db, Submission)
    assert (lead.lifecycle, lead.lost_reason) == ("DISQUALIFIED", "too old")
    assert (held.state, held.lead_data["vehicle_year"]) == ("held", "2015")


async def test_a_decision_needs_fields_and_values(house: House, terminal: Terminal) -> None:
    answer = await terminal.run("review", "decide", "1", "MT-07")
    assert answer.err == "MT-07: expected FIELD=VALUE, like vehicle_year=2020\n"
    answer = await terminal.run("review", "decide", "9", "vehicle_year=2020")
    assert answer.err == "review item 9 not found\n"


async def test_who_is_who_is_a_question_that_an_operator_answers(
    house: House, terminal: Terminal
) -> None:
    now = utc_now()
    for number, name in enumerate(("Ahmed Ali", "أحمد علي")):
        form = Enquiry(Channel.WEB_FORM, f"form-{number}", CALLER, None, now, now, name=name)
        await begin(house.db, house.tenant, house.profile, form)
    listed = (await terminal.run("review", "list")).out
    assert "one person, or two who share a phone? أحمد علي and Ahmed Ali" in listed
    (item,) = json.loads((await terminal.run("review", "list", "--json")).out)
    same = await terminal.run("review", "same", str(item["id"]))
    assert same.out == f"review item {item['id']} decided: one person\n"
    again = await terminal.run("review", "different", str(item["id"]))
    assert "was decided before: one person" in again.err
    decided = await terminal.run("review", "decide", str(item["id"]), "full_name=Ahmed Ali")
    assert "was decided before" in decided.err


async def test_a_merge_is_listed_and_undone_by_its_id(house: House, terminal: Terminal) -> None:
    now = utc_now()
    assert "nobody was found" in (await terminal.run("review", "merges")).out
    await house.call("CA1")
    form = Enquiry(Channel.WEB_FORM, "form", CALLER, None, now, now, name="John Doe")
    await begin(house.db, house.tenant, house.profile, form)
    (merge,) = json.loads((await terminal.run("review", "merges", "--json")).out)
    short = merge["id"][:8]
    listed = (await terminal.run("review", "merges")).out
    assert short in listed
    assert "the same phone" in listed
    undone = await terminal.run("review", "split", short)
    assert undone.out == f"merge {short} undone: two people\n", undone.err
    again = await terminal.run("review", "split", short)
    assert again.err == f"no merge {short} that could be undone\n"
    async with house.db.read() as session:
        assert len(set((await session.exec(select(Conversation.lead_id))).all())) == 2


@pytest.mark.parametrize("answer", ["yes", "no"])
async def test_doubtful_words_about_messages_are_decided_by_a_person(
    house: House, terminal: Terminal, answer: str
) -> None:
    number = await _doubt(house, "please no more of these")
    listed = (await terminal.run("review", "list")).out
    assert 'do they refuse messages? "please no more of these"' in listed
    wrong = await terminal.run("review", "decide", number, "full_name=John Doe")
    assert wrong.err == f"review item {number} is about whether we may write: answer yes or no\n"
    decided = await terminal.run("review", answer, number)
    assert decided.code == 0, decided.err
    async with house.db.read() as session:
        refused = await consent.is_revoked(session, house.tenant.id, CALLER, Channel.SMS)
    assert refused is (answer == "yes")
    again = await terminal.run("review", "no", number)
    assert "was decided before" in again.err
    assert (await terminal.run("review", "list")).out == "nothing waits for a person\n"


async def test_what_was_allowed_after_doubtful_words_stays_allowed(
    house: House, terminal: Terminal
) -> None:
    number = await _doubt(house, "please no more of these")
    async with house.db.write() as session:
        await _say(house, session, ConsentAction.GRANTED)
    decided = await terminal.run("review", "yes", number)
    assert decided.out == f"review item {number} decided: {opt_out_review.ALLOWED_SINCE}\n"
    async with house.db.read() as session:
        assert not await consent.is_revoked(session, house.tenant.id, CALLER, Channel.SMS)


async def _say(house: House, session: AsyncSession, action: ConsentAction) -> None:
    """Write down what the caller has said about messages by a word of its own."""
    await consent.record(
        session,
        house.tenant.id,
        address=CALLER,
        channel=Channel.SMS,
        action=action,
        source="keyword",
        evidence="a keyword",
        now=utc_now(),
    )


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_person_s_word_while_a_stop_comes_in(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each wants the conversation and the ledger of consent, and takes them in the same order."""
    number, db = int(await _doubt(house, "please no more of these")), house.db
    (conversation,) = await rows(db, Conversation)

    async def stop() -> None:
        async with db.write() as session:
            await conversations.lock(session, conversation.id)
            await _say(house, session, ConsentAction.REVOKED)

    record, stopping = consent.record, list[asyncio.Task[None]]()

    async def pausing(*given: Any, **more: Any) -> None:
        await record(*given, **more)
        if not stopping:
            stopping.append(asyncio.create_task(stop()))
            await until(lambda: somebody_waits(db))

    monkeypatch.setattr(consent, "record", pausing)
    async with db.write() as session:
        now = utc_now()
        await opt_out_review.decide(session, house.tenant, number, is_refusal=True, now=now)
    await stopping[0]
    (item,) = await rows(db, ReviewItem)
    assert item.resolution == opt_out_review.REFUSED


async def test_an_answer_that_others_are_in_the_way_of_is_given_again(
    house: House, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, decide, tried = await _doubt(house, "no more"), opt_out_review.decide, []

    async def undone_once(*given: Any, **more: Any) -> str:
        tried.append(1)
        if len(tried) == 1:
            raise Undone("others were at the same rows")
        return await decide(*given, **more)

    monkeypatch.setattr(opt_out_review, "decide", undone_once)
    answer = await terminal.run("review", "yes", number)
    assert (answer.code, len(tried)) == (0, 2), answer.err


async def _doubt(house: House, words: str) -> str:
    """Have somebody write words that may be a refusal; return the number of the question."""
    now = utc_now() - timedelta(minutes=1)
    enquiry = Enquiry(Channel.SMS, CALLER, CALLER, None, now, now)
    conversation = await begin(house.db, house.tenant, house.profile, enquiry)
    async with house.db.write() as session:
        item = ReviewItem(
            tenant_id=house.tenant.id,
            kind=ReviewKind.OPT_OUT,
            lead_id=conversation.lead_id,
            conversation_id=conversation.id,
            detail={"words": words},
            created_at=now,
        )
        session.add(item)
        await session.flush()
        return str(item.id)
