"""Opting out, in one word or in many: what asks us to stop, what only looks like it."""

import pytest

from ivr.messages.opt_out import (
    asks_to_be_forgotten,
    is_free_text_revocation,
    is_refusal,
    read,
    revocation,
)

CERTAIN = """
Please stop
STOP texting me!!!
please stop texting me
can you stop messaging me
Who is this? Stop texting me
I asked you to stop texting me
not interested stop texting me
Not interested. Stop.
wrong number, stop
STOP MESSAGING
stop spamming
stop writing to me
stop contacting me, I bought one already
I am not John, please stop messaging this number
Quit bothering me
stop sending me messages
Stop sending these
stop the messages
stop all messages
end these texts
don't message me anymore
please don't text me again
don't ever contact me
dont text this number
do not contact me again
never text me again
dont send me any more texts
I don't want any more texts
I don’t want you to text me
I do not want to receive texts from you
no longer want messages
no more messages please
remove me from your list
please remove my number
take me off your list
lose my number
delete my number
unsubscribe me please
I want to unsubscribe
I'd like to opt out
opt me out of these messages
leave me alone
I revoke my consent
put me on your do not call list
لا ترسل لي رسائل
لا ترسلوا لي رسائل مرة أخرى
لا تراسلني
توقف عن مراسلتي
أوقفوا الرسائل
لا أريد أي رسائل
الغاء الاشتراك من فضلك
احذف رقمي
اتركني وشأني
"""
DOUBTFUL = """
My ex won't stop texting me
He said don't contact me
tell him to stop texting me
don't text me after 9pm
don't message me before noon
stop, I meant the 2019 Yamaha not the Honda
wrong number
how do I unsubscribe from Netflix
opt out of the extended warranty
go away
don't call me
This is spam
الرقم غلط
can you remove my middle name
no, delete my last name and put just Bob
delete my name and put just Bob
please remove my old number, the new one is 555 2010
remove my number, the new one is 555 2010
remove my trade-in information
did you delete my number?
don't go and forget about me
احذف رقمي القديم
احذف اسمي الأوسط
امسح معلوماتي عن السيارة
هل تم حذف رقمي؟
"""
NOT_AT_ALL = """
I want to stop smoking
don't stop
Don't stop texting me!
can you stop by
I can stop by tomorrow at 5
stop at the next exit
I need it to stop leaking
the engine won't stop
the brakes don't stop well
the bus stop texting app
what a bus stop
pit stop
stopping distance?
I stopped riding in 2019
does it have start-stop
is it ok to stop payments
when does the sale end
end of the month
quit my job last year
cancel my appointment
please text me
text me anytime
message me the price
send me more messages
please send me a text
call me when you can
don't hesitate to text me
don't forget to message me
I don't want to miss your message
I have never texted before
I got your messages
I don't want a Honda
just cancel that booking and don't bother
no more questions
no more than 5000 miles
remove me the old tires
I'd like to remove the exhaust
leave it alone
yes
did you forget about me?
Hello?? did you forget me
will you forget about me?
please don't you forget about me
why did you forget about me
hope you won't forget me
لا أريد حذف بياناتي
أريد دورة المحاسبة
توقف المحرك عن العمل
"""


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


@pytest.mark.parametrize("text", lines(CERTAIN))
def test_a_wish_not_to_be_written_to_is_understood_in_free_words(text):
    assert revocation(text) == "certain"
    assert is_free_text_revocation(text)


@pytest.mark.parametrize("text", lines(DOUBTFUL))
def test_what_may_mean_something_else_is_left_to_a_person(text):
    assert revocation(text) == "doubtful"
    assert not is_free_text_revocation(text)


@pytest.mark.parametrize("text", lines(NOT_AT_ALL))
def test_what_only_sounds_alike_changes_nothing(text):
    assert revocation(text) is None


FORGET = """
Forget me
no, please just forget about me.
I want you to forget me
delete my number and all my data
erase all of my records
delete my data, I have bought a new one
remove my name from your list
can you erase my personal information
احذف كل بياناتي من فضلك
أريد حذف رقمي
هل يمكنكم حذف بياناتي
"""


@pytest.mark.parametrize("text", lines(FORGET))
def test_who_wants_to_be_forgotten_is_understood(text):
    assert asks_to_be_forgotten(text)
    assert revocation(text) == "certain"


@pytest.mark.parametrize("text", [*lines(DOUBTFUL), *lines(NOT_AT_ALL)])
def test_nobody_is_forgotten_who_did_not_surely_ask_for_it(text):
    assert not asks_to_be_forgotten(text)


@pytest.mark.parametrize(
    ("text", "refuses"),
    [("STOP", True), ("please stop texting me", True), ("MT-07", False), ("wrong number", False)],
)
def test_a_stop_answers_no_question(text, refuses):
    assert is_refusal(text) == refuses


@pytest.mark.parametrize(
    ("text", "command"),
    [
        *(
            (word, "stop")
            for word in "STOP UNSUBSCRIBE END QUIT STOPALL REVOKE OPTOUT CANCEL".split()
        ),
        *((word, "start") for word in "START YES UNSTOP".split()),
        *((word, "help") for word in "HELP INFO".split()),
        *(
            (text, "stop")
            for text in ("stop.", " Stop! ", "STOP 🙏", "stop all", "opt-out", "توقف")
        ),
        *((text, "start") for text in ("Yes!", "start")),
        ("help?", "help"),
        *(
            (text, None)
            for text in ("stop please", "yes it is", "canceled", "", "🙏", "information")
        ),
    ],
)
def test_the_networks_words_count_only_as_the_whole_text(text, command):
    assert read(text) == command


@pytest.mark.parametrize(
    ("given", "command"), [("STOP", "stop"), ("START", "start"), ("help", "help"), ("OTHER", None)]
)
def test_what_the_provider_read_counts_more_than_the_text(given, command):
    assert read("Arrêt s'il vous plaît", given) == command


def test_the_providers_word_wins_over_another_one_in_the_text():
    assert read("STOP", "START") == "start"


def test_a_very_long_text_is_read_in_no_time():
    assert revocation("please stop at the next one " * 40_000) is None
