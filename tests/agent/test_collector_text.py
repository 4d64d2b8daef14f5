"""The collector where people write: the first message counts, nothing is read back, and the
language is followed. Conversations are data: what the contact writes, and what it must save.
"""

import json
from datetime import date

import pytest

from ivr.agent.acts import CallBack, Confirm, End, Save, Say
from ivr.agent.collector import Collector
from ivr.leads.profile import Profile, load_profile

TODAY = date(2026, 11, 21)
COURSES = load_profile("courses")
HOMES = load_profile("real_estate")
POWERSPORTS = load_profile("powersports")


def writes(profile: Profile, **known: object) -> Collector:
    return Collector(profile, today=TODAY, medium="text", **known)


def saved(acts: list[object]) -> dict[str, str]:
    return {act.name: act.value for act in acts if isinstance(act, Save)}


def said(acts: list[object]) -> str:
    return " ".join(act.text for act in acts if isinstance(act, Say))


ENGLISH_COURSE = [
    ("My name is Ahmed and I want to learn CTA", {"name": "Ahmed", "selected_course": "CTA"}),
    ("+92 300 1234567", {"phone": "+923001234567"}),
    ("bachelor's degree", {"education_level": "bachelor's degree"}),
    ("a better job", {"goal": "a better job"}),
]
ARABIC_COURSE = [
    ("مرحبا", {}),
    ("أنا أحمد", {"name": "أحمد"}),
    ("٠٣٠٠١٢٣٤٥٦٧", {"phone": "+923001234567"}),
    ("أريد دراسة دورة ACCA", {"selected_course": "ACCA"}),
    ("بكالوريوس محاسبة", {"education_level": "بكالوريوس محاسبة"}),
    ("وظيفة أفضل", {"goal": "وظيفة أفضل"}),
]
ENGLISH_HOME = [
    (
        "I am looking to buy an apartment in Dammam, budget around 800,000 SAR",
        {
            "service_interest": "buy",
            "property_type": "apartment",
            "location": "Dammam",
            "budget": "800000 SAR",
            "budget_confirmed": "no",
        },
    ),
    ("Ahmed", {"name": "Ahmed"}),
    ("+966501234567", {"phone": "+966501234567"}),
    ("as soon as possible", {"timeline": "as soon as possible", "urgency": "urgent"}),
]
ARABIC_HOME = [
    (
        "السلام عليكم، اسمي محمد العتيبي وأبحث عن فيلا للإيجار في الخبر",
        {
            "name": "محمد العتيبي",
            "service_interest": "rent",
            "property_type": "villa",
            "location": "Al Khobar",
        },
    ),
    ("٠٥٠١٢٣٤٥٦٧", {"phone": "+966501234567"}),
    ("من ٥٠٠ إلى ٦٠٠ ألف ريال", {"budget": "500000-600000 SAR"}),
    ("الشهر القادم مع زوجتي", {"timeline": "الشهر القادم مع زوجتي", "urgency": "soon",
                               "decision_maker": "decides together"}),
]  # fmt: skip
SWITCHING = [
    ("Hello", {}),
    ("أريد دراسة CMA من فضلك", {"selected_course": "CMA"}),
    ("أحمد", {"name": "أحمد"}),
    ("my phone number is +923001234567", {"phone": "+923001234567"}),
    ("masters", {"education_level": "masters"}),
    ("أريد ترقية في عملي", {"goal": "أريد ترقية في عملي"}),
]


@pytest.mark.parametrize(
    ("profile", "conversation", "language"),
    [
        (COURSES, ENGLISH_COURSE, "en"),
        (COURSES, ARABIC_COURSE, "ar"),
        (HOMES, ENGLISH_HOME, "en"),
        (HOMES, ARABIC_HOME, "ar"),
        (COURSES, SWITCHING, "ar"),
    ],
    ids=["course", "course-ar", "home", "home-ar", "course-both"],
)
def test_a_written_conversation_ends_with_a_complete_lead(profile, conversation, language) -> None:
    collector = writes(profile)
    for text, expected in conversation:
        acts = collector.hear(text)
        assert saved(acts) == expected, text
        assert said(acts) or isinstance(acts[-1], End)
        collector = Collector.load(profile, json.loads(json.dumps(collector.dump())), today=TODAY)
    assert acts[-1] == End("complete")
    assert said(acts).endswith(profile.in_language(language).closing)


def test_the_first_message_is_greeted_and_is_an_answer_itself() -> None:
    acts = writes(COURSES).hear("My name is Ahmed and I want to learn CTA")
    assert saved(acts) == {"name": "Ahmed", "selected_course": "CTA"}
    assert said(acts).startswith(COURSES.text_greeting)
    assert said(acts).endswith(COURSES.field("phone").ask)


