"""What is said in a call, and when: the same for every call, only longer or shorter.

The caller has an answer to each question; the assistant saves it with a tool, reads it back and
asks the next. After six answers they chat until the time is up.
"""

import json

GREETING_S = 4.0
SPEECH_S = 4.0  # of the assistant per turn: 10 deltas
ANSWER_S = 2.0  # of the caller per turn
THINK_S = 0.5  # from the end of a speech to the beginning of the next one
GOODBYE_S = 2.4
DELTA_S = 0.4
FASTER = 5  # than real time does the model deliver (protocols 2.1)
INTERRUPT_EVERY = 3  # turns: about every 20 s the caller does not let the assistant finish
ENDING_S = 7.0  # the last answer, the goodbye
SHORTEST_S = 12.0
LEAVE_EVERY = 5  # calls: so many are ended by the caller, the others by the assistant's goodbye

GREETING = "Thank you for calling. May I have your first and last name?"
GOODBYE = "Thank you. A buyer will contact you shortly with an offer. Have a great day. Goodbye!"
CHAT = ("I see, and it has always been kept in the garage.", "Very good. Tell me more about it.")

FIELDS = (
    ("full_name", "John Smith", "My name is John Smith.", "Thanks John. What is your ZIP code?"),
    ("zip_code", "30093", "It is 30093.", "What is the best number to reach you?"),
    ("phone", "", "The number I am calling from is fine.", "What year is the vehicle?"),
    ("vehicle_year", "2020", "It is a 2020.", "What make is it?"),
    ("vehicle_make", "Yamaha", "A Yamaha.", "And which model is it?"),
    ("vehicle_model", "MT-07", "The MT-07.", "That is all I need. Is there anything else?"),
)


def words(turn: int) -> tuple[str, str]:
    """Return what the caller and then the assistant say in a turn."""
    if turn < len(FIELDS):
        _, _, answer, question = FIELDS[turn]
        return answer, question
    return CHAT


def tool(turn: int, caller: str) -> str | None:
    """Return the arguments of the `save_field` that belongs to a turn, if one does."""
    if turn >= len(FIELDS):
        return None
    name, value, answer, _ = FIELDS[turn]
    return json.dumps({"name": name, "value": value or caller, "heard_as": answer})


def extraction() -> bytes:
    """Return the text model's answer to every transcript: a chat completion."""
    found = {
        name: {"value": value, "quote": answer} if value else None
        for name, value, answer, _ in FIELDS
    }
    message = {"role": "assistant", "content": json.dumps(found), "refusal": None}
    answer = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "gpt-6-luna",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}],
        "usage": {"prompt_tokens": 900, "completion_tokens": 120, "total_tokens": 1020},
    }
    return json.dumps(answer).encode()
