"""A call about a course: another profile and another target, the same road."""

from ivr.leads.profile import load_profile
from tests.calls.world import whole_call, world
from tools.emulators.receiver import LeadReceiver
from tools.scenarios import Call, Expect, Scenario, Turn

SECRET = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
AHMED = {
    "name": "Ahmed",
    "phone": "+923001234567",
    "selected_course": "CTA",
    "education_level": "Bachelor of Commerce",
    "goal": "my own practice",
}


def saves(name: str, heard_as: str) -> Call:
    """The call that saves one answer."""
    return Call("save_field", {"name": name, "value": AHMED[name], "heard_as": heard_as})


CONFIRMED = Call("confirm_field", {"name": "phone", "confirmed": True})
BYE = Call("end_call", {"reason": "complete"})
SCENARIO = Scenario(
    name="courses",
    title="Ahmed wants to learn CTA",
    profile="courses",
    caller=AHMED["phone"],
    called="+18005551212",
    turns=(
        Turn("May I have your name?", "Ahmed"),
        Turn("Is this number the best one?", "Yes", (saves("name", "Ahmed"),)),
        Turn("Which course?", "Chartered tax adviser", (saves("phone", "Yes"), CONFIRMED)),
        Turn(
            "What is your education?",
            "Bachelor of Commerce",
            (saves("selected_course", "Chartered tax adviser"),),
        ),
        Turn(
            "And your goal?", "My own practice", (saves("education_level", "Bachelor of Commerce"),)
        ),
        Turn("Thank you. Goodbye!", "", (saves("goal", "My own practice"),), (BYE,)),
    ),
    expect=Expect(AHMED),
    extraction=AHMED,
)


async def test_a_call_about_a_course_reaches_the_training_centre(database_url: str) -> None:
    async with LeadReceiver(SECRET) as receiver:
        target = {"target_webhook_url": receiver.url, "target_webhook_secret": SECRET}
        async with world(database_url, scenario=SCENARIO, profile="courses", **target) as w:
            _, page = await whole_call(w)
            books, session = await w.books(), await w.openai.session()

    assert page.succeeded is not None and page.failed is None
    assert AHMED.items() <= page.succeeded.lead_data.items()
    assert [one.data for one in receiver.taken] == [AHMED]
    assert w.npa.requests == []
    (lead,), (submission,) = books.leads, books.submissions
    assert (lead.profile, lead.stage) == ("courses", "GOAL_COLLECTED")
    assert (submission.target, submission.state) == ("webhook", "succeeded")
    (update,) = session.received.of("session.update")
    assert " ".join(load_profile("courses").persona.split()) in update["session"]["instructions"]
