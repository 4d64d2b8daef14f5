"""Claude where its key is set: the small model answers what is plain, the large one the rest."""

from typing import Any

import pytest

from ivr.agent import text_router
from ivr.db.tables import UsageLog
from tests.channels.world import World, world
from tests.leads.cast import rows, until
from tools.emulators.anthropic import AnthropicEmulator, Says

NOWHERE = "http://127.0.0.1:1/v1"
SMALL, LARGE = "claude-haiku-5-5", "claude-sonnet-5-5"
HARD = "I have a 2020 Yamaha, but it was in an accident last year. Would you still buy it from me?"


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no reason to take the large model."""
    monkeypatch.setattr(text_router, "SECONDS", 30.0)


def account(claude: AnthropicEmulator) -> dict[str, Any]:
    return {
        "anthropic_api_key": claude.api_key,
        "anthropic_base_url": claude.base_url,
        "text_model_seconds": 30.0,
    }


async def took(w: World) -> set[tuple[str, str, str]]:
    """Which models were written down as used, for what."""
    found = await rows(w.db, UsageLog)
    return {(row.purpose, row.provider, row.model) for row in found if row.kind == "text"}


@pytest.mark.parametrize("openai", [{}, {"openai_api_key": "sk-test", "openai_base_url": NOWHERE}])
async def test_claude_is_asked_first_and_each_message_by_its_kind(
    database_url: str, openai: dict[str, str]
) -> None:
    async with AnthropicEmulator() as claude:
        claude.steps = [
            Says(calls=(("save_field", {"name": "full_name", "value": "John Doe"}),)),
            Says("Thanks, John. What do you sell?"),
        ]
        async with world(database_url, **account(claude), **openai) as w:
            await w.chat("John Doe", session_id="s")
            assert claude.models() == [SMALL, SMALL], "plain words need no sorting"
            claude.steps = [Says("We do buy repaired ones. What is your ZIP code?")]
            said = await w.chat(HARD, session_id="s")
            await until(lambda: not claude.steps)
            used = await took(w)
        assert claude.models()[2:] == [SMALL, LARGE], "sorted by the small one"
    assert "repaired" in said["response"]
    assert {("reply", "anthropic", SMALL), ("reply", "anthropic", LARGE)} <= used
    assert ("route", "anthropic", SMALL) in used
    assert {provider for _, provider, _ in used} == {"anthropic"}


async def test_what_the_small_one_finds_simple_the_large_one_never_sees(sqlite_url: str) -> None:
    async with AnthropicEmulator() as claude:
        claude.route, claude.steps = "simple", [Says("Thank you! What is your ZIP code?")]
        async with world(sqlite_url, **account(claude)) as w:
            await w.chat("Well, it has stood in my garage for some years now", session_id="s")
        assert set(claude.models()) == {SMALL}


async def test_claude_reads_the_lead_out_of_a_conversation(sqlite_url: str) -> None:
    async with AnthropicEmulator() as claude:
        claude.steps = [
            Says("Thank you. Goodbye!", calls=(("end_call", {"reason": "caller_goodbye"}),)),
            Says("Thank you. Goodbye!"),
        ]
        async with world(sqlite_url, **account(claude)) as w:
            await w.chat("no, bye", session_id="s")
            await until(lambda: len(claude.requests) > 2)

            async def is_noted() -> bool:
                return any(purpose == "extract" for purpose, _, _ in await took(w))

            await until(is_noted)
        claude.steps.clear()
    documents = [it for it in claude.requests if "output_config" in it]
    assert documents and {it["model"] for it in documents} == {SMALL}


async def test_with_no_key_the_rules_answer(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        said = await w.chat("Hi, I want to sell my bike")
        assert await took(w) == set()
    assert "name" in said["response"]
