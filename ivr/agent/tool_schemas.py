"""The tools the assistant may call, made of the profile; running them is the toolbox's work."""

from typing import Any

from ivr.leads.fields import rule
from ivr.leads.profile import Field, Profile

SAVE_FIELD = "save_field"
CONFIRM_FIELD = "confirm_field"
END_CALL = "end_call"
TRANSFER = "transfer_to_person"
CALL_BACK = "promise_call_back"  # in the place of a transfer, where there is nobody to transfer to
NOT_THIS_PERSON = "not_this_person"
SHARE_DEMO = "append_lead_to_rag_sheets"  # S0: called before the demo is sent
END_REASONS = ("complete", "incomplete", "caller_goodbye", "silence", "wrong_number")


def text_tools(profile: Profile) -> list[dict[str, Any]]:
    """Return the tools of a written conversation; in the form of `voice_tools`."""
    names = [field.key for field in profile.told]
    tools = [_save_field(profile, names), _confirm_field(names), _end_writing(), _take_over()]
    tools.append(_not_this_person())
    return [*tools, _share_demo(profile)] if SHARE_DEMO in profile.tools else tools


def voice_tools(profile: Profile) -> list[dict[str, Any]]:
    """Return Realtime function tools; that API knows no `strict` (openai SDK types/realtime)."""
    names = [field.key for field in profile.told]
    tools = [_save_field(profile, names), _confirm_field(names), _end_call(), _not_this_person()]
    return [*tools, _transfer() if profile.transfer_number else _call_back()]


def _save_field(profile: Profile, names: list[str]) -> dict[str, Any]:
    meanings = "; ".join(f"{field.key}: {_meaning(field)}" for field in profile.told)
    return _tool(
        SAVE_FIELD,
        "Check and save one answer as soon as you have heard it, also when it corrects an earlier "
        "one. The result says what to read back, what to ask back, or why it cannot be taken.",
        {
            "name": {"type": "string", "enum": names, "description": "Which field."},
            "value": {"type": "string", "description": f"The answer, cleaned up. {meanings}"},
            "heard_as": {"type": "string", "description": "The caller's own words for it."},
            "insisted": {
                "type": "boolean",
                "description": "true only if it was asked back and the caller stood by it.",
            },
        },
        optional=("insisted",),
    )


def _confirm_field(names: list[str]) -> dict[str, Any]:
    return _tool(
        CONFIRM_FIELD,
        "Tell whether the caller confirmed a value that you read back.",
        {
            "name": {"type": "string", "enum": names, "description": "Which field."},
            "confirmed": {"type": "boolean", "description": "true for yes, false for no."},
        },
    )


def _end_call() -> dict[str, Any]:
    return _tool(
        END_CALL,
        "Hang up. Call it only after you have said the closing words.",
        {"reason": {"type": "string", "enum": list(END_REASONS), "description": "Why it ends."}},
    )


def _end_writing() -> dict[str, Any]:
    return _tool(
        END_CALL,
        "End the conversation. Call it in the same answer as the closing words.",
        {"reason": {"type": "string", "enum": list(END_REASONS), "description": "Why it ends."}},
    )


def _take_over() -> dict[str, Any]:
    return _tool(
        TRANSFER,
        "Have a person take over. Use it when the contact asks for one, and tell them so.",
        {"reason": {"type": "string", "description": "What they want, in a few words."}},
    )


def _share_demo(profile: Profile) -> dict[str, Any]:
    given = {
        field.key: {"type": "string", "description": _meaning(field)} for field in profile.told
    }
    return _tool(
        SHARE_DEMO,
        "Hand over what is known of the contact; call it before you send the demo. The result has "
        "what to send.",
        given,
        optional=tuple(given),
    )


def _transfer() -> dict[str, Any]:
    return _tool(
        TRANSFER,
        "Hand the call to a person. Tell the caller first that you will put them through.",
        {"reason": {"type": "string", "description": "What the caller wants, in a few words."}},
    )


def _call_back() -> dict[str, Any]:
    return _tool(
        CALL_BACK,
        "Have a person call the caller back. Use it when the caller asks for a person.",
        {"reason": {"type": "string", "description": "What the caller wants, in a few words."}},
    )


def _not_this_person() -> dict[str, Any]:
    return _tool(
        NOT_THIS_PERSON,
        "The person says that they are not the one whom we know at this number. Forgets what we "
        "know of that one; the result says what to ask.",
        {
            "number_is_theirs_now": {
                "type": "boolean",
                "description": "true only if they say that the number belongs to them now.",
            }
        },
    )


def _tool(
    name: str, description: str, properties: dict[str, Any], *, optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    return {
        "type": "function",
        "name": name,
        "description": description,
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": [key for key in properties if key not in optional],
            "additionalProperties": False,
        },
    }


def _meaning(field: Field) -> str:
    needed = rule(field)
    return f"{field.label}, {needed}" if needed else field.label
