"""The few TwiML documents that we send, as text. Answer them as `text/xml`."""

from twilio.twiml.voice_response import Connect, Dial, Gather, VoiceResponse

RING_SECONDS = 20  # as long as people wait for somebody to pick up
KEY_SECONDS = 4  # for who picked up to find the key
# A request that meets a dying process is asked again, of the next one; Twilio does not send the
# fragment (Twilio: webhooks connection overrides; 5xx and lost answers are not repeated else).
ASK_AGAIN = "#rc=3&rp=all"


def connect_stream(stream_url: str, token: str, action_url: str) -> str:
    """Hand the call to our websocket; when the stream ends, Twilio asks `action_url` what to do.

    `stream_url` is wss and has no query: Twilio takes none. `token` comes in its `start`.
    """
    response = VoiceResponse()
    connect = Connect(action=f"{action_url}{ASK_AGAIN}", method="POST")
    stream = connect.stream(url=stream_url)
    stream.parameter(name="token", value=token)
    response.append(connect)
    return str(response)


def gather(prompt: str, action_url: str, *, language: str = "en-US") -> str:
    """Say the prompt and take speech or keys; an empty answer is posted to `action_url` as well."""
    response = VoiceResponse()
    listen = Gather(
        input="speech dtmf",
        action=f"{action_url}{ASK_AGAIN}",
        method="POST",
        timeout=5,
        speech_timeout="auto",
        finish_on_key="#",
        action_on_empty_result=True,
        language=language,
    )
    listen.say(prompt, language=language)
    response.append(listen)
    return str(response)


def say_and_hangup(text: str, *, language: str = "en-US") -> str:
    """Say the last words and end the call."""
    response = VoiceResponse()
    response.say(text, language=language)
    response.hangup()
    return str(response)


def whisper(text: str, *, language: str = "en-US") -> str:
    """Say something to who picked up; then they are connected."""
    response = VoiceResponse()
    response.say(text, language=language)
    return str(response)


def screen(text: str, action_url: str, *, language: str = "en-US") -> str:
    """Say something to who picked up, twice; hang up on who presses no key, as a machine does."""
    response = VoiceResponse()
    for _ in range(2):
        listen = Gather(
            input="dtmf",
            num_digits=1,
            timeout=KEY_SECONDS,
            action=f"{action_url}{ASK_AGAIN}",
            method="POST",
        )
        listen.say(text, language=language)
        response.append(listen)
    response.hangup()
    return str(response)


def connect_both() -> str:
    """Connect who picked up with the caller."""
    return str(VoiceResponse())


def hold(url: str) -> str:
    """Ask the caller to wait for a moment, and then `url` what to do."""
    response = VoiceResponse()
    response.say("One moment, please.")
    response.pause(length=2)
    response.redirect(f"{url}{ASK_AGAIN}", method="POST")
    return str(response)


def busy() -> str:
    """Do not answer the call: the caller hears the line engaged, and nothing is charged."""
    response = VoiceResponse()
    response.reject(reason="busy")
    return str(response)


def hangup() -> str:
    """End the call."""
    response = VoiceResponse()
    response.hangup()
    return str(response)


def dial(
    number: str,
    *,
    say: str | None = None,
    action_url: str | None = None,
    whisper_url: str | None = None,
    language: str = "en-US",
) -> str:
    """Connect the caller to a person; `action_url` is asked what to do when that ends or fails.

    Who picks up hears what `whisper_url` answers, before they are connected.
    """
    response = VoiceResponse()
    if say:
        response.say(say, language=language)
    call = Dial(
        answer_on_bridge=True,
        timeout=RING_SECONDS,
        action=f"{action_url}{ASK_AGAIN}" if action_url else None,
        method="POST" if action_url else None,
    )
    call.number(number, url=whisper_url, method="POST" if whisper_url else None)
    response.append(call)
    return str(response)
