"""The target "webhook": what it sends, and what the answers mean."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from ivr.errors import Failure, SubmitError
from ivr.leads.delivery.target_configs import target_configs
from ivr.settings import Settings
from ivr.targets import TARGETS, Handover, Receipt
from ivr.webhooks import signing

URL = "https://crm.example.com/leads"
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
AHMED = Handover(
    fields={"name": "أحمد", "selected_course": "CTA"},
    reference="8a0b2f5e-0000-4000-8000-000000000002",
    notes="Call ended before: goal",
)
Answer = Callable[[httpx.Request], httpx.Response]


class Receiver:
    """Whatever the tenant runs: notes what comes and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answer: Answer = lambda request: httpx.Response(200, json={"id": 7})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer(request)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def http(receiver: Receiver) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(receiver)) as client:
        yield client


async def submit(http: httpx.AsyncClient, **settings: Any) -> Receipt:
    given = {"target_webhook_url": URL, "target_webhook_secret": SECRET, **settings}
    config = target_configs(Settings(_env_file=None, **given))["webhook"]
    return await TARGETS["webhook"].submit(http, config, AHMED)


async def test_a_lead_is_posted_as_json_in_the_targets_words(http, receiver) -> None:
    receipt = await submit(http)
    assert receipt == Receipt(status_code=200, response={"id": 7})
    (request,) = receiver.requests
    assert (request.method, str(request.url)) == ("POST", URL)
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.content) == {
        "reference": AHMED.reference,
        "lead": {"name": "أحمد", "selected_course": "CTA"},
        "notes": "Call ended before: goal",
    }


async def test_the_receiver_can_tell_that_it_was_us_and_that_it_is_the_same_lead(
    http, receiver
) -> None:
    await submit(http)
    (request,) = receiver.requests
    known = signing.verify(request.headers, request.content, SECRET, now=datetime.now(UTC))
    assert known == AHMED.reference


async def test_without_a_secret_the_lead_goes_unsigned(http, receiver) -> None:
    await submit(http, target_webhook_secret=None)
    assert "webhook-signature" not in receiver.requests[0].headers


async def test_any_2xx_takes_the_lead_whatever_it_says(http, receiver) -> None:
    receiver.answer = lambda request: httpx.Response(202, text="thanks")
    assert await submit(http) == Receipt(status_code=202, response={})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Failure.PERMANENT),
        (404, Failure.PERMANENT),
        (302, Failure.PERMANENT),
        (429, Failure.TRANSIENT),
        (503, Failure.TRANSIENT),
        (500, Failure.AMBIGUOUS),
        (504, Failure.AMBIGUOUS),
    ],
)
async def test_a_refusal_is_kept_with_what_may_be_done_next(http, receiver, status, kind) -> None:
    receiver.answer = lambda request: httpx.Response(
        status, text="no room", headers={"retry-after": "30"}
    )
    with pytest.raises(SubmitError, match=f"the webhook answered HTTP {status}") as caught:
        await submit(http)
    error = caught.value
    assert (error.kind, error.status_code, error.response) == (kind, status, "no room")
    assert error.retry_after == 30.0


async def test_without_an_address_it_says_which_setting_is_missing(http, receiver) -> None:
    with pytest.raises(SubmitError, match="TARGET_WEBHOOK_URL missing; set and retry") as caught:
        await submit(http, target_webhook_url=None)
    assert caught.value.kind is Failure.PERMANENT and receiver.requests == []


@pytest.mark.parametrize(
    "wrong", [{"target_webhook_secret": "whsec_?"}, {"target_webhook_url": "crm"}]
)
def test_an_unusable_setting_stops_the_start(wrong) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Settings(_env_file=None, **wrong)
