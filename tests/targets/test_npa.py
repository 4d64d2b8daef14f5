"""The buyer NPA: what we send and what its answers mean, by the strict emulator where it can."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from ivr.errors import Failure, SubmitError
from ivr.targets import TARGETS, Handover, Receipt
from ivr.targets.base import failure_of, retry_after
from ivr.targets.npa import request_body, split_name, state_of
from tools.emulators.npa import NpaEmulator

JOHN = Handover(
    fields={
        "firstName": "John Doe",
        "lastName": "John Doe",
        "phone": "+17705550123",
        "zip": "30093",
        "state": "30093",
        "year": "2020",
        "make": "Yamaha",
        "model": "MT-07",
    },
    reference="8a0b2f5e-0000-4000-8000-000000000001",
    notes="",
)


@pytest.fixture
async def npa() -> AsyncIterator[NpaEmulator]:
    async with NpaEmulator(username="buyer", password="secret") as emulator:
        yield emulator


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


def config(base_url: str | None, **changes: Any) -> dict[str, Any]:
    return {
        "base_url": base_url,
        "username": "buyer",
        "password": "secret",
        "lead_source": "IVR",
        "timeout_seconds": 5.0,
        **changes,
    }


async def submit(http: httpx.AsyncClient, settings: dict[str, Any], lead: Handover) -> Receipt:
    return await TARGETS["npa"].submit(http, settings, lead)


async def refused(http: httpx.AsyncClient, settings: dict[str, Any]) -> SubmitError:
    with pytest.raises(SubmitError) as caught:
        await submit(http, settings, JOHN)
    return caught.value


def answering(respond: Callable[[httpx.Request], httpx.Response]) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(respond))


async def test_the_lead_arrives_in_the_buyers_words(
    npa: NpaEmulator, http: httpx.AsyncClient
) -> None:
    receipt = await submit(http, config(npa.base_url), JOHN)
    (lead,) = npa.leads
    assert receipt.status_code == 200
    assert receipt.response["success"] is True
    picture = lead.pop("images")
    assert lead == {
        "username": "buyer",
        "password": "secret",
        "sessionToken": "",
        "dataProviderDealerToken": "",
        "email": "",
        "phone": "+17705550123",
        "firstName": "John",
        "lastName": "Doe",
        "zip": "30093",
        "state": "GA",
        "year": 2020,
        "make": "Yamaha",
        "model": "MT-07",
        "vin": "N/A",
        "milesHours": "1",
        "askingPrice": 1,
        "resizeImages": False,
        "lastStartDate": None,
        "isFinanced": False,
        "financedBankName": "",
        "financedAmount": 0,
        "refNumber": "8a0b2f5e-0000-4000-8000-000000000001",
        "gclid": "",
        "additionalNotes": "",
        "condition": "",
        "okToText": "false",
        "leadSource": "IVR",
    }
    assert [entry["name"] for entry in picture] == ["placeholder.png"]
    assert len(base64.b64decode(picture[0]["base64"])) == picture[0]["length"]


async def test_a_lead_with_gaps_arrives_with_a_note(
    npa: NpaEmulator, http: httpx.AsyncClient
) -> None:
    lead = Handover(
        fields={"phone": "+17705550123"}, reference="r1", notes="Call ended before: model"
    )
    await submit(http, config(npa.base_url), lead)
    (taken,) = npa.leads
    assert {taken[key] for key in ("firstName", "lastName", "zip", "state", "make")} == {""}
    assert (taken["year"], taken["additionalNotes"]) == (0, "Call ended before: model")


def test_consent_to_texting_is_passed_on() -> None:
    lead = Handover(fields={"okToText": "yes"}, reference="r")
    assert request_body(config("http://npa"), lead)["okToText"] == "true"


@pytest.mark.parametrize("status", [200, 401])
async def test_wrong_credentials_are_unauthorized_for_good(
    npa: NpaEmulator, http: httpx.AsyncClient, status: int
) -> None:
    npa.faults.unauthorized_status = status
    error = await refused(http, config(npa.base_url, password="wrong"))
    assert str(error) == "NPA API error: Unauthorized"
    assert (error.kind, error.status_code) == (Failure.PERMANENT, status)
    assert npa.leads == []


@pytest.mark.parametrize(
    "respond",
    [
        lambda _: httpx.Response(401),
        lambda _: httpx.Response(401, text="Unauthorized"),
        lambda _: httpx.Response(401, json="Unauthorized"),
        lambda _: httpx.Response(401, html="<h1>401</h1>"),
        lambda _: httpx.Response(401, json={"title": "Unauthorized", "status": 401}),
    ],
)
async def test_every_kind_of_401_reads_the_same(
    respond: Callable[[httpx.Request], httpx.Response],
) -> None:
    async with answering(respond) as http:
        error = await refused(http, config("http://npa"))
    assert (str(error), error.kind) == ("NPA API error: Unauthorized", Failure.PERMANENT)


async def test_the_buyers_reason_is_kept(npa: NpaEmulator, http: httpx.AsyncClient) -> None:
    npa.faults.rejection = "Duplicate lead"
    error = await refused(http, config(npa.base_url))
    assert (str(error), error.kind) == ("NPA API error: Duplicate lead", Failure.PERMANENT)
    assert json.loads(error.response or "")["message"] == "Duplicate lead"


async def test_a_buyer_who_is_busy_is_asked_again_when_it_says(
    npa: NpaEmulator, http: httpx.AsyncClient
) -> None:
    npa.faults.status, npa.faults.retry_after = 503, "120"
    error = await refused(http, config(npa.base_url))
    assert (error.kind, error.retry_after) == (Failure.TRANSIENT, 120.0)


@pytest.mark.parametrize("fault", ["timeout_after", "drop_after", "garbage", "not_json"])
async def test_a_lead_that_was_taken_without_saying_so_is_ambiguous(
    npa: NpaEmulator, http: httpx.AsyncClient, fault: str
) -> None:
    setattr(npa.faults, fault, True)
    error = await refused(http, config(npa.base_url, timeout_seconds=0.3))
    assert error.kind is Failure.AMBIGUOUS
    assert len(npa.leads) == 1


async def test_a_buyer_who_cannot_be_reached_took_nothing(http: httpx.AsyncClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    error = await refused(http, config(f"http://127.0.0.1:{port}"))
    assert error.kind is Failure.TRANSIENT
    assert "127.0.0.1 cannot be reached" in str(error)


async def test_a_buyer_who_does_not_answer_the_door_took_nothing(http: httpx.AsyncClient) -> None:
    """A queue of one that is full: the system lets further connections wait."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as queue:
        address = full.getsockname()
        for _ in range(4):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        settings = config(f"http://127.0.0.1:{address[1]}", timeout_seconds=0.4)
        error = await refused(http, settings)
    assert error.kind is Failure.TRANSIENT


