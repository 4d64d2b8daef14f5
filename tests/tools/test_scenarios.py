"""Scenario files: what ships can be read, and what is wrong is named with file, key and reason."""

import pytest

from tools.scenarios import ScenarioError, load, names, parse
from tools.scenarios.retold import told_by, told_to

HEAD = 'title = "t"\nprofile = "p"\ncaller = "+17705550123"\ncalled = "+18005551212"\n'
TURN = '[[turns]]\nassistant = "Hi"\n'


@pytest.mark.parametrize("name", names())
def test_every_shipped_scenario_can_be_read(name):
    scenario = load(name)

    assert scenario.name == name
    assert scenario.turns[-1].caller == ""


def test_john_doe_is_the_dialogue_of_the_owner():
    scenario = load("john_doe")

    assert scenario.turns[0].assistant.startswith("Thank you for calling Power Sport Buyers")
    assert [turn.caller for turn in scenario.turns[:2]] == ["John Doe", "30093"]
    assert set(scenario.expect.lead) == {
        *("full_name", "zip_code", "phone", "vehicle_year", "vehicle_make", "vehicle_model")
    }
    assert scenario.extraction == scenario.expect.lead


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ScenarioError, match="no scenario 'jane_doe'; there are: .*john_doe"):
        load("jane_doe")


def test_a_file_anywhere_can_be_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + TURN)

    assert load(path).name == "mine"


def test_an_extraction_of_its_own_is_kept_apart():
    scenario = parse(HEAD + TURN + '[extraction]\nzip_code = "99501"\n', source="x.toml")

    assert scenario.extraction == {"zip_code": "99501"}
    assert scenario.expect.lead == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("title = ", "x.toml: not TOML: "),
        (TURN, "x.toml: title: is missing"),
        (HEAD, "x.toml: turns: at least one"),
        (HEAD.replace('"p"', "3") + TURN, "x.toml: profile: must be text, not int"),
        (HEAD.replace("+1770", "0770") + TURN, "x.toml: caller: '07705550123' is not a number"),
        (HEAD + "clock = 3\n" + TURN, "x.toml: clock: is not known; known here: called, caller"),
        (HEAD + TURN + "says = 3\n", r"x.toml: turns\[0\].says: is not known"),
        (HEAD + TURN + 'caller = ""\n', r"x.toml: turns\[0\].caller: is empty"),
        (HEAD + TURN + 'caller = "yes"\n', r"turns\[0\].caller: nobody answers the last turn"),
        (HEAD + TURN + TURN, r"turns\[0\].caller: only the last turn has no answer"),
        (HEAD + "[[turns]]\n", r"turns\[0\]: the assistant neither speaks nor calls"),
        (HEAD + TURN + "calls = 3\n", r"turns\[0\].calls: must be an array"),
        (HEAD + TURN + "calls = [{}]\n", r"turns\[0\].calls\[0\].name: is missing"),
        (HEAD + TURN + "calls = [3]\n", r"turns\[0\].calls\[0\]: must be a table, not int"),
        (HEAD + TURN + "[expect.lead]\nyear = 2020\n", r"expect.lead.year: must be text"),
    ],
)
def test_what_is_wrong_is_named(text, complaint):
    with pytest.raises(ScenarioError, match=complaint):
        parse(text, source="x.toml")


def test_another_caller_says_and_is_read_back_their_own_number():
    told = told_by(load("john_doe"), "+16785559876")

    assert told.caller == told.expect.lead["phone"] == told.extraction["phone"] == "+16785559876"
    assert told.turns[2].caller == "678 555 9876"
    assert told.turns[3].calls[0].arguments["value"] == "6785559876"
    assert told.turns[3].assistant == "That is 6 7 8, 5 5 5, 9 8 7 6. Is that right?"
    assert told.turns[:2] == load("john_doe").turns[:2]


@pytest.mark.parametrize(
    ("prompt", "caller"),
    [("to be trusted: (+16785559876).", "+16785559876"), ("withheld", "+17705550123")],
)
def test_a_prompt_tells_which_caller_it_is(prompt, caller):
    assert told_to(load("john_doe"), prompt).caller == caller
