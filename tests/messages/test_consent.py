"""The consent ledger: the last word counts, per channel and for all of them."""

import asyncio
import hashlib
from datetime import timedelta

import pytest

from ivr.db import Database
from ivr.db.tables import (
    Channel,
    ConsentAction,
    ConsentEvent,
    MessageState,
    Purpose,
    Suppression,
    utc_now,
)
from ivr.messages import consent, suppressions
from ivr.runtime import open_state
from tests.leads.cast import rows, settings_for, until
from tests.messages.cast import JOHN, nothing_waits, outbox_of, outgoing, queued, texting

GRANTED, REVOKED = ConsentAction.GRANTED, ConsentAction.REVOKED


async def say(db, conversation, *events, address=JOHN):
    for channel, action in events:
        async with db.write() as session:
            await consent.record(
                session,
                conversation.tenant_id,
                address=address,
                channel=channel,
                action=action,
                source="keyword",
                evidence="STOP",
                now=utc_now(),
            )


async def revoked(db, conversation, channel=Channel.SMS, address=JOHN):
    async with db.read() as session:
        return await consent.is_revoked(session, conversation.tenant_id, address, channel)


@pytest.mark.parametrize(
    ("events", "sms", "whatsapp"),
    [
        ([], False, False),
        ([("sms", REVOKED)], True, False),
        ([("all", REVOKED)], True, True),
        ([("all", REVOKED), ("whatsapp", GRANTED)], True, False),
        ([("sms", REVOKED), ("all", GRANTED)], False, False),
        ([("sms", REVOKED), ("sms", GRANTED), ("sms", REVOKED)], True, False),
        ([("whatsapp", REVOKED), ("sms", GRANTED)], False, True),
    ],
)
async def test_the_last_word_on_a_channel_counts(db, john, events, sms, whatsapp):
    await say(db, john, *events)
    assert await revoked(db, john, Channel.SMS) is sms
    assert await revoked(db, john, Channel.WHATSAPP) is whatsapp


async def test_a_refusal_is_of_one_number_only_and_keeps_the_words(db, john):
    await say(db, john, ("all", REVOKED))
    assert not await revoked(db, john, address="+17705550199")
    (event,) = await rows(db, ConsentEvent)
    assert (event.source, event.evidence) == ("keyword", "STOP")


async def test_a_refusal_blocks_what_waits_and_what_comes_later(db, twilio, john):
    await queued(db, john, "before")
    await queued(db, john, "to staff", purpose=Purpose.STAFF, recipient="+17705550100")
    await say(db, john, ("sms", REVOKED))
    await queued(db, john, "after")
    await queued(db, john, "follow up", purpose=Purpose.FOLLOW_UP)
    await queued(db, john, "You will get no more messages.", purpose=Purpose.NOTICE)
    async with outbox_of(db, twilio) as outbox:
        while await outbox.send_due():
            pass

    assert [m["body"] for m in twilio.messages] == ["to staff", "You will get no more messages."]
    blocked = [m for m in await outgoing(db) if m.state == MessageState.BLOCKED]
    assert {m.body for m in blocked} == {"before", "after", "follow up"}
    assert {m.error for m in blocked} == {consent.REVOKED}


async def test_who_starts_again_is_written_to_again(db, twilio, john):
    await say(db, john, ("all", REVOKED), ("sms", GRANTED))
    await queued(db, john)
    async with outbox_of(db, twilio) as outbox:
        await outbox.send_due()
    assert len(twilio.messages) == 1


async def test_stopping_sms_does_not_stop_whatsapp(db, twilio):
    conversation = await texting(db, channel=Channel.WHATSAPP)
    await say(db, conversation, ("sms", REVOKED))
    await queued(db, conversation)
    async with outbox_of(db, twilio) as outbox:
        await outbox.send_due()
    assert [m["to"] for m in twilio.messages] == [f"whatsapp:{JOHN}"]