async def test_a_buyer_who_never_greets_took_nothing(http: httpx.AsyncClient) -> None:
    """TLS: nothing of the lead leaves before the handshake is over."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        error = await refused(http, config(url, timeout_seconds=0.4))
    assert error.kind is Failure.TRANSIENT


async def test_an_answer_that_drips_is_cut_off_in_time(http: httpx.AsyncClient) -> None:
    """Each read is quick, so only a limit on the whole exchange helps."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            writer.close()
            gone.set()

    gone = asyncio.Event()
    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await refused(http, config(f"http://127.0.0.1:{port}", timeout_seconds=0.2))
        await gone.wait()
    assert error.kind is Failure.AMBIGUOUS


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx.ConnectError("refused"), Failure.TRANSIENT),
        (httpx.ConnectTimeout("no answer"), Failure.TRANSIENT),
        (httpx.PoolTimeout("busy"), Failure.TRANSIENT),
        (httpx.WriteError("broken pipe"), Failure.AMBIGUOUS),
        (httpx.WriteTimeout("slow"), Failure.AMBIGUOUS),
        (httpx.ReadError("reset"), Failure.AMBIGUOUS),
        (httpx.ReadTimeout("slow"), Failure.AMBIGUOUS),
        (httpx.RemoteProtocolError("disconnected"), Failure.AMBIGUOUS),
        (httpx.UnsupportedProtocol("ftp"), Failure.PERMANENT),
    ],
)
async def test_a_broken_exchange_is_judged_by_whether_the_lead_had_left(
    raised: httpx.TransportError, kind: Failure
) -> None:
    def respond(_: httpx.Request) -> httpx.Response:
        raise raised

    async with answering(respond) as http:
        assert (await refused(http, config("http://npa"))).kind is kind


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        ((408, 425, 429, 503), Failure.TRANSIENT),
        ((500, 502, 504, 599), Failure.AMBIGUOUS),
        ((301, 400, 401, 403, 404, 409, 422, 501, 505), Failure.PERMANENT),
    ],
)
def test_every_refusing_status_has_one_meaning(statuses: tuple[int, ...], kind: Failure) -> None:
    assert {failure_of(status) for status in statuses} == {kind}


async def test_missing_settings_are_named_before_anything_is_sent() -> None:
    def respond(_: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing may be sent")

    async with answering(respond) as http:
        error = await refused(http, config(None, password=None))
    assert error.kind is Failure.PERMANENT
    assert str(error) == (
        "NPA is not set up: NPA_API_BASE_URL, NPA_API_PASSWORD missing; set and retry"
    )


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (("John Doe", "John Doe"), ("John", "Doe")),
        (("Mary Ann van der Berg", "Mary Ann van der Berg"), ("Mary", "Ann van der Berg")),
        (("Cher", "Cher"), ("Cher", "")),
        (("", ""), ("", "")),
        (("John", "Doe"), ("John", "Doe")),
    ],
)
def test_one_name_becomes_two(given: tuple[str, str], names: tuple[str, str]) -> None:
    assert split_name(*given) == names


@pytest.mark.parametrize(
    ("value", "state"),
    [("30093", "GA"), ("99501", "AK"), ("ga", "GA"), ("", ""), ("00000", ""), ("abcde", "")],
)
def test_the_state_follows_from_the_zip(value: str, state: str) -> None:
    assert state_of(value) == state


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), ("", None), ("soon", None), ("Wed, 01 Jan 2020 00:00:00 GMT", 0.0)],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after(httpx.Response(503, headers={"Retry-After": header})) == seconds
