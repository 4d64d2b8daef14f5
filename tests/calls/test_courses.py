"""A call about a course: another profile and another target, the same road."""

from ivr.leads.profile import load_profile
from tests.calls.world import whole_call, world
from tools.emulators.receiver import LeadReceiver
from tools.scenarios import parse

SECRET = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
SCENARIO = """
title = "Ahmed wants to learn CTA"
profile = "courses"
caller = "+923001234567"
called = "+18005551212"

[[turns]]
assistant = "May I have your name?"
caller = "Ahmed"

[[turns]]
calls = [{ name = "save_field", arguments = { name = "name", value = "Ahmed", heard_as = "Ahmed" } }]
assistant = "Is the number you are calling from the best one?"
caller = "Yes"

[[turns]]
calls = [
  { name = "save_field", arguments = { name = "phone", value = "+923001234567", heard_as = "Yes" } },
  { name = "confirm_field", arguments = { name = "phone", confirmed = true } },
]
assistant = "Which course?"
caller = "Chartered tax adviser"

[[turns]]
calls = [{ name = "save_field", arguments = { name = "selected_course", value = "CTA", heard_as = "Chartered tax adviser" } }]
assistant = "What is your education?"
caller = "Bachelor of Commerce"

[[turns]]
calls = [{ name = "save_field", arguments = { name = "education_level", value = "Bachelor of Commerce", heard_as = "Bachelor of Commerce" } }]
assistant = "And your goal?"
caller = "My own practice"

[[turns]]
calls = [{ name = "save_field", arguments = { name = "goal", value = "my own practice", heard_as = "My own practice" } }]
assistant = "Thank you. Goodbye!"
then_calls = [{ name = "end_call", arguments = { reason = "complete" } }]

[expect.lead]
name = "Ahmed"
phone = "+923001234567"
selected_course = "CTA"
education_level = "Bachelor of Commerce"
goal = "my own practice"
"""


async def test_a_call_about_a_course_reaches_the_training_centre(database_url: str) -> None:
    told = parse(SCENARIO, source="courses.toml")
    async with LeadReceiver(SECRET) as receiver:
        target = {"target_webhook_url": receiver.url, "target_webhook_secret": SECRET}
        async with world(database_url, scenario=told, profile="courses", **target) as w:
            _, page = await whole_call(w)
            books, session = await w.books(), await w.openai.session()

    assert page.succeeded is not None and page.failed is None
    assert dict(told.expect.lead).items() <= page.succeeded.lead_data.items()
    assert [one.data for one in receiver.taken] == [dict(told.expect.lead)]
    assert w.npa.requests == []
    (lead,), (submission,) = books.leads, books.submissions
    assert (lead.profile, lead.stage) == ("courses", "GOAL_COLLECTED")
    assert (submission.target, submission.state) == ("webhook", "succeeded")
    (update,) = session.received.of("session.update")
    assert " ".join(load_profile("courses").persona.split()) in update["session"]["instructions"]
