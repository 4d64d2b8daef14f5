"""The buyer's emulator: what it takes, what it refuses by name, and how it fails on demand."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tools.emulators.npa import CONTENT_TYPE, NpaEmulator, NpaViolation

PIXEL = base64.b64encode(b"one pixel").decode()
IMAGE = {"url": "", "base64": PIXEL, "name": "placeholder.png", "id": None, "data": "", "length": 9}
LEAD: dict[str, Any] = {
    "username": "buyer",
    "password": "secret",
    "sessionToken": "",
    "dataProviderDealerToken": "",
    "email": "",
    "phone": "7705550123",
    "firstName": "John",
    "lastName": "Doe",
    "zip": "30093",
    "state": "GA",
    "year": 2020,
    "make": "Yamaha",
    "model": "YZF-R3",
    "vin": "N/A",
    "milesHours": "1",
    "askingPrice": 1,
    "images": [IMAGE],
    "resizeImages": False,
    "lastStartDate": None,
    "isFinanced": False,
    "financedBankName": "",
    "financedAmount": 0,
    "refNumber": "5d0f6a54-1111-4222-8333-944455556666",
    "gclid": "",
    "additionalNotes": "",
    "condition": "",
    "okToText": "true",
    "leadSource": "IVR",
}


@pytest.fixture
async def npa() -> AsyncIterator[NpaEmulator]:
    async with NpaEmulator(username="buyer", password="secret") as npa:
        yield npa


async def post(
    npa: NpaEmulator, lead: object = LEAD, *, kind: str = CONTENT_TYPE, patience_s: float = 5.0
) -> httpx.Response:
    content = lead if isinstance(lead, bytes) else json.dumps(lead)
    async with httpx.AsyncClient(trust_env=False, timeout=patience_s) as http:
        url = f"{npa.base_url}/api/Lead/LeadCreate"
        return await http.post(url, content=content, headers={"Content-Type": kind})


async def test_a_correct_lead_is_taken_and_gets_a_record_id(npa: NpaEmulator) -> None:
    answer = await post(npa)

    assert answer.status_code == 200
    assert answer.json() == {
        "success": True,
        "message": "",
        "recordID": answer.json()["recordID"],
    }
    assert answer.json()["recordID"]
    assert npa.leads == [LEAD]


async def test_the_same_lead_twice_is_two_leads(npa: NpaEmulator) -> None:
    first, second = await post(npa), await post(npa)

    assert npa.leads == [LEAD, LEAD]
    assert first.json()["recordID"] != second.json()["recordID"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"year": "2020"}, "year"),
    ({"year": True}, "year"),
    ({"askingPrice": 2}, "askingPrice"),
    ({"askingPrice": True}, "askingPrice"),
    ({"okToText": True}, "okToText"),
    ({"images": []}, "images"),
    ({"images": [{**IMAGE, "base64": "not base64"}]}, "images"),
    ({"images": [{**IMAGE, "size": 1}]}, "images"),
    ({"zip": "3009"}, "zip"),
    ({"state": "Georgia"}, "state"),
    ({"phone": ""}, "phone"),
    ({"resizeImages": 0}, "resizeImages"),
    ({"financedAmount": False}, "financedAmount"),
    ({"firstname": "John"}, "firstname"),
]


async def test_each_wrong_field_is_refused_by_name(npa: NpaEmulator) -> None:
    for change, named in WRONG:
        npa.allow(named)
        answer = await post(npa, {**LEAD, **change})

        assert answer.status_code == 400
        assert named in answer.json()["message"]

    assert npa.leads == []


async def test_a_refused_lead_fails_the_test_at_the_end() -> None:
    with pytest.raises(NpaViolation, match="year: an integer expected"):
        async with NpaEmulator(username="buyer", password="secret") as npa:
            await post(npa, {**LEAD, "year": "2020"})


async def test_each_missing_field_is_refused_by_name(npa: NpaEmulator) -> None:
    npa.allow("missing fields")

    for name in LEAD:
        answer = await post(npa, {key: value for key, value in LEAD.items() if key != name})

        assert (answer.status_code, answer.json()["message"]) == (400, f"missing fields ['{name}']")

    assert npa.leads == []


@pytest.mark.parametrize(
    ("body", "kind", "named"),
    [
        (LEAD, "application/json", "Content-Type"),
        (b"{", CONTENT_TYPE, "not JSON"),
        ([LEAD], CONTENT_TYPE, "not a JSON object"),
    ],
)
async def test_a_wrong_body_is_refused(
    npa: NpaEmulator, body: object, kind: str, named: str
) -> None:
    npa.allow(named)

    answer = await post(npa, body, kind=kind)

    assert answer.status_code == 400
    assert named in answer.json()["message"]
    assert npa.leads == [] and len(npa.requests) == 1


async def test_wrong_credentials_are_an_unsuccessful_200_until_they_are_changed(
    npa: NpaEmulator,
) -> None:
    npa.password = "changed"
    refused = await post(npa)
    npa.password = "secret"
    taken = await post(npa)

    assert (refused.status_code, refused.json()) == (
        200,
        {"success": False, "message": "Unauthorized"},
    )
    assert taken.json()["success"] is True
    assert len(npa.requests) == 2 and len(npa.leads) == 1


async def test_wrong_credentials_can_be_a_401(npa: NpaEmulator) -> None:
    npa.password, npa.faults.unauthorized_status = "changed", 401

    assert (await post(npa)).status_code == 401


async def test_a_status_fault_lasts_as_many_times_as_told(npa: NpaEmulator) -> None:
    npa.faults.status, npa.faults.retry_after, npa.faults.times = 429, "7", 2

    answers = [await post(npa) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "7"
    assert len(npa.leads) == 1


async def test_a_rejection_carries_its_message(npa: NpaEmulator) -> None:
    npa.faults.rejection = "Duplicate vehicle"

    assert (await post(npa)).json() == {"success": False, "message": "Duplicate vehicle"}
    assert npa.leads == []


@pytest.mark.parametrize(("fault", "taken"), [("timeout_before", 0), ("timeout_after", 1)])
async def test_a_timeout_leaves_it_open_whether_the_lead_was_taken(
    npa: NpaEmulator, fault: str, taken: int
) -> None:
    setattr(npa.faults, fault, True)

    with pytest.raises(httpx.ReadTimeout):
        await post(npa, patience_s=0.2)

    assert len(npa.leads) == taken


async def test_a_connection_can_break_after_the_lead_was_taken(npa: NpaEmulator) -> None:
    npa.faults.drop_after = True

    with pytest.raises(httpx.RemoteProtocolError):
        await post(npa)

    assert len(npa.leads) == 1


async def test_answers_can_be_garbage(npa: NpaEmulator) -> None:
    npa.faults.garbage = True
    assert "success" not in (await post(npa)).json()

    npa.faults.garbage, npa.faults.not_json = False, True
    assert "<html>" in (await post(npa)).text


async def test_a_slow_buyer_answers_after_the_time_given(npa: NpaEmulator) -> None:
    npa.faults.slow_s = 0.05
    began = asyncio.get_running_loop().time()

    assert (await post(npa)).json()["success"] is True

    assert asyncio.get_running_loop().time() - began >= 0.05
