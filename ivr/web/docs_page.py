"""GET /docs: the API's page, Swagger UI over /openapi.json; it loads nothing from elsewhere."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from ivr.runtime import State
from ivr.web.own_files import own_file

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def page(_: Request[State]) -> Response:
    """The page."""
    return own_file("docs.html", "text/html", {"Content-Security-Policy": _POLICY})


async def code(_: Request[State]) -> Response:
    """What starts Swagger UI: the policy allows no script in the page itself."""
    return own_file("docs.js", "text/javascript")


ROUTES: list[BaseRoute] = [
    Route("/docs", page, methods=["GET"]),
    Route("/docs/docs.js", code, methods=["GET"]),
    Mount("/docs/swagger-ui", StaticFiles(packages=[("fastapi_swagger", "resources")])),
]
