"""`ivr tasks`, and what `ivr explain` says of them."""

import json

from ivr.db.tables import utc_now
from ivr.leads.attention import tasks
from tests.cli.conftest import House, Terminal


async def promised(house: House, sid: str = "CA1") -> str:
    """Take a call whose caller is to be called back; return the beginning of the task's id."""
    conversation = await house.call(sid)
    async with house.db.write() as session:
        await tasks.ask_call_back(
            session, conversation, "the caller asked for a person", now=utc_now()
        )
    async with house.db.read() as session:
        (task,) = await tasks.of_tenant(session, house.tenant.id)
    return str(task.id)[:8]


async def test_the_list_says_whom_to_call_and_why(house: House, terminal: Terminal) -> None:
    task = await promised(house)
    answer = await terminal.run("tasks", "list")
    (line,) = answer.out.splitlines()[1:]
    for words in (task, "call back", "John Doe", "+1 770-555-0123", "asked for a person"):
        assert words in line


async def test_json_has_the_whole_ids(house: House, terminal: Terminal) -> None:
    task = await promised(house)
    (row,) = json.loads((await terminal.run("tasks", "list", "--json")).out)
    assert row["id"].startswith(task)
    assert (row["kind"], row["call"], row["done_at"]) == ("call_back", "CA1", None)
    assert (row["name"], row["phone"]) == ("John Doe", "+17705550123")


async def test_what_is_done_leaves_the_list_and_keeps_its_note(
    house: House, terminal: Terminal
) -> None:
    task = await promised(house)
    done = await terminal.run("tasks", "done", task, "--note", "he will come on Monday")
    assert (done.code, done.out) == (0, f"task {task} done\n")
    assert "nothing is to be done" in (await terminal.run("tasks", "list")).out
    assert "he will come on Monday" in (await terminal.run("tasks", "list", "--all")).out
    again = await terminal.run("tasks", "done", task)
    assert again.code == 1 and "was done before: he will come on Monday" in again.err


async def test_explain_names_what_is_to_be_done(house: House, terminal: Terminal) -> None:
    task = await promised(house)
    out = (await terminal.run("explain", "CA1")).out
    assert f"{task}  call back: the caller asked for a person; open" in out
    assert f"`ivr tasks done {task}`" in out
    await terminal.run("tasks", "done", task, "--note", "reached")
    out = (await terminal.run("explain", "CA1")).out
    assert "reached" in out and "ivr tasks done" not in out
    told = json.loads((await terminal.run("explain", "CA1", "--json")).out)
    assert [row["note"] for row in told["tasks"]] == ["reached"]
