"""What a sender has seen of a row: `ETag`, `If-Match` and `If-None-Match` (RFC 9110, 8.8 and 13).

The tag is made of the very bytes of the answer: who changes anything that is shown changes it.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel
from starlette.responses import Response

from ivr.errors import BadRequest, PreconditionFailed

_ANY = "*"
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
# There is one way to read it only: who sends many commas must not have us try them all.
_TAGS = re.compile(rf"[\s,]*{_TAG}(?:\s*,[\s,]*{_TAG})*[\s,]*")

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=2000,
        description="The `ETag` of what was read: 412 if that has changed.",
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        max_length=2000,
        description="The `ETag` of what was read: 304 if that is the same.",
    ),
]


def etag(body: BaseModel) -> str:
    """Return the strong tag of a representation, quoted."""
    return _tag_of(_bytes_of(body))


def demand(if_match: str | None, current: str) -> None:
    """Raise `PreconditionFailed` unless the sender has seen what is there, or does not ask."""
    if if_match is None or if_match.strip() == _ANY:
        return
    if current not in _read(if_match, "If-Match"):
        raise PreconditionFailed("If-Match: it was changed since it was read; read it again")


def answer(
    body: BaseModel,
    *,
    if_none_match: str | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a representation with its tag, or 304 to who has it already."""
    content = _bytes_of(body)
    tag = _tag_of(content)
    headers = {**(headers or {}), "ETag": tag}
    if if_none_match is not None and _is_seen(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    return Response(content, status, headers, media_type="application/json")


def _bytes_of(body: BaseModel) -> bytes:
    return body.model_dump_json().encode()


def _tag_of(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'


def _is_seen(if_none_match: str, current: str) -> bool:
    if if_none_match.strip() == _ANY:
        return True
    # A proxy that compresses makes a weak tag of ours; for reading that is the same.
    return current in {tag.removeprefix("W/") for tag in _read(if_none_match, "If-None-Match")}


def _read(header: str, name: str) -> list[str]:
    if not _TAGS.fullmatch(header):
        raise BadRequest(f'{name}: expected a tag in quotation marks, such as "5d41...", or *')
    return re.findall(_TAG, header)
