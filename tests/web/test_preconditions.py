"""ETag, If-Match and If-None-Match, with literals."""

import pytest
from pydantic import BaseModel

from ivr.doors import preconditions
from ivr.errors import BadRequest, PreconditionFailed


class Row(BaseModel):
    name: str


TAG = preconditions.etag(Row(name="ann"))
OTHER = preconditions.etag(Row(name="bob"))


def test_a_tag_is_strong_quoted_and_made_of_what_is_shown() -> None:
    assert TAG == preconditions.etag(Row(name="ann")) != OTHER
    assert TAG[0] == TAG[-1] == '"' and len(TAG) == 66


@pytest.mark.parametrize("given", [None, "*", TAG, f"{OTHER}, {TAG}", f" {TAG} "])
def test_who_has_seen_what_is_there_may_change_it(given: str | None) -> None:
    preconditions.demand(given, TAG)


@pytest.mark.parametrize("given", [OTHER, f"W/{TAG}", f'{OTHER}, "x"', '""'])
def test_who_has_seen_something_else_may_not(given: str) -> None:
    with pytest.raises(PreconditionFailed, match="If-Match"):
        preconditions.demand(given, TAG)


@pytest.mark.parametrize(
    "given", ["x", TAG[1:], "", f"{TAG} {TAG}", f"{TAG},x", "*, *", f"{TAG}{', ' * 900}x"]
)
def test_what_is_no_tag_is_named(given: str) -> None:
    with pytest.raises(BadRequest, match="If-Match"):
        preconditions.demand(given, TAG)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (None, 200),
        (OTHER, 200),
        (TAG, 304),
        (f"W/{TAG}", 304),
        ("*", 304),
        (f"{OTHER},{TAG}", 304),
    ],
)
def test_who_has_it_already_gets_no_body(given: str | None, status: int) -> None:
    response = preconditions.answer(Row(name="ann"), if_none_match=given)
    assert (response.status_code, response.headers["ETag"]) == (status, TAG)
    assert bytes(response.body) == (b"" if status == 304 else b'{"name":"ann"}')
