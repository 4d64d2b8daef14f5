"""Whatever a contact writes, to any shipped profile, in any language: it is answered, it ends, a
dump goes on exactly where it was, and only good values are saved.
"""

import json
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from ivr.agent.acts import End, Save, Say
from ivr.agent.collector import Collector
from ivr.leads.fields import Accepted, check
from ivr.leads.profile import load_profile, shipped_profiles

TODAY = date(2026, 11, 21)
UNHURRIED = settings(deadline=None, max_examples=80)
PROFILES = [load_profile(key) for key in shipped_profiles()]
LINES = st.sampled_from(
    [
        "", "Hello", "yes", "no", "My name is Ahmed and I want to learn CTA", "Ahmed", "acca",
        "+92 300 1234567", "0501234567", "buy an apartment in Dammam, around 800,000 SAR", "why?",
        "between 500 and 600 thousand", "next month", "not interested", "talk to a human",
        "actually I want CMA", "I don't know", "مرحبا", "أنا أحمد", "اسمي سارة وأريد شقة في جدة",
        "٠٥٠١٢٣٤٥٦٧", "نعم", "لا", "لا أعرف", "هل أنت روبوت؟", "٨٠٠ ألف ريال", "مع السلامة", "🙂",
        "John Doe\nmy zip is 30093\n2020 Yamaha", "\u202eabc", "accaa", "30093",
    ]
)  # fmt: skip
written = LINES | st.text(max_size=40)
writers = st.sampled_from([None, "+17705550123", "+966501234567"])
profiles = st.sampled_from(PROFILES)


@UNHURRIED
@given(profiles, st.lists(written, min_size=1, max_size=20), writers)
def test_every_message_is_answered_until_the_one_end_with_good_values_only(profile, turns, number):
    collector = Collector(profile, today=TODAY, caller_number=number, medium="text")
    for text in turns:
        loaded = Collector.load(profile, json.loads(json.dumps(collector.dump())), today=TODAY)
        is_over = collector.dump()["mode"] == "done"
        acts = collector.hear(text)
        assert loaded.hear(text) == acts and loaded.dump() == collector.dump()
        if is_over:
            assert acts == []
            continue
        assert sum(isinstance(act, Say) and bool(act.text) for act in acts) == 1
        assert collector.language in profile.languages
        assert not any(isinstance(act, End) for act in acts[:-1])
        for act in acts:
            if isinstance(act, Save):
                verdict = check(profile.field(act.name), act.value, today=TODAY, insisted=True)
                assert isinstance(verdict, Accepted) and verdict.value == act.value


@UNHURRIED
@given(profiles, written)
def test_the_same_message_for_ever_comes_to_an_end(profile, text):
    collector = Collector(profile, today=TODAY, medium="text")
    for _ in range(100):
        collector.hear(text)
    assert collector.expects.kind == "done"
