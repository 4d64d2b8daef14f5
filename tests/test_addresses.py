"""Where a request may go: in production never into our own network."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from ivr import addresses
from ivr.errors import BadRequest
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
        # Spellings of 127.0.0.1 that some programs read as such.
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://0/",
        "https://127.0.0.1./",
        "https://1.2.3.4.5/",
        "https://[::127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[0:0:0:0:0:ffff:127.0.0.1]/",
        "https://１２７.0.0.1/",
        "https://①②⑦.⓪.⓪.①/",
        "https://127。0。0。1/",
        "https://%31%32%37.0.0.1/",
        "https://127.0.0.1%00.crm.example/",
        # Our own names, however written.
        "https://localhost./",
        "https://LOCALHOST/",
        "https://ⓛocalhost/",
        "https://a.localhost/",
        "https://metadata.google.internal/computeMetadata/v1/",
        "https://metadata.google.internal./",
        "https://printer.local/",
        "https://postgres/",
        "https://router.home.arpa/",
        # Whose host programs do not agree on.
        "https://crm.example\\@127.0.0.1/",
        "https://127.0.0.1\\.crm.example/",
        "https://crm.example@127.0.0.1/",
        "https://@crm.example/",
        "https://:word@crm.example/",
        "https://crm.exa\tmple/",
        "https://crm.example/a\nb",
        "https://crm.example/a b",
        "\thttps://crm.example/",
        " https://crm.example/",
        "https://crm.example:443:80/",
        "https://crm.example:-1/",
        "https://crm.example:８０/",
        "https://[fe80::1%25eth0]/",
        "//crm.example/",
        "https:crm.example",
        "https:///crm.example",
        "HTTPS://",
        "gopher://crm.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
    ],
)
def test_in_production_only_public_https_will_do(url: str) -> None:
    with pytest.raises(BadRequest, match="url"):
        addresses.checked(url, only_public=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example/hook?a=b",
        "https://crm.example:8443/",
        "https://crm.example./hook",
        "https://[2606:4700::1]/x",
        "https://93.184.216.34/hook",
        "https://bücher.example/hook",
        "https://4you.example/",
        "https://0x7f.example/",
        "https://crm.example/a%20b?c=%0A",
    ],
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
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("172.16.0.1", False),
        ("172.31.255.255", False),
        ("172.32.0.1", True),
        ("192.168.1.1", False),
        ("169.254.169.254", False),  # what a machine in a cloud asks for its own secrets
        ("100.100.100.200", False),  # the same at Alibaba
        ("192.0.0.192", False),  # at Oracle
        ("168.63.129.16", False),  # at Azure
        ("fd00:ec2::254", False),  # at Amazon
        ("100.127.255.255", False),
        ("100.128.0.1", True),
        ("0.1.2.3", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("198.19.255.255", False),
        ("198.51.100.1", False),
        ("203.0.113.1", False),
        ("192.88.99.1", False),
        ("239.255.255.250", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::7f00:1", False),  # 127.0.0.1, IPv4-compatible
        ("::ffff:0:0", False),
        ("::ffff:5db8:d822", True),
        ("fe80::1", False),
        ("fec0::1", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("100::1", False),
        ("2001:db8::1", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("64:ff9b:1::a01:203", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
        ("2002:a9fe:a9fe::1", False),
        ("2001:0:4136:e378:8000:63bf:f5fe:fdfc", False),  # 10.1.2.3 in Teredo
        ("2606:4700::5efe:a01:203", False),  # 10.1.2.3 in ISATAP
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


@pytest.mark.parametrize(
    "found",
    [
        [PRIVATE],
        [PUBLIC, PRIVATE],
        [PUBLIC, "2606:4700::1", "fd00:ec2::254"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["fe80::1%eth0"],
        ["0.0.0.0"],
        [],
    ],
)
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
        deliveries = Deliveries(sqlite_db, http, only_public=True, seal=cast.SEAL, clock=Clock())
        await cast.attempt_due(deliveries)
        assert asked == []
        (row,) = await cast.delivery_rows(sqlite_db)
        assert (row.state, row.last_error) == (
            "pending",
            "url: the host is not in the public network",
        )


async def test_a_redirect_is_not_followed_home(
    sqlite_db: Any, resolves_to: Callable[..., None]
) -> None:
    tenant = await cast.tenant_of(sqlite_db)
    await cast.endpoint_of(sqlite_db, tenant, "https://crm.example/hook")
    await cast.emit(sqlite_db, tenant)
    resolves_to([PUBLIC])
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        headers = {"Location": "http://169.254.169.254/latest/"}
        return httpx.Response(307, headers=headers, stream=httpx.ByteStream(b""))

    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(transport=transport, follow_redirects=True) as http:
        deliveries = Deliveries(sqlite_db, http, only_public=True, seal=cast.SEAL, clock=Clock())
        await cast.attempt_due(deliveries)
    assert asked == [f"https://{PUBLIC}/hook"]
    (row,) = await cast.delivery_rows(sqlite_db)
    assert (row.state, row.last_error) == ("pending", "HTTP 307 redirects are not followed")
