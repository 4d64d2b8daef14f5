"""Anthropic's Messages API: strict about what it is sent, scripted in what it says.

After platform.claude.com/docs/en/api/messages: one JSON body in, one message out. What a client
must not send is a violation, which fails the test that uses this.
"""

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tools.emulators.serving import serve

VERSIONS = ("2023-06-01", "2026-10-21")  # the API's, and what the SDK 2.x sends
_FIELDS = {
    "model",
    "max_tokens",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "output_config",
    "temperature",
    "metadata",
    "stop_sequences",
    "stream",
}
_BLOCKS = {"user": {"text", "tool_result", "image"}, "assistant": {"text", "tool_use"}}


class AnthropicViolation(AssertionError):
    """What was sent is not what the Messages API takes."""


@dataclass(frozen=True, slots=True)
class Says:
    """What the model says next; `calls` are its tools with their arguments."""

    text: str = ""
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()


class AnthropicEmulator:
    """One account. `steps` are said in turn; `route` is what the router hears.

    Whoever asks for a document by another schema gets each of its properties as null.
    """

    def __init__(self, api_key: str = "sk-ant-emulated-key") -> None:
        self.api_key = api_key
        self.base_url = ""
        self.steps: list[Says] = []
        self.route = "complex"
        self.requests: list[dict[str, Any]] = []
        self.violations: list[str] = []
        self._ids = count(1)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        app = Starlette(routes=[Route("/v1/messages", self._messages, methods=["POST"])])
        port = await self._stack.enter_async_context(serve(app))
        self.base_url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        if kind is None and (self.violations or self.steps):
            left = [f"{len(self.steps)} steps left over"] if self.steps else []
            raise AnthropicViolation("; ".join([*self.violations, *left]))

    def models(self) -> list[str]:
        """Return which model was asked, request by request."""
        return [str(request["model"]) for request in self.requests]

    async def _messages(self, request: Request) -> Response:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.headers.get("x-api-key", bearer) != self.api_key:
            return _error(401, "authentication_error", "invalid x-api-key")
        try:
            body = _checked(await request.json(), request.headers.get("anthropic-version"))
        except (AnthropicViolation, ValueError) as exc:
            self.violations.append(str(exc))
            return _error(400, "invalid_request_error", str(exc))
        self.requests.append(body)
        content = self._content(body)
        calls = any(block["type"] == "tool_use" for block in content)
        return JSONResponse(
            {
                "id": f"msg_{next(self._ids)}",
                "type": "message",
                "role": "assistant",
                "model": body["model"],
                "content": content,
                "stop_reason": "tool_use" if calls else "end_turn",
                "stop_sequence": None,
                "usage": {"input_tokens": 900, "output_tokens": 100},
            }
        )

    def _content(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        if schema := body.get("output_config", {}).get("format", {}).get("schema"):
            document: dict[str, str | None] = dict.fromkeys(schema["properties"])
            if "route" in document:
                document["route"] = self.route
            return [{"type": "text", "text": json.dumps(document)}]
        if not self.steps:
            self.violations.append("asked more often than scripted")
            return [{"type": "text", "text": "I have nothing to say."}]
        said = self.steps.pop(0)
        calls = [
            {"type": "tool_use", "id": f"toolu_{next(self._ids)}", "name": name, "input": given}
            for name, given in said.calls
        ]
        return [*([{"type": "text", "text": said.text}] if said.text else []), *calls]


def _error(status: int, kind: str, message: str) -> JSONResponse:
    return JSONResponse({"type": "error", "error": {"type": kind, "message": message}}, status)


def _demand(is_right: object, problem: str) -> None:
    if not is_right:
        raise AnthropicViolation(problem)


def _checked(body: Any, version: str | None) -> dict[str, Any]:
    _demand(version in VERSIONS, f"anthropic-version: expected one of {VERSIONS}")
    _demand(isinstance(body, dict), "the body: expected an object")
    unknown = set(body) - _FIELDS
    _demand(not unknown, f"unknown: {', '.join(sorted(unknown))}")
    _demand(str(body.get("model", "")).startswith("claude-"), "model: expected one of Anthropic's")
    _demand(isinstance(body.get("max_tokens"), int) and body["max_tokens"] > 0, "max_tokens")
    _demand(not body.get("stream"), "stream: not emulated")
    for tool in body.get("tools", []):
        _demand(tool.get("name") and tool.get("description"), "tools: name and description")
        _demand(tool.get("input_schema", {}).get("type") == "object", "tools: input_schema")
    if wanted := body.get("output_config", {}).get("format"):
        is_whole = wanted.get("type") == "json_schema" and set(wanted) == {"type", "schema"}
        _demand(is_whole, "output_config.format: expected type and schema")
        closed = wanted["schema"].get("additionalProperties") is False
        _demand(closed, "output_config.format.schema: additionalProperties must be false")
    _check_messages(body.get("messages"))
    return dict(body)


def _check_messages(messages: Any) -> None:
    _demand(isinstance(messages, list) and messages, "messages: expected at least one")
    _demand(messages[0]["role"] == "user", "messages: the first is the user's")
    _demand(messages[-1]["role"] == "user", "messages: the last is the user's")
    called: set[str] = set()
    for number, message in enumerate(messages):
        role, content = message["role"], message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        where = f"messages.{number}"
        _demand(role in _BLOCKS and blocks, f"{where}: role and content")
        wrong = {block["type"] for block in blocks} - _BLOCKS[role]
        _demand(not wrong, f"{where}: {wrong} from {role}")
        empty = any(block["type"] == "text" and not block["text"].strip() for block in blocks)
        _demand(not empty, f"{where}: text must not be empty")
        given = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        _demand(given == called, f"{where}: each tool_use needs its tool_result next")
        called = {block["id"] for block in blocks if block["type"] == "tool_use"}