def test_a_first_message_that_tells_nothing_is_greeted_and_asked() -> None:
    collector = writes(COURSES)
    assert collector.hear("🙂") == [Say(f"{COURSES.text_greeting} {COURSES.field('name').ask}")]
    assert collector.hear("") == [
        Say(f"Sorry, I did not understand that. {COURSES.field('name').ask}")
    ]


def test_a_first_message_that_asks_for_something_gets_it() -> None:
    acts = writes(COURSES).hear("Can I talk to a human please")
    assert CallBack() in acts
    assert "a colleague" in said(acts) and said(acts).endswith(COURSES.field("name").ask)


def test_who_writes_again_is_greeted_by_name() -> None:
    greeted = said(writes(HOMES, known={"name": "Ahmed"}).hear("Hello"))
    assert greeted.startswith("Hello Ahmed, good to hear from you again.")
    arabic = said(writes(HOMES, known={"name": "أحمد"}, language="ar").open())
    assert arabic.startswith("مرحبًا أحمد")


def test_what_is_typed_is_not_read_back() -> None:
    collector = writes(POWERSPORTS)
    collector.hear("My name is John Doe")
    assert said(collector.hear("30093")).endswith(POWERSPORTS.field("phone").ask)
    acts = collector.hear("770 555 0123")
    assert saved(acts) == {"phone": "+17705550123"}
    assert not [act for act in acts if isinstance(act, Confirm)]
    assert said(acts).endswith(POWERSPORTS.field("vehicle_year").ask)


def test_the_number_somebody_writes_from_is_offered_as_it_is_written() -> None:
    collector = writes(POWERSPORTS, caller_number="+17705550123", known={"full_name": "John Doe"})
    collector.hear("hello")
    question = said(collector.hear("30093"))
    assert question.endswith("Is this number, +1 770-555-0123, the best one to reach you?")
    acts = collector.hear("yes")
    assert saved(acts) == {"phone": "+17705550123"}


def test_refusals_and_hints_speak_of_writing() -> None:
    collector = writes(POWERSPORTS, known={"full_name": "John Doe"})
    collector.hear("hello")
    words = [said(collector.hear(text)) for text in ("99501", "bla", "12")]
    assert words[0].startswith("Sorry, the ZIP code 99501 is in Alaska")
    assert not any(word in " ".join(words) for word in ("heard", "hear you", "keypad", "press"))


def test_a_doubt_is_asked_back_with_the_written_value() -> None:
    collector = writes(COURSES, known={"name": "Ahmed", "phone": "+923001234567"}, language="ar")
    collector.open()
    assert said(collector.hear("acca-")).endswith(COURSES.in_language("ar").fields[3].ask)
    again = writes(COURSES, known={"name": "Ahmed", "phone": "+923001234567"})
    again.open()
    assert said(again.hear("accaa")) == "Did you mean ACCA?"
    assert saved(again.hear("yes")) == {"selected_course": "ACCA"}


@pytest.mark.parametrize("decoy", ["I have a cat", "I am from Accra", "the act", "acca-like"])
def test_a_word_like_a_course_is_none(decoy) -> None:
    assert "selected_course" not in saved(writes(COURSES).hear(decoy))


@pytest.mark.parametrize("course", COURSES.field("selected_course").choices)
def test_every_course_of_the_list_is_heard_in_a_sentence(course) -> None:
    for text in (f"I want to study {course} course", f"is {course.lower()} good for me?"):
        assert saved(writes(COURSES).hear(text)) == {"selected_course": course}


def test_a_course_that_is_denied_is_not_taken() -> None:
    assert saved(writes(COURSES).hear("not ACCA, I want to study CMA")) == {
        "selected_course": "CMA"
    }


def test_a_question_is_no_answer_in_free_words() -> None:
    known = {"name": "Ahmed", "phone": "+923001234567", "selected_course": "CTA"}
    collector = writes(COURSES, known=known)
    collector.open()
    acts = collector.hear("Is the class online?")
    assert saved(acts) == {}
    assert said(acts).endswith(COURSES.field("education_level").ask)
    assert saved(collector.hear("a bachelor's degree"))


def test_an_answer_in_free_words_changes_nothing_else_unless_it_says_so() -> None:
    known = {
        "name": "Ahmed",
        "phone": "+923001234567",
        "selected_course": "CTA",
        "education_level": "masters",
    }
    collector = writes(COURSES, known=known)
    collector.open()
    goal = "I want to change my career and finish my CFA course"
    assert saved(collector.hear(goal)) == {"goal": goal}
    again = writes(COURSES, known=known)
    again.open()
    assert saved(again.hear("Actually I want CMA")) == {"selected_course": "CMA"}


