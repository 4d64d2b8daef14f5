"""The chat and form that a business puts on its page, and the same as a page of our own.

GET /widget?key=ivr_pk_...   the page; its key belongs to our own origin
GET /widget.js               what other pages load; their key belongs to theirs
"""

from starlette.requests import Request
from starlette.responses import Response

from ivr.runtime import State
from ivr.web.own_files import own_file

# It loads and asks nobody but us; any page may show it in a frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors *"
)


async def page(_: Request[State]) -> Response:
    """The page."""
    return own_file("widget.html", "text/html", {"Content-Security-Policy": _POLICY})


async def code(_: Request[State]) -> Response:
    """The script; pages of every origin may load it."""
    headers = {"Cross-Origin-Resource-Policy": "cross-origin"}
    return own_file("widget.js", "text/javascript", headers)
