"""The receiver's emulator: it takes what is signed, and names what is wrong with the rest."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from typing import Any

import httpx
import pytest

from tests.leads.cast import until
from tools.emulators.receiver import Receiver, ReceiverFaults, ReceiverViolation

SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes of a secret....").decode()
DOCUMENT = {"type": "lead.stage_changed", "timestamp": "2026-11-20T15:00:00Z", "data": {"seq": 1}}


async def post(
    receiver: Receiver, document: Any = DOCUMENT, *, late: int = 0, **changes: str | None
) -> httpx.Response:
    """Sign a document and post it; `changes` replace headers, None leaves one out."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    stamp = str(int(time.time()) - late)
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = hmac.new(key, f"evt_1.{stamp}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "content-type": "application/json",
        "webhook-id": "evt_1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
        "x-webhook-signature": "sha256=00",
    }
    given = {**headers, **{name.replace("_", "-"): value for name, value in changes.items()}}
    async with httpx.AsyncClient() as http:
        sent = {name: value for name, value in given.items() if value is not None}
        return await http.post(receiver.url, content=body, headers=sent)


async def test_what_is_signed_is_taken_and_counted() -> None:
    async with Receiver("whsec_b2xk", SECRET) as receiver:
        for _ in range(2):
            assert (await post(receiver)).status_code == 204
    assert receiver.ids == {"evt_1": 2}
    assert (receiver.taken[0].type, receiver.taken[0].data) == ("lead.stage_changed", {"seq": 1})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"webhook_signature": "v1,AAAA"}, "no signature"),
        ({"webhook_id": "evt_2"}, "no signature"),
        ({"webhook_id": None}, "webhook-id"),
        ({"late": 301}, "too far"),
        ({"late": -302}, "too far"),
        ({"content_type": "text/plain"}, "not a POST of JSON"),
        ({"x_webhook_signature": None}, "X-Webhook-Signature"),
        ({"document": b"{"}, "not JSON"),
        ({"document": {"type": "x", "data": {}}}, "data., .timestamp., .type"),
        ({"document": {**DOCUMENT, "data": []}}, "data is not an object"),
    ],
)
async def test_what_is_wrong_is_refused_and_named(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ReceiverViolation, match=problem):
        async with Receiver(SECRET) as receiver:
            assert (await post(receiver, **changes)).status_code == 400
    assert receiver.taken == []


async def test_it_fails_as_often_as_it_is_told_to() -> None:
    async with Receiver(SECRET) as receiver:
        receiver.faults = ReceiverFaults(status=429, retry_after="7", times=1)
        refused = await post(receiver)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
        assert (await post(receiver)).status_code == 204
    assert receiver.requests == 2


@pytest.mark.parametrize("faults", [ReceiverFaults(hang_after=True), ReceiverFaults(hang=True)])
async def test_it_falls_silent_before_or_after_it_has_taken_it(faults: ReceiverFaults) -> None:
    async with Receiver(SECRET) as receiver:
        receiver.faults = faults
        posting = asyncio.create_task(post(receiver))
        await until(lambda: receiver.requests == 1)
        receiver.stop()
        with pytest.raises(httpx.TransportError):
            await posting
    assert len(receiver.taken) == faults.hang_after
