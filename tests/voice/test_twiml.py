"""TwiML documents, letter for letter as Twilio reads them."""

import pytest

from ivr.voice import twiml

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            twiml.connect_stream("wss://h/twilio/voice/stream", "t1", "https://h/after"),
            '<Response><Connect action="https://h/after#rc=3&amp;rp=all" method="POST">'
            '<Stream url="wss://h/twilio/voice/stream"><Parameter name="token" value="t1" />'
            "</Stream></Connect></Response>",
        ),
        (
            twiml.gather("Your make?", "https://h/collect"),
            '<Response><Gather action="https://h/collect#rc=3&amp;rp=all" '
            'actionOnEmptyResult="true" '
            'finishOnKey="#" input="speech dtmf" language="en-US" '
            'method="POST" speechTimeout="auto" timeout="5">'
            '<Say language="en-US">Your make?</Say></Gather></Response>',
        ),
        (
            twiml.say_and_hangup("Bye & thanks."),
            '<Response><Say language="en-US">Bye &amp; thanks.</Say><Hangup /></Response>',
        ),
        (twiml.hangup(), "<Response><Hangup /></Response>"),
        (
            twiml.dial("+18005551212", action_url="https://h/after"),
            '<Response><Dial action="https://h/after#rc=3&amp;rp=all" '
            'answerOnBridge="true" method="POST" '
            'timeout="20"><Number>+18005551212</Number></Dial></Response>',
        ),
        (
            twiml.dial("+18005551212", say="One moment."),
            '<Response><Say language="en-US">One moment.</Say><Dial answerOnBridge="true" '
            'timeout="20"><Number>+18005551212</Number></Dial></Response>',
        ),
        (
            twiml.dial("+18005551212", whisper_url="https://h/whisper?conversation=1"),
            '<Response><Dial answerOnBridge="true" timeout="20">'
            '<Number method="POST" url="https://h/whisper?conversation=1">+18005551212</Number>'
            "</Dial></Response>",
        ),
        (
            twiml.whisper("A call for you."),
            '<Response><Say language="en-US">A call for you.</Say></Response>',
        ),
        (
            twiml.screen("Press 1.", "https://h/whisper?key=1"),
            "<Response>"
            + '<Gather action="https://h/whisper?key=1#rc=3&amp;rp=all" input="dtmf" method="POST" '
            'numDigits="1" timeout="4"><Say language="en-US">Press 1.</Say></Gather>'
            * 2
            + "<Hangup /></Response>",
        ),
        (twiml.connect_both(), "<Response />"),
        (
            twiml.hold("https://h/voice?try=2"),
            '<Response><Say>One moment, please.</Say><Pause length="2" />'
            '<Redirect method="POST">https://h/voice?try=2#rc=3&amp;rp=all</Redirect></Response>',
        ),
    ],
)
def test_documents_are_what_twilio_reads(document, expected):
    assert document == HEAD + expected