def test_flags_and_what_nobody_asks_for_are_not_asked() -> None:
    collector = writes(HOMES)
    asked = []
    answers = {
        "name": "Ahmed", "phone": "+966501234567", "service_interest": "buy",
        "property_type": "villa", "location": "Jeddah", "budget": "1 million", "timeline": "later",
    }  # fmt: skip
    collector.open()
    while collector.expects.field is not None:
        asked.append(collector.expects.field.key)
        collector.hear(answers[asked[-1]])
    assert asked == list(answers)


def test_a_goodbye_before_there_is_a_number_promises_no_call() -> None:
    acts = writes(COURSES).hear("not interested")
    assert acts[-1] == End("caller_goodbye")
    assert said(acts).endswith("All right. Goodbye!")
    collector = writes(COURSES, known={"phone": "+923001234567"}, language="ar")
    collector.open()
    acts = collector.hear("مع السلامة")
    assert acts[-1] == End("caller_goodbye")
    assert said(acts) == COURSES.in_language("ar").closing


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("هل أنت روبوت؟", "أنا مساعد ذكي."),
        ("ممكن تعيد السؤال؟", ""),
        ("أريد التحدث مع موظف", "سأطلب من أحد زملائنا أن يتواصل معك."),
        ("لا أعرف", "عذرًا، لم أفهم ذلك. اكتب: شراء أو إيجار أو بيع."),
    ],
)
def test_requests_in_arabic_are_answered_in_arabic(text, words) -> None:
    known = {"name": "أحمد", "phone": "+966501234567"}
    collector = writes(HOMES, known=known, language="ar")
    collector.open()
    question = HOMES.in_language("ar").field("service_interest").ask
    assert said(collector.hear(text)) == f"{words} {question}".strip()


def test_yes_and_no_in_arabic_answer_whether_a_number_is_right() -> None:
    for answer, expected in (("نعم", {"phone": "+966501234567"}), ("لا", {})):
        collector = writes(
            HOMES, known={"name": "أحمد"}, language="ar", caller_number="+966501234567"
        )
        assert "‎+966 50 123 4567"[1:] in said(collector.open())
        assert saved(collector.hear(answer)) == expected


def test_a_language_without_words_is_answered_in_the_profiles_own() -> None:
    collector = writes(COURSES)
    assert said(collector.hear("Bonjour, je voudrais un cours")).startswith(COURSES.text_greeting)
    assert collector.language == "en"


def test_a_call_keeps_its_language_and_its_ways() -> None:
    collector = Collector(POWERSPORTS, today=TODAY, known={"full_name": "John Doe"})
    collector.open()
    assert said(collector.hear("أريد دراجة")).startswith("Sorry, I did not catch")
    assert said(collector.hear("30093")).endswith("Is that right?")
    assert "press 1" in said(collector.hear("perhaps"))


def test_several_messages_at_once_are_so_many_answers() -> None:
    collector = writes(POWERSPORTS)
    collector.hear("Hi")
    acts = collector.hear("John Doe\nmy zip is 30093\nit is a 2020 Yamaha")
    assert saved(acts) == {
        "full_name": "John Doe",
        "zip_code": "30093",
        "vehicle_year": "2020",
        "vehicle_make": "Yamaha",
    }


def test_who_does_not_know_is_not_asked_for_free_words_again() -> None:
    known = {"name": "Ahmed", "phone": "+923001234567", "selected_course": "CTA"}
    collector = writes(COURSES, known=known)
    collector.open()
    acts = collector.hear("I don't know yet")
    assert saved(acts) == {}
    assert said(acts) == f"Let us go on. {COURSES.field('goal').ask}"


@pytest.mark.parametrize("first", ["yes", "no"])
def test_a_call_about_a_course_reads_an_international_number_back(first) -> None:
    collector = Collector(COURSES, today=TODAY, caller_number="+923001234567")
    collector.open()
    question = said(collector.hear("Ahmed Khan"))
    assert "calling from, plus 9 2, 3 0 0, 1 2 3 4 5 6 7, the best" in question
    acts = collector.hear(first)
    if first == "no":
        again = said(collector.hear("oh three hundred one two three four five six eight"))
        assert "plus 9 2, 3 0 0, 1 2 3 4 5 6 8" in again
        acts = collector.hear("yes")
    assert Confirm("phone") in acts
    for answer in ("the second one", "bachelors", "a better job"):
        acts = collector.hear(answer)
    assert acts[-1] == End("complete")