async def test_nothing_leaves_after_the_refusal_is_committed(db, twilio, john):
    """Invariant 12: every request was claimed before; what was not is blocked for ever."""
    conversations = [await texting(db, number=f"+1770555{n:04}") for n in range(8)]
    async with outbox_of(db, twilio) as outbox:
        running = asyncio.create_task(outbox.run())
        for number in range(4):
            for conversation in conversations:
                await queued(db, conversation, f"message {number}")
            outbox.poke()
        # Each at its own moment, while the outbox is at work.
        committed_at = {}
        for conversation in conversations:
            await say(db, conversation, ("sms", REVOKED), address=conversation.from_number)
            committed_at[conversation.id] = utc_now()
        for conversation in conversations:
            await queued(db, conversation, "too late")
        outbox.poke()
        await until(lambda: nothing_waits(db))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    found = await outgoing(db)
    sent = [m for m in found if m.provider_id]
    assert len(sent) == len(twilio.messages)
    assert all(m.state == MessageState.BLOCKED for m in found if not m.provider_id)
    assert "too late" not in {m["body"] for m in twilio.messages}
    for message in sent:  # the answer may come after it, the claim may not
        late = message.updated_at - committed_at[message.conversation_id]
        assert late < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("events", "sms", "whatsapp"),
    [
        ([], False, False),
        ([("sms", REVOKED)], True, False),
        ([("all", REVOKED)], True, True),
        ([("all", REVOKED), ("whatsapp", GRANTED)], True, False),
        ([("sms", GRANTED)], False, False),
    ],
)
async def test_of_a_forgotten_number_only_a_hash_says_that_it_had_refused(
    db, events, sms, whatsapp
):
    conversation = await texting(db)
    await say(db, conversation, *events)
    for _ in range(2):
        async with db.write() as session:
            await consent.forget(session, conversation.tenant_id, JOHN, now=utc_now())
        assert await rows(db, ConsentEvent) == []
        assert await revoked(db, conversation, "sms") is sms
        assert await revoked(db, conversation, "whatsapp") is whatsapp
    hashes = await rows(db, Suppression)
    assert len(hashes) == sms + whatsapp
    assert not any(JOHN[1:] in repr(row) for row in hashes)


async def test_who_was_forgotten_and_allows_it_again_is_written_to(db):
    conversation = await texting(db)
    await say(db, conversation, ("sms", REVOKED))
    async with db.write() as session:
        await consent.forget(session, conversation.tenant_id, JOHN, now=utc_now())
    await say(db, conversation, ("sms", GRANTED))
    assert not await revoked(db, conversation)
    async with db.write() as session:
        await consent.forget(session, conversation.tenant_id, JOHN, now=utc_now())
    assert not await revoked(db, conversation)
    assert await rows(db, Suppression) == []


def by_plain_hash(conversation, address=JOHN):
    """What releases before the key left of somebody who had said STOP."""
    plain = hashlib.sha256(f"{conversation.tenant_id}:{address}".encode()).hexdigest()
    return Suppression(
        tenant_id=conversation.tenant_id, sha256=plain, channel=Channel.SMS, at=utc_now()
    )


async def test_a_hash_says_nothing_to_who_tries_all_numbers(db):
    conversation = await texting(db)
    await say(db, conversation, ("sms", REVOKED))
    async with db.write() as session:
        await consent.forget(session, conversation.tenant_id, JOHN, now=utc_now())
    (kept,) = await rows(db, Suppression)
    assert by_plain_hash(conversation).sha256 not in kept.sha256
    others = Database(db.url, hash_key=lambda: b"another key, of another installation")
    try:
        assert not await revoked(others, conversation), "without our key nothing is found"
    finally:
        await others.close()


async def test_what_an_older_release_kept_still_holds_and_is_sealed_at_the_start(db):
    conversation = await texting(db)
    async with db.write() as session:
        session.add(by_plain_hash(conversation))
    assert await revoked(db, conversation), "also before it is sealed"
    for _ in range(2):
        await suppressions.seal_older(db)
        (kept,) = await rows(db, Suppression)
        assert by_plain_hash(conversation).sha256 not in kept.sha256
        assert await revoked(db, conversation)
        assert not await revoked(db, conversation, "whatsapp")
    async with db.write() as session:  # by a process of the older release that still runs
        session.add(by_plain_hash(conversation))
    await suppressions.seal_older(db)
    assert len(await rows(db, Suppression)) == 1 and await revoked(db, conversation)


async def test_the_first_start_after_an_update_seals_what_is_there(db):
    conversation = await texting(db)
    async with db.write() as session:
        session.add(by_plain_hash(conversation))
    settings = settings_for(db.url, secret_key="a-secret-key-of-more-than-32-characters")
    async with open_state(settings, voice=None):
        (kept,) = await rows(db, Suppression)
    assert kept.sha256.startswith("hmac:")
