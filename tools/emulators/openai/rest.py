"""The emulated REST API: chat completions with a strict JSON schema or tools, the list of models.

Request rules: openai SDK types/chat/completion_create_params.py. Schemas are for `schema_rules`
and `schema_answer`, conversations with tools for `chat_rules` and `chat_script`.
"""

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.shared.chat_model import ChatModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tools.emulators.openai import chat_rules, schema_answer, schema_rules
from tools.emulators.openai.chat_script import Fault, Mind, Say, Shown
from tools.emulators.openai.event_log import EventLog
from tools.emulators.openai.faults import Faults
from tools.emulators.openai.refusal import Refusal, missing_parameter, unknown_parameter
from tools.emulators.openai.usage import text_tokens
from tools.scenarios import Scenario

# A dict is answered as JSON, restricted to the schema; an int is an HTTP status.
Extraction = Mapping[str, Any] | int | Literal["refusal", "garbage", "length"]

# Docstring of openai SDK types/shared/chat_model.py, as of 2026-11.
SHUTDOWN_DATES = {
    "gpt-4o-mini": "2027-01-14",
    "gpt-4o": "2027-01-14",
    "gpt-4.1": "2027-01-14",
    "gpt-4.1-mini": "2027-01-14",
    "gpt-5": "2026-12-11",
    "gpt-5-mini": "2026-12-11",
    "gpt-5-nano": "2026-12-11",
    "gpt-5.1": "2027-04-01",
    "gpt-5.4-nano": "2027-04-01",
    "gpt-realtime": "2027-01-20",
    "gpt-realtime-mini": "2027-01-20",
}
_GONE = ("gpt-3.5", "gpt-4-", "gpt-4.1-nano", "o1", "o3-mini", "o4-mini")
_MODELS = {
    *(
        m
        for m in get_args(ChatModel)
        if not m.startswith(_GONE) and m not in ("gpt-4", "gpt-5.1-mini")
    ),
    *("gpt-realtime-2.1", "gpt-realtime-2.1-mini", "gpt-realtime-2", "gpt-realtime"),
    *("gpt-realtime-mini", "gpt-transcribe"),
}
_REASONING = ("gpt-5", "gpt-6", "o3")
_ROUTE = "route"  # the name of the schema in which a router answers
_CREATED = 1_780_000_000


class Owner(Protocol):
    """What this file needs of the emulator."""

    api_key: str
    faults: Faults

    def told(self, prompt: str) -> Scenario | None: ...

    def spoils_rest(self) -> bool: ...


@dataclass
class _Refused(Exception):
    status: int
    refusal: Refusal


class _NotJson(Exception):
    """The body is to be broken."""


class _Hang(Exception):
    """No answer is to come."""


class TextModel:
    """The REST side of one emulator. Without a prepared extraction it answers the scenario's;
    without a prepared step in a conversation, as its mind does.
    """

    def __init__(self, owner: Owner) -> None:
        self.requests = EventLog()
        self.extractions: deque[Extraction] = deque()
        self.routes: deque[str] = deque()  # what the router says; "simple" without
        self.steps: deque[Say] = deque()
        self.mind: Mind = lambda shown: Say("Okay.")
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._guarded(self._complete), methods=["POST"]),
                Route("/v1/models", self._guarded(self._models)),
                Route("/v1/models/{model}", self._guarded(self._model)),
            ]
        )
        self._owner = owner
        self._ids = itertools.count(1)
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let hanging requests go."""
        self._released.set()

    def _guarded(self, endpoint: Any) -> Any:
        """Log the request, apply the faults, check the key; a refusal becomes an HTTP answer."""

        async def handle(request: Request) -> Response:
            try:
                body = await _read(request)
                self._log(request, body)
                await self._misbehave()
                self._authorize(request)
                return JSONResponse(endpoint(request, body))
            except _Refused as refused:
                return _error(refused.status, refused.refusal)
            except _NotJson:
                return Response("upstream connect error", media_type="text/html")
            except _Hang:
                await self._released.wait()
                return _error(503, Refusal("Released.", code="emulated_fault"))
            except Refusal as refusal:
                return _error(400, refusal)

        return handle

    def _log(self, request: Request, body: Any) -> None:
        headers = {k: v for k, v in request.headers.items() if k != "authorization"}
        kind = f"{request.method} {request.url.path}"
        self.requests.add({"type": kind, "headers": headers, "body": body})

    async def _misbehave(self) -> None:
        faults = self._owner.faults
        if not self._owner.spoils_rest():
            return
        if faults.rest_hangs:
            await self._released.wait()
        raise _Refused(
            faults.rest_status or 503, Refusal("Refused on purpose.", code="emulated_fault")
        )

    def _authorize(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {self._owner.api_key}":
            raise _Refused(401, Refusal("Incorrect API key provided.", code="invalid_api_key"))

    def _models(self, request: Request, body: Any) -> dict[str, Any]:
        return {"object": "list", "data": [_model_view(model) for model in sorted(_MODELS)]}

    def _model(self, request: Request, body: Any) -> dict[str, Any]:
        return _model_view(_known(request.path_params["model"]))

    def _complete(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        schema = _check_completion(body)
        if "tools" in body:
            return self._converse(body)
        answer = self._answer(body)
        if isinstance(answer, int):
            raise _Refused(answer, Refusal("Refused on purpose.", code="emulated_fault"))
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
        reason = "length" if answer == "length" else "stop"
        if answer == "refusal":
            message["refusal"] = "I'm sorry, I can't help with that."
        else:
            message["content"] = _content(answer, schema)
        return self._completion(body, message, reason)

    def _answer(self, body: dict[str, Any]) -> Extraction:
        wanted = (body.get("response_format") or {}).get("json_schema") or {}
        if wanted.get("name") == _ROUTE:
            return {"route": self.routes.popleft() if self.routes else "simple"}
        return self.extractions.popleft() if self.extractions else self._default(body)

    def _converse(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer in a conversation with tools."""
        shown = Shown(body["messages"], chat_rules.check_tools(body))
        say = self.steps.popleft() if self.steps else self.mind(shown)
        if say.fault == "other":
            return {"object": "something.else"}
        reason = _fault_reason(say.fault) or ("tool_calls" if say.calls else "stop")
        refused = say.fault == "refusal"
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if refused else say.text or None,
            "refusal": "I'm sorry, I can't help with that." if refused else None,
        }
        if say.calls:
            message["tool_calls"] = [
                {
                    "id": f"call_{next(self._ids)}",
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.wire},
                }
                for call in say.calls
            ]
        return self._completion(body, message, reason)

    def _default(self, body: dict[str, Any]) -> Mapping[str, Any]:
        told = self._owner.told(str(body["messages"][-1].get("content")))
        return told.extraction if told else {}

    def _completion(
        self, body: dict[str, Any], message: dict[str, Any], reason: str
    ) -> dict[str, Any]:
        prompt = text_tokens(json.dumps(body["messages"]))
        called = json.dumps(message["tool_calls"]) if "tool_calls" in message else ""
        out = text_tokens((message["content"] or message["refusal"] or "") + called)
        return {
            "id": f"chatcmpl-{next(self._ids)}",
            "object": "chat.completion",
            "created": _CREATED,
            "model": body["model"],
            "choices": [
                {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
            ],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": out,
                "total_tokens": prompt + out,
            },
        }


