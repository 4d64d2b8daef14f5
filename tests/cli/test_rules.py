"""`ivr rules`: which leads are qualified, nurtured, or do not fit."""

import json

from tests.cli.conftest import House, Terminal

OLD = ("vehicle_year at_most 2010",)


async def test_a_rule_is_added_listed_and_removed(house: House, terminal: Terminal) -> None:
    assert "no rules" in (await terminal.run("rules", "list")).out
    made = await terminal.run("rules", "add", "too old", "DISQUALIFIED", "--when", *OLD)
    assert made.code == 0 and made.out.endswith("added at position 1\n")
    more = ("--when", "vehicle_make one_of Yamaha, Honda", "--when", "score at_least 70", "--any")
    await terminal.run("rules", "add", "good", "QUALIFIED", *more, "--position", "7")
    first, second = (await terminal.run("rules", "list")).out.splitlines()[1:]
    assert "too old" in first and "vehicle_year at_most 2010" in first and "DISQUALIFIED" in first
    assert "vehicle_make one_of Yamaha, Honda or score at_least 70" in second
    found = json.loads((await terminal.run("rules", "list", "--json")).out)
    assert [(row["name"], row["position"]) for row in found] == [("too old", 1), ("good", 7)]
    assert found[1]["conditions"]["any"][1] == {"field": "score", "op": "at_least", "value": 70}
    gone = await terminal.run("rules", "remove", found[0]["id"][:8])
    assert (gone.code, gone.out) == (0, f"rule {found[0]['id'][:8]} removed\n")
    assert "too old" not in (await terminal.run("rules", "list")).out


async def test_what_cannot_be_is_refused_in_words(house: House, terminal: Terminal) -> None:
    async def said(outcome: str, when: str) -> str:
        answer = await terminal.run("rules", "add", "r", outcome, "--when", when)
        assert answer.code == 1
        return answer.err

    assert "has no 'color'; it has full_name, " in await said("QUALIFIED", "color equals red")
    assert "outcome: 'GOOD' is none; it is one of QUALIFIED" in await said("GOOD", *OLD)
    assert "OP one of equals, one_of" in await said("QUALIFIED", "color")
    assert "'like' is none" in await said("QUALIFIED", "full_name like John")
    assert "no rule ffff" in (await terminal.run("rules", "remove", "ffff")).err
