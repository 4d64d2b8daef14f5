"""Nobody is shown what another person said by typing that person's number or e-mail."""

from tests.channels.world import ANSWERS, world

SECRETS = ("30093", "Yamaha", "2020")


async def test_who_types_anothers_number_into_a_chat_learns_nothing(database_url: str) -> None:
    async with world(database_url) as w:
        john = w.texter()
        for words in ANSWERS[:6]:
            await w.reply_to(john, words)
        first = await w.chat("Hi, I want to sell my bike", session_id="stranger")
        said = [first]
        for words in ("John Doe", "90210", "770 555 0123", "What do you know of me?", "Hello"):
            said.append(await w.chat(words, session_id="stranger"))
        books = await w.books()

    owners = {it.lead_id for it in books.conversations}
    assert len(owners) == 1, "it is one lead all the same"
    for answer in said:
        assert not any(secret in str(answer) for secret in SECRETS)
    assert said[-1]["lead_data"]["zip_code"] == "90210"
    assert said[-1]["lead_data"]["vehicle_make"] is None


async def test_who_comes_back_to_their_own_chat_is_known(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        for words in ("Hi", "John Doe", "30093"):
            await w.chat(words, session_id="mine")
        again = await w.chat("Hello", session_id="mine")
    assert again["lead_data"]["zip_code"] == "30093"
