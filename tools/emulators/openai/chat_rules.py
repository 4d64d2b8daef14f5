"""Refuses tools and messages that chat completions refuse. No I/O.

Sources: openai SDK types/chat/completion_create_params.py and chat_completion_*_param.py; the
texts are the service's.
"""

import re
from collections.abc import Mapping
from typing import Any

from tools.emulators.openai.refusal import Refusal, missing_parameter, unknown_parameter

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FUNCTION_KEYS = {"name", "description", "parameters", "strict"}
_MOST_TOOLS = 128
_KEYS = {
    "developer": {"role", "content", "name"},
    "system": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "refusal", "audio"},
    "tool": {"role", "content", "tool_call_id"},
}


def check_tools(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the tools; raise Refusal."""
    tools = body.get("tools")
    if tools is None:
        for key in ("tool_choice", "parallel_tool_calls"):
            if key in body:
                text = f"'{key}' is only allowed when 'tools' are specified."
                raise Refusal(text, code=None, param=key)
        return ()
    if not isinstance(tools, list) or not 0 < len(tools) <= _MOST_TOOLS:
        raise Refusal("Invalid 'tools': empty array.", code="empty_array", param="tools")
    names = tuple(_check_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools))
    if len(set(names)) < len(names):
        raise Refusal("Tool names must be unique.", code=None, param="tools")
    _check_choice(body.get("tool_choice", "auto"), names)
    return names


def _check_tool(tool: Any, path: str) -> str:
    match tool:
        case {"type": "function", "function": dict() as function, **rest} if not rest:
            pass
        case _:
            raise Refusal("Expected a function tool.", param=path)
    for key in function:
        if key not in _FUNCTION_KEYS:
            raise unknown_parameter(f"{path}.function.{key}")
    if "name" not in function:
        raise missing_parameter(f"{path}.function.name")
    if not isinstance(function["name"], str) or not _NAME.fullmatch(function["name"]):
        raise Refusal("Expected up to 64 of A-Z a-z 0-9 _ -.", param=f"{path}.function.name")
    parameters = function.get("parameters", {"type": "object", "properties": {}})
    if not isinstance(parameters, dict) or parameters.get("type") != "object":
        text = f"Invalid schema for function '{function['name']}': not of 'type: \"object\"'."
        raise Refusal(text, code="invalid_function_parameters", param=f"{path}.function.parameters")
    return function["name"]


def _check_choice(choice: Any, names: tuple[str, ...]) -> None:
    match choice:
        case "auto" | "none" | "required":
            return
        case {"type": "function", "function": {"name": str() as name}} if name in names:
            return
    raise Refusal("Invalid 'tool_choice'.", param="tool_choice")


def check_messages(messages: Any) -> None:
    """Raise Refusal for a history that no conversation has."""
    if not isinstance(messages, list) or not messages:
        raise Refusal("'messages' must be a non-empty array.", param="messages")
    waiting: list[str] = []  # tool calls without a result so far
    for i, message in enumerate(messages):
        path = f"messages.{i}"
        role = _check_message(message, path)
        if role == "tool":
            _take_result(message, waiting, path)
        elif waiting:
            raise _unanswered(waiting, path)
        else:
            waiting = _calls(message, path)
    if waiting:
        raise _unanswered(waiting, f"messages.{len(messages) - 1}")


def _check_message(message: Any, path: str) -> str:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in _KEYS:
        raise Refusal("Invalid role.", param=f"{path}.role")
    for key in message:
        if key not in _KEYS[role]:
            raise unknown_parameter(f"{path}.{key}")
    is_silent = role == "assistant" and (message.get("tool_calls") or message.get("refusal"))
    if not isinstance(message.get("content"), str | list) and not is_silent:
        raise Refusal("Text or parts expected.", param=f"{path}.content")
    return str(role)


def _take_result(message: Mapping[str, Any], waiting: list[str], path: str) -> None:
    if "tool_call_id" not in message:
        raise missing_parameter(f"{path}.tool_call_id")
    if message["tool_call_id"] not in waiting:
        text = (
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding "
            "message with 'tool_calls'."
        )
        raise Refusal(text, code=None, param=f"{path}.role")
    waiting.remove(message["tool_call_id"])


def _calls(message: Mapping[str, Any], path: str) -> list[str]:
    calls = message.get("tool_calls") or []
    if "tool_calls" in message and not calls:
        raise Refusal("empty array", code="empty_array", param=f"{path}.tool_calls")
    for i, call in enumerate(calls):
        match call:
            case {
                "id": str(),
                "type": "function",
                "function": {"name": str(), "arguments": str(), **rest},
            } if not rest:
                continue
        raise Refusal("Not a tool call.", param=f"{path}.tool_calls.{i}")
    return [call["id"] for call in calls]


def _unanswered(waiting: list[str], path: str) -> Refusal:
    text = (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to "
        "each 'tool_call_id'. The following tool_call_ids did not have response messages: "
        f"{', '.join(waiting)}"
    )
    return Refusal(text, code=None, param=f"{path}.role")
