"""The files of `static` as browsers get them; what holds for every answer is added outside."""

from collections.abc import Mapping
from importlib.resources import files

from starlette.responses import Response

_STATIC = files("ivr.web") / "static"
_KEPT = {"Cache-Control": "public, max-age=300"}


def own_file(name: str, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a file; browsers ask again after five minutes."""
    text = (_STATIC / name).read_text(encoding="utf-8")
    return Response(text, media_type=media_type, headers={**_KEPT, **(headers or {})})
