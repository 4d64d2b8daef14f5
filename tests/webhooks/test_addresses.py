"""Where a request may go: in production never into our own network."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from ivr.errors import BadRequest
from ivr.webhooks import addresses
from ivr.webhooks.delivery import Deliveries
from tests.leads.cast import Clock
from tests.webhooks import cast

PUBLIC, PRIVATE = "93.184.216.34", "10.1.2.3"
Resolver = Callable[..., Awaitable[list[Any]]]


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example/hook",
        "ftp://crm.example/hook",
        "crm.example/hook",
        "https:///hook",
        "https://user:word@crm.example/hook",
        "https://crm.example/hook#part",
        "https://crm.example:99999/hook",
        "https://crm.example:0/hook",
        "https://[::1/hook",
        "https://crm.example/" + "x" * 2000,
        "https://localhost/hook",
        "https://db.internal/hook",
        "https://127.0.0.1/hook",
        "https://10.1.2.3/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/hook",
        "https://[fe80::1]/hook",
        "https://[::ffff:10.0.0.1]/hook",
        "https://\x00/hook",
    ],
)
def test_in_production_only_public_https_will_do(url: str) -> None:
    with pytest.raises(BadRequest, match="url"):
        addresses.checked(url, only_public=True)


@pytest.mark.parametrize(
    "url", ["https://crm.example/hook?a=b", "https://crm.example:8443/", "https://[2606:4700::1]/x"]
)
def test_public_https_is_taken_as_it_is(url: str) -> None:
    assert addresses.checked(url, only_public=True) == url


@pytest.mark.parametrize("url", ["http://localhost:3000/hook", "http://10.1.2.3/", "https://a.b/"])
def test_in_development_the_own_machine_will_do(url: str) -> None:
    assert addresses.checked(url, only_public=False) == url


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        (PUBLIC, True),
        ("2606:4700::1111", True),
        (PRIVATE, False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.251", False),
        ("fd00::1", False),
        ("ff0e::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::a01:203", False),  # 10.1.2.3 behind a NAT64
        ("64:ff9b::5db8:d822", True),
        ("2002:a01:203::1", False),  # 10.1.2.3 in 6to4
    ],
)
def test_addresses_that_stand_for_others_are_seen_through(address: str, is_public: bool) -> None:
    assert addresses.is_public(ipaddress.ip_address(address)) is is_public


@pytest.fixture
async def resolves_to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have every name mean these addresses, in turn: the resolver of this machine is not ours."""

    def choose(*answers: list[str]) -> None:
        left = list(answers)

        async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
            found = left.pop(0) if len(left) > 1 else left[0]
            return [(0, 1, 6, "", (address, port)) for address in found]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)

    return choose


async def test_the_address_that_was_checked_is_the_one_connected_to(
    resolves_to: Callable[..., None],
) -> None:
    resolves_to([PUBLIC], [PRIVATE])
    to = await addresses.destination("https://crm.example:8443/hook?a=b", only_public=True)
    assert str(to.url) == f"https://{PUBLIC}:8443/hook?a=b"
    assert to.headers == {"Host": "crm.example:8443", "Connection": "close"}
    assert to.extensions == {"sni_hostname": "crm.example"}


@pytest.mark.parametrize("found", [[PRIVATE], [PUBLIC, PRIVATE], ["::1"], []])
async def test_a_name_that_leads_home_is_refused_when_sending(
    resolves_to: Callable[..., None], found: list[str]
) -> None:
    resolves_to(found)
    with pytest.raises(BadRequest, match="public network"):
        await addresses.destination("https://crm.example/hook", only_public=True)


async def test_what_leads_home_is_never_asked_and_noted_as_a_failure(
    sqlite_db: Any, resolves_to: Callable[..., None]
) -> None:
    tenant = await cast.tenant_of(sqlite_db)
    await cast.endpoint_of(sqlite_db, tenant, "https://crm.example/hook")
    await cast.emit(sqlite_db, tenant)
    resolves_to([PRIVATE])
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(204)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        deliveries = Deliveries(sqlite_db, http, only_public=True, clock=Clock())
        await cast.attempt_due(deliveries)
        assert asked == []
        (row,) = await cast.delivery_rows(sqlite_db)
        assert (row.state, row.last_error) == (
            "pending",
            "url: the host is not in the public network",
        )
