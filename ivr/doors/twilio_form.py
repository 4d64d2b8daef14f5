"""A webhook form as Twilio signed it; nothing is read from who did not sign."""

import re
from urllib.parse import parse_qsl

from starlette.requests import HTTPConnection, Request

from ivr.errors import BadRequest, Unavailable
from ivr.runtime import State
from ivr.vendors.twilio import Signatures

SIGNATURE = "x-twilio-signature"
_HOST = re.compile(r"[\w.-]+(:\d{1,5})?|\[[\da-fA-F:]+\](:\d{1,5})?")


async def signed_form(request: Request[State]) -> dict[str, str]:
    """Return the form that Twilio signed; blank values count and spaces matter (protocol).

    Raises `SignatureError`, `BadRequest`, and `Unavailable` without an auth token to check with.
    """
    checks = signatures(request.state)
    body = await request.body()
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True)
    except ValueError as exc:
        raise BadRequest("the body: expected a UTF-8 form, as Twilio sends it") from exc
    url = f"{base_url(request)}{raw_target(request)}"
    checks.check_form(url, fields, request.headers.get(SIGNATURE))
    return dict(fields)


def signatures(state: State) -> Signatures:
    """Return what checks signatures; raise `Unavailable` when nobody could prove to be Twilio."""
    tokens = state["settings"].twilio_auth_tokens
    if not tokens:
        raise Unavailable("TWILIO_AUTH_TOKEN is not set: nobody can prove to be Twilio")
    return Signatures(tokens)


def base_url(connection: HTTPConnection[State]) -> str:
    """Return our public origin: as set, or in development as asked for."""
    configured = connection.state["settings"].public_base_url
    host = connection.headers.get("host", "")
    if configured is None and not _HOST.fullmatch(host):
        raise BadRequest("Host: expected a name and perhaps a port")
    return configured or f"https://{host}"


def raw_target(connection: HTTPConnection[State]) -> str:
    """Return path and query as they came, percent-encoding and all: that is what was signed."""
    path = connection.scope.get("raw_path", connection.scope["path"].encode()).decode("ascii")
    query = connection.scope.get("query_string", b"").decode("ascii")
    return f"{path}?{query}" if query else path
