"""Written talks: what ships can be read, and what is wrong is named with file, key and reason."""

import pytest

from tools.scenarios import Call, ScenarioError
from tools.scenarios.written import load, names, parse

HEAD = 'title = "t"\nprofile = "p"\ndoor = "sms"\nphone = "+17705550123"\n'
TURN = '[[turns]]\nsays = "Hi"\n'


@pytest.mark.parametrize("name", names())
def test_every_shipped_talk_can_be_read(name: str) -> None:
    talk = load(name)
    assert talk.name == name and talk.turns and talk.expect.lead


def test_no_two_talks_share_a_phone() -> None:
    """They are had at one server, where a phone is a person."""
    phones = [load(name).phone for name in names()]
    assert len(set(phones)) == len(phones)


def test_a_turn_takes_the_talks_door_and_what_it_saves_are_calls() -> None:
    turn = 'saves = { zip_code = "30093" }\nassistant = "Thanks"\n'
    chat = '[[turns]]\ndoor = "chat"\nsays = "Me again"\n'
    first, second = parse(HEAD + TURN + turn + chat, source="x.toml").turns

    saved = {"name": "zip_code", "value": "30093", "heard_as": "30093"}
    assert (first.door, first.calls) == ("sms", (Call("save_field", saved),))
    assert (second.door, second.calls, second.answer) == ("chat", (), "reply")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ScenarioError, match="no talk 'jane_doe'; there are: .*sms_john_doe"):
        load("jane_doe")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("title = ", "x.toml: not TOML: "),
        (HEAD, "x.toml: turns: at least one"),
        (HEAD.replace("sms", "fax") + TURN, "x.toml: door: 'fax' is none of: sms, whatsapp"),
        (HEAD + TURN + 'answer = "later"\n', r"turns\[0\].answer: 'later' is none of: reply"),
        (HEAD + TURN + "says_2 = 3\n", r"x.toml: turns\[0\].says_2: is not known"),
        (HEAD + TURN + "media = [3]\n", r"turns\[0\].media: must be an array of texts"),
        (HEAD + TURN + "contains = 3\n", r"turns\[0\].contains: must be an array"),
        (HEAD + TURN + "[expect]\nleads = 1\n", "x.toml: expect.leads: is not known"),
        (HEAD + TURN + "[expect.lead]\nyear = 2020\n", "expect.lead.year: must be text"),
    ],
)
def test_what_is_wrong_is_named(text: str, complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        parse(text, source="x.toml")
