"""No request may be larger than anybody needs, told beforehand or not."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ivr.doors import body_size
from ivr.doors.request_head import MOST_HEAD_BYTES
from tests.doors.served import Served, served

KIB = 1024


async def _pieces(size: int) -> AsyncIterator[bytes]:
    """A body whose length nobody is told: sent in chunks."""
    for _ in range(size // KIB):
        yield b"x" * KIB


@pytest.mark.parametrize("is_told", [True, False])
async def test_every_route_refuses_what_is_too_large(sqlite_url: str, is_told: bool) -> None:
    async with served(sqlite_url, rate_limit_failures_per_minute=0) as house:
        paths = (await house.client.get("/openapi.json")).json()["paths"]
        routes = [(method, path) for path, item in paths.items() for method in item]
        telephony = [("post", "/twilio/voice"), ("post", "/twilio/sms"), ("post", "/nowhere")]
        for method, path in [route for route in routes if route[0] != "get"] + telephony:
            size = body_size.most_bytes(path) + KIB
            body = b"x" * size if is_told else _pieces(size)
            headers = {"Content-Type": "application/json"}
            answer = await house.ask(method, path, key=house.secret, content=body, headers=headers)
            # A route that does not read the body need not wait for it to refuse for another reason.
            assert answer.status_code in ({413} if is_told else {413, 401, 403, 404, 405, 422}), (
                path
            )
            if answer.status_code == 413:
                assert answer.headers["content-type"] == "application/problem+json"
                assert (
                    answer.json()["detail"] == f"the body: expected at most {size // KIB - 1} KiB"
                )


@pytest.mark.parametrize(
    "path", ["/chat", "/webhooks/web-form", "/api/v1/leads", "/api/v1/clients", "/twilio/sms"]
)
async def test_a_body_of_unknown_length_is_counted_as_it_comes(sqlite_url: str, path: str) -> None:
    async with served(sqlite_url) as house:
        headers = {"Content-Type": "application/json"}
        answer = await house.ask(
            "POST", path, key=house.secret, content=_pieces(4 * KIB * KIB), headers=headers
        )
        assert answer.status_code == 413


async def test_what_is_just_small_enough_is_read(sqlite_url: str) -> None:
    async with served(sqlite_url) as house:
        frame = len(b'{"message":""}')
        body = b'{"message":"' + b"x" * (body_size.MOST_BODY_BYTES - frame) + b'"}'
        answer = await house.ask(
            "POST",
            "/chat",
            key=house.secret,
            content=body,
            headers={"Content-Type": "application/json"},
        )
        assert len(body) == body_size.MOST_BODY_BYTES
        assert answer.status_code == 200


async def test_an_address_has_an_end(sqlite_url: str) -> None:
    async with served(sqlite_url) as house:
        answer = await house.ask("GET", "/leads/stats?x=" + "y" * 9000, key=house.secret)
        assert answer.status_code == 414
        assert answer.json()["title"] in ("URI Too Long", "Request-URI Too Long")


async def _raw(house: Served, *pieces: bytes) -> bytes:
    """Send these bytes and return what comes back before the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET /" + b"x" * KIB,
        b"GET /health HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * KIB,
        b"GET /health HTTP/1.1\r\nHost: a\r\nX-Many: 1\r\n",
        b"POST /chat HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\nx\r\n0\r\nX-After: ",
    ],
    ids=["address", "header", "headers", "trailer"],
)
async def test_a_head_that_never_ends_ends_the_connection(
    sqlite_url: str, beginning: bytes
) -> None:
    many = b"X-More: 1\r\n" * 90 if beginning.endswith(b"\r\n") else b"y" * KIB
    async with served(sqlite_url) as house:
        async with asyncio.timeout(30):
            answer = await _raw(house, beginning, *[many] * (16 * MOST_HEAD_BYTES // KIB))
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401")) or answer == b""


async def test_many_requests_on_one_connection_are_not_one_large_head(sqlite_url: str) -> None:
    async with served(sqlite_url) as house:
        for _ in range(30):
            answer = await house.ask("GET", "/health/live", headers={"X-Some": "y" * 2000})
            assert answer.status_code == 200
