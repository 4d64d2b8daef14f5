"""The chat and form that a business puts on its page, and the same as a page of our own.

GET /widget?key=ivr_pk_...   the page; its key belongs to our own origin
GET /widget.js               what other pages load; their key belongs to theirs
"""

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from ivr.runtime import State

_STATIC = files("ivr.web") / "static"
# It loads and asks nobody but us; any page may show it in a frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors *"
)
_HEADERS = {
    "Cache-Control": "public, max-age=300",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


async def page(_: Request[State]) -> Response:
    """The page."""
    headers = {**_HEADERS, "Content-Security-Policy": _POLICY}
    return Response(_text("widget.html"), media_type="text/html", headers=headers)


async def code(_: Request[State]) -> Response:
    """The script; pages of every origin may load it."""
    headers = {**_HEADERS, "Cross-Origin-Resource-Policy": "cross-origin"}
    return Response(_text("widget.js"), media_type="text/javascript", headers=headers)


def _text(name: str) -> str:
    return (_STATIC / name).read_text(encoding="utf-8")
