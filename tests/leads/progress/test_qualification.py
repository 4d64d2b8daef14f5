"""A business's own rules: what holds, and which one decides (S2.24)."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr.db.tables import Channel, QualificationRule
from ivr.leads.profile import load_profile
from ivr.leads.progress.qualification import OUTCOMES, Condition, Facts, Op, Rule, evaluate, read

HOMES = load_profile("real_estate")
FACTS = Facts(
    HOMES,
    {
        "service_interest": "buy",
        "budget": "500000-600000 SAR",
        "timeline": "Next month",
        "urgency": "soon",
    },
    channel="sms",
    score=71,
    stage="BUDGET_KNOWN",
)


def fits(*conditions: tuple[Any, ...], is_any: bool = False, facts: Facts = FACTS) -> bool:
    rule = Rule("r", tuple(Condition(*one) for one in conditions), "QUALIFIED", is_any=is_any)
    return evaluate([rule], facts) is rule


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (("service_interest", "equals", "buy"), True),
        (("service_interest", "equals", "BUY"), True),
        (("service_interest", "equals", "rent"), False),
        (("service_interest", "one_of", ["rent", "buy"]), True),
        (("service_interest", "one_of", ["rent"]), False),
        (("service_interest", "one_of", "buy"), False),
        (("budget", "at_least", "600000 SAR"), True),
        (("budget", "at_least", "600001 SAR"), False),
        (("budget", "at_most", "600000 SAR"), True),
        (("budget", "at_most", "599999 SAR"), False),
        (("budget", "at_least", 500_000), True),
        (("budget", "at_least", "1 USD"), False),
        (("budget", "at_most", "9000000 USD"), False),
        (("budget", "equals", "500000-600000 SAR"), True),
        (("budget", "equals", "600000 SAR"), False),
        (("score", "at_least", 70), True),
        (("score", "at_most", 70), False),
        (("score", "equals", 71), True),
        (("channel", "equals", "sms"), True),
        (("channel", "one_of", ["voice", "chat"]), False),
        (("stage", "equals", "BUDGET_KNOWN"), True),
        (("timeline", "contains", "MONTH"), True),
        (("timeline", "contains", "year"), False),
        (("timeline", "known"), True),
        (("email", "known"), False),
        (("email", "unknown"), True),
        (("urgency", "unknown"), False),
        (("location", "equals", "Dammam"), False),
        (("nothing", "unknown"), False),
        (("urgency", "is like", "soon"), False),
        (("urgency", "at_least", "soon"), False),
    ],
)
def test_a_condition_holds_for_what_is_known(condition: tuple[Any, ...], holds: bool) -> None:
    assert fits(condition) is holds


def test_all_wants_each_condition_and_any_one_of_them() -> None:
    right, wrong = ("urgency", "equals", "soon"), ("urgency", "equals", "urgent")
    assert fits(right, right) and not fits(right, wrong)
    assert fits(wrong, right, is_any=True) and not fits(wrong, is_any=True)
    assert not fits(), "a rule without conditions decides nothing"


def test_a_flag_that_is_false_is_not_known() -> None:
    facts = Facts(load_profile("courses"), {"enrolled": "false"})
    assert fits(("enrolled", "unknown"), facts=facts)
    assert not fits(("enrolled", "equals", "false"), facts=facts)


NAMES = [*(item.key for item in HOMES.fields), "channel", "score", "stage", "x"]
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(["800000 SAR", "5-6 USD", "NaN", "1e999999", "٨٠٠ ألف", "buy", "2" * 60]),
)
CONDITIONS = st.fixed_dictionaries(
    {"field": st.sampled_from(NAMES) | PLAIN, "op": st.sampled_from([*Op, "x"]) | PLAIN},
    optional={"value": PLAIN | st.lists(PLAIN, max_size=3)},
)
WRITTEN = st.dictionaries(
    st.sampled_from(["all", "any", "x"]), st.lists(CONDITIONS | PLAIN, max_size=3) | PLAIN
)
ROWS = st.builds(
    lambda conditions, outcome: QualificationRule(
        name="r", reason="", outcome=outcome, conditions=conditions
    ),
    WRITTEN,
    st.sampled_from(OUTCOMES),
)
KNOWN = st.builds(
    Facts,
    st.just(HOMES),
    st.dictionaries(st.sampled_from(NAMES), st.text(max_size=30) | st.just("800000 SAR")),
    channel=st.none() | st.sampled_from(Channel),
    score=st.none() | st.integers(0, 100),
    stage=st.none() | st.sampled_from(HOMES.stages),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(ROWS, max_size=5), KNOWN)
def test_any_rules_give_the_first_that_fits_and_never_an_error(
    written: list[QualificationRule], facts: Facts
) -> None:
    rules = [read(row) for row in written]
    found = evaluate(rules, facts)
    fitting = [rule for rule in rules if evaluate([rule], facts) is not None]
    assert found == (fitting[0] if fitting else None)