def _fault_reason(fault: Fault | None) -> str | None:
    """Return the finish reason of a fault, None without one; raise for what is no completion."""
    match fault:
        case int() as status:
            raise _Refused(status, Refusal("Refused on purpose.", code="emulated_fault"))
        case "hang":
            raise _Hang
        case "not_json":
            raise _NotJson
        case "length":
            return "length"
        case "filtered":
            return "content_filter"
    return None


def _content(answer: Any, schema: dict[str, Any] | None) -> str:
    if answer == "garbage":
        return "Sure! Here is the lead: full_name=John"
    if answer == "length":
        return '{"full_na'
    filled = schema_answer.fill(schema, answer) if schema else dict(answer)
    return json.dumps(filled)


def _check_completion(body: Any) -> dict[str, Any] | None:
    """Return the JSON schema the answer must follow, None when there is none; raise Refusal."""
    if not isinstance(body, dict):
        raise Refusal("We could not parse the JSON body of your request.", code=None)
    for key in body:
        if key not in CompletionCreateParamsNonStreaming.__annotations__:
            raise unknown_parameter(key)
    for key in ("model", "messages"):
        if key not in body:
            raise missing_parameter(key)
    _known(body["model"])
    chat_rules.check_messages(body["messages"])
    chat_rules.check_tools(body)
    _check_temperature(body)
    if body.get("stream"):
        raise Refusal("This emulator does not stream.", param="stream")
    return schema_rules.check(body.get("response_format"), body["messages"])


def _check_temperature(body: dict[str, Any]) -> None:
    temperature = body.get("temperature")
    if temperature is None:
        return
    if not isinstance(temperature, int | float) or not 0 <= temperature <= 2:
        raise Refusal("'temperature' must be between 0 and 2.", param="temperature")
    if body["model"].startswith(_REASONING) and body.get("reasoning_effort") != "none":
        raise Refusal(
            f"Unsupported value: 'temperature' does not support {temperature} with this model.",
            code="unsupported_value",
            param="temperature",
        )


def _known(model: Any) -> str:
    if model not in _MODELS:
        message = f"The model '{model}' does not exist or you do not have access to it."
        raise _Refused(404, Refusal(message, code="model_not_found", param="model"))
    return str(model)


def _model_view(model: str) -> dict[str, Any]:
    view: dict[str, Any] = {
        "id": model,
        "object": "model",
        "created": _CREATED,
        "owned_by": "openai",
    }
    return view | {"shutdown_date": SHUTDOWN_DATES.get(model)}


async def _read(request: Request) -> Any:
    raw = await request.body()
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")


def _error(status: int, refusal: Refusal) -> JSONResponse:
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = {"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.code}
    headers = {"retry-after-ms": "5"} if status == 429 else {}
    return JSONResponse({"error": body}, status_code=status, headers=headers)
