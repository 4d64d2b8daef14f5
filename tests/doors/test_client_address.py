"""Whose address counts, whatever a client writes into `X-Forwarded-For`."""

from ipaddress import ip_address
from typing import Any

import pytest

from ivr.doors.client_address import client_address, home
from ivr.errors import SettingsError
from ivr.settings import Settings, load_settings

PROXIES = "127.0.0.1, ::1, 10.0.0.0/8, 2001:db8:aaaa::/48"
CLIENT, LIAR = "203.0.113.9", "198.51.100.66"


def _asked(peer: str | None, *forwarded: str, trusted: str = PROXIES) -> str | None:
    scope: dict[str, Any] = {
        "type": "http",
        "client": (peer, 40000) if peer else None,
        "headers": [(b"x-forwarded-for", line.encode("latin-1")) for line in forwarded],
    }
    networks = Settings(_env_file=None, trusted_proxies=trusted).trusted_networks
    found = client_address(scope, networks)
    return None if found is None else str(found)


@pytest.mark.parametrize(
    ("peer", "forwarded", "asks"),
    [
        (CLIENT, [], CLIENT),
        (CLIENT, [LIAR], CLIENT),
        (CLIENT, ["127.0.0.1"], CLIENT),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [CLIENT], CLIENT),
        ("::1", [CLIENT], CLIENT),
        ("::ffff:127.0.0.1", [CLIENT], CLIENT),
        ("10.2.3.4", [CLIENT], CLIENT),
        ("2001:db8:aaaa::7", [CLIENT], CLIENT),
        ("2001:db8:bbbb::7", [CLIENT], "2001:db8:bbbb::7"),
        # Spoofed: the client wrote the left part itself.
        ("127.0.0.1", [f"{LIAR}, {CLIENT}"], CLIENT),
        ("127.0.0.1", [f"127.0.0.1, {LIAR}, {CLIENT}"], CLIENT),
        ("127.0.0.1", [f"10.0.0.1, {CLIENT}"], CLIENT),
        ("127.0.0.1", [LIAR, CLIENT], CLIENT),
        # Several proxies, one behind the other.
        ("127.0.0.1", [f"{LIAR}, {CLIENT}, 10.9.9.9"], CLIENT),
        ("127.0.0.1", [f"{CLIENT}, 10.9.9.9, 10.8.8.8"], CLIENT),
        ("127.0.0.1", ["10.7.7.7, 10.9.9.9"], "10.7.7.7"),
        # Spellings.
        ("127.0.0.1", ["2001:db8::5"], "2001:db8::5"),
        ("127.0.0.1", ["[2001:db8::5]"], "2001:db8::5"),
        ("127.0.0.1", ["[2001:db8::5]:4711"], "2001:db8::5"),
        ("127.0.0.1", [f"{CLIENT}:4711"], CLIENT),
        ("127.0.0.1", [f"::ffff:{CLIENT}"], CLIENT),
        ("127.0.0.1", ["fe80::1%eth0"], "fe80::1"),
        ("127.0.0.1", [f"  {CLIENT}  "], CLIENT),
        # What is no address is the last proxy's doing.
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", [f"{CLIENT},"], "127.0.0.1"),
        ("127.0.0.1", [f"{CLIENT}, _hidden, 10.9.9.9"], "10.9.9.9"),
        ("127.0.0.1", [f"{CLIENT}\xff"], "127.0.0.1"),
        ("127.0.0.1", ["0x7f.1"], "127.0.0.1"),
        ("127.0.0.1", ["1" * 5000], "127.0.0.1"),
        # A socket without an address.
        (None, [CLIENT], None),
        ("testclient", [CLIENT], None),
    ],
)
def test_it_is_the_last_address_that_no_proxy_of_ours_has(
    peer: str | None, forwarded: list[str], asks: str | None
) -> None:
    assert _asked(peer, *forwarded) == asks


def test_without_proxies_nothing_that_is_written_counts() -> None:
    assert _asked("127.0.0.1", LIAR, trusted="") == "127.0.0.1"


def test_a_network_of_ipv6_is_one_visitor() -> None:
    assert home(ip_address("2001:db8:1:2:3::4")) == home(ip_address("2001:db8:1:2::9"))
    assert home(ip_address("2001:db8:1:2::4")) != home(ip_address("2001:db8:1:3::4"))
    assert home(ip_address(CLIENT)) == CLIENT
    assert home(None) == "unknown"


@pytest.mark.parametrize("text", ["nginx", "10.0.0.1/8", "10.0.0.0/33", "127.0.0.1;::1"])
def test_a_proxy_that_is_no_network_stops_the_start(text: str) -> None:
    with pytest.raises(SettingsError, match="TRUSTED_PROXIES: expected addresses and networks"):
        load_settings(_env_file=None, trusted_proxies=text)
