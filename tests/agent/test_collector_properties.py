"""Whatever a caller says: it ends, it never raises, and a dump goes on exactly where it was."""

import json
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from ivr.agent.acts import Confirm, Deny, End, Save, Say
from ivr.agent.collector import Collector
from ivr.leads.fields import Accepted, check
from ivr.leads.profile import load_profile

TODAY = date(2026, 11, 20)
UNHURRIED = settings(deadline=None, max_examples=60)  # a busy machine is no failure
PROFILE = load_profile("powersports")
LINES = st.sampled_from(
    [
        "", "yes", "no", "John", "John Doe", "30093", "30000", "99501", "no, it's 30094", "what?",
        "770 555 0123", "seven seven zero", "2020", "a 2020 Yamaha MT-07", "Yamaka", "R one", "bye",
        "I don't know", "agent", "actually my zip is 30094", "are you a robot", "hmm",
    ]
)  # fmt: skip
heard = st.tuples(LINES | st.text(max_size=30), st.just(False)) | st.tuples(
    st.text("0123456789#*", max_size=12), st.just(True)
)
callers = st.sampled_from([None, "+17705550123", "+442079460958"])


@UNHURRIED
@given(st.lists(heard, max_size=25), callers)
def test_a_loaded_collector_goes_on_exactly_as_the_one_that_was_dumped(turns, caller):
    kept = Collector(PROFILE, today=TODAY, caller_number=caller)
    kept.open()
    for text, keyed in turns:
        state = json.loads(json.dumps(kept.dump()))
        loaded = Collector.load(PROFILE, state, today=TODAY)
        assert loaded.expects == kept.expects
        assert loaded.hear(text, keyed=keyed) == kept.hear(text, keyed=keyed)
        assert loaded.dump() == kept.dump()


@UNHURRIED
@given(st.lists(heard, min_size=1, max_size=25), callers)
def test_every_turn_is_answered_until_the_one_end(turns, caller):
    collector = Collector(PROFILE, today=TODAY, caller_number=caller)
    collector.open()
    ended = False
    for text, keyed in turns:
        acts = collector.hear(text, keyed=keyed)
        if ended:
            assert acts == []
            continue
        assert sum(isinstance(act, Say) and bool(act.text) for act in acts) == 1
        ended = any(isinstance(act, End) for act in acts)
        assert ended == (collector.expects.kind == "done")
        assert not ended or isinstance(acts[-1], End)


@UNHURRIED
@given(heard, callers)
def test_the_same_words_for_ever_come_to_an_end(turn, caller):
    collector = Collector(PROFILE, today=TODAY, caller_number=caller)
    collector.open()
    text, keyed = turn
    for _ in range(100):
        collector.hear(text, keyed=keyed)
    assert collector.expects.kind == "done"


@UNHURRIED
@given(st.lists(heard, max_size=25))
def test_only_good_values_are_saved_and_only_saved_ones_confirmed(turns):
    collector = Collector(PROFILE, today=TODAY)
    collector.open()
    values = {}
    for text, keyed in turns:
        for act in collector.hear(text, keyed=keyed):
            match act:
                case Save(name=name, value=value, insisted=insisted):
                    field = PROFILE.field(name)
                    verdict = check(field, value, today=TODAY, insisted=True)
                    assert isinstance(verdict, Accepted), (act, insisted)
                    assert verdict.value == value
                    values[name] = value
                case Confirm(name=name):
                    assert name in values
                case Deny(name=name):
                    del values[name]
    assert collector.dump()["values"] == values
