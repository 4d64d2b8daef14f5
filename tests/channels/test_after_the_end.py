"""What people write when all is said and done: thanks are no new enquiry."""

from ivr.db.tables import Conversation, Submission
from tests.channels.world import ANSWERS, world
from tests.leads.cast import rows, until


async def test_thanks_after_the_end_are_answered_briefly_and_submit_nothing(
    database_url: str,
) -> None:
    async with world(database_url) as w:
        john = w.texter()
        for text in ANSWERS:
            await w.reply_to(john, text)
        await w.submitted()
        said = [await w.reply_to(john, text) for text in ("thanks!", "who will call me?", "👍")]

        async def is_finished() -> bool:
            return all(it.status == "finished" for it in await rows(w.db, Conversation))

        await until(is_finished)
        submissions = await rows(w.db, Submission)
        books = await w.books()
    assert (said[0], said[2]) == ("You are welcome.", "You are welcome.")
    assert said[1].startswith("A colleague will answer that")
    assert (len(submissions), len(books.leads), len(books.succeeded)) == (1, 1, 1)
