"""Real sound through ears and collector: the demo's clips, and twenty invented callers.

No telephone and no socket here: what is heard is what counts. Slow for a unit test (about a second
per caller), because it is speech recognition.
"""

import re
from collections.abc import Callable
from datetime import date

import pytest

from ivr.agent.acts import Confirm, Deny, End, Save, Say
from ivr.agent.collector import Collector
from ivr.leads.profile import load_profile
from ivr.offline.grammar import grammar
from tools.demo_audio import load_script
from tools.demo_audio.render import Invented, has_flite, invent, render

pytest.importorskip("pocketsphinx")
ears = pytest.importorskip("ivr.offline.ears")

TODAY = date(2026, 11, 20)
POWERSPORTS = load_profile("powersports")
MOST_TURNS = 20

FIRST = (
    "James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth Richard Susan".split()
)
LAST = (
    "Smith Johnson Williams Brown Jones Miller Davis Wilson Anderson Taylor Jackson Harris".split()
)
ZIPS = ("30093", "10001", "60614", "94103", "75204", "33139", "80202", "98101", "48226", "02139")
VEHICLES = (
    ("Yamaha", "Yamaha", "MT-07", "M T oh seven"),
    ("Yamaha", "Yamaha", "Raptor 700", "Raptor seven hundred"),
    ("Yamaha", "Yamaha", "Grizzly 700", "Grizzly seven hundred"),
    ("Honda", "Honda", "Gold Wing", "gold wing"),
    ("Honda", "Honda", "Rebel 500", "Rebel five hundred"),
    ("Honda", "Honda", "Africa Twin", "Africa twin"),
    ("Kawasaki", "Kawasaki", "Ninja 400", "Ninja four hundred"),
    ("Kawasaki", "Kawasaki", "Brute Force 750", "brute force seven fifty"),
    ("Suzuki", "Suzuki", "Boulevard C50", "boulevard C fifty"),
    ("Polaris", "Polaris", "Sportsman 570", "sportsman five seventy"),
    ("Polaris", "Polaris", "Ranger 1000", "ranger one thousand"),
    ("Harley-Davidson", "Harley Davidson", "Road King", "road king"),
    ("Harley-Davidson", "Harley Davidson", "Street Glide", "street glide"),
    ("Triumph", "Triumph", "Tiger 900", "tiger nine hundred"),
    ("Indian", "Indian", "Scout Bobber", "scout bobber"),
)


def conversation(caller: str, answer: Callable[[str], bytes]) -> dict[str, str]:
    """Let a caller and the offline voice talk; returns the values that stand at the end."""
    collector = Collector(POWERSPORTS, today=TODAY, caller_number=caller)
    values: dict[str, str] = {}
    acts = collector.open()
    for _ in range(MOST_TURNS):
        said = ""
        for act in acts:
            match act:
                case Save(name=name, value=value):
                    values[name] = value
                case Deny(name=name):
                    values.pop(name)
                case Say(text=text):
                    said = text
                case Confirm():
                    pass
                case End():
                    return values
        acts = collector.hear(ears.hear(answer(said), grammar(collector.expects)).text)
    raise AssertionError(f"the conversation did not end; last said: {said}")


def invented(seed: int) -> Invented:
    return invent(seed, first=FIRST, last=LAST, vehicles=VEHICLES, zips=ZIPS)


def test_the_demo_caller_gets_through_with_the_committed_clips() -> None:
    script = load_script("demo")

    def answer(said: str) -> bytes:
        found = [(m.end(), a) for a in script.answers for m in a.when.finditer(said)]
        return max(found, key=lambda entry: entry[0])[1].ulaw

    assert conversation(script.caller, answer) == script.expected


@pytest.mark.skipif(not has_flite(), reason="flite is not installed: nobody can speak for them")
@pytest.mark.parametrize("seed", range(20))
def test_an_invented_caller_gets_through_with_every_field_right(seed: int) -> None:
    caller = invented(seed)

    def answer(said: str) -> bytes:
        found = [
            (m.end(), words) for when, words in caller.says for m in re.finditer(when, said, re.I)
        ]
        return render(max(found)[1])

    assert conversation(caller.caller, answer) == caller.lead
