"""Which addresses an endpoint may have: in production https, and nothing of our own network.

What is checked is what is connected to: a name may mean another address a moment later.
"""

import asyncio
import ipaddress
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any
from urllib.parse import urlsplit

import httpx

from ivr.errors import BadRequest

_LONGEST = 2000
_NOT_THERE = "url: the host is not in the public network"
_UNICAST = IPv6Network("2000::/3")  # all that is given out; what lies beside it has other meanings
# Lead to the IPv4 address in their last 32 bits: NAT64 (RFC 6052), IPv4-compatible (RFC 4291).
_LAST_32_BITS = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
_ISATAP = (0x00005EFE, 0x02005EFE)  # before the last 32 bits (RFC 5214)
# Not all Pythons know that these are special (RFC 6890, RFC 9637); the relays of 6to4; and where a
# machine at Azure asks for its own secrets.
_NOT_PUBLIC_4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
_NOT_PUBLIC_6 = IPv6Network("3fff::/20")
# Programs disagree on what these are: a parser drops them, another ends the host there.
_NEVER = re.compile(r"[\x00-\x20\x7f-\xa0\\]")
# What is an IPv4 address to inet_aton and so to most programs: 2130706433, 0x7f.1, 0177.0.0.1.
_NUMERIC = re.compile(r"(.*\.)?(\d+|0x[\da-f]*)")
_NAME = re.compile(r"[a-z0-9_.-]+")
_OWN_NAMES = ("localhost", "local", "internal", "home.arpa", "localdomain", "lan", "intranet")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request goes, and under which name it is asked there."""

    url: httpx.URL
    headers: dict[str, str]
    extensions: dict[str, Any]


def checked(url: str, *, only_public: bool) -> str:
    """Return the address of an endpoint, or raise `BadRequest` in words for an operator."""
    schemes = ("https",) if only_public else ("https", "http")
    try:
        parts = urlsplit(url)
        port = parts.port
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise BadRequest("url: cannot be read") from error
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        raise BadRequest(f"url: expected {' or '.join(schemes)}://host/path")
    if _NEVER.search(url):
        raise BadRequest("url: no spaces, control characters or backslashes")
    if parts.username is not None or parts.fragment or len(url) > _LONGEST:
        raise BadRequest("url: no user name, no fragment, and at most 2000 characters")
    if only_public:
        _refuse_private_name(httpx.URL(url).raw_host.decode("ascii"))
    return url


async def destination(url: str, *, only_public: bool) -> Destination:
    """Return where to send; raise `BadRequest` or `OSError` when that is not to be or not known."""
    target = httpx.URL(checked(url, only_public=only_public))
    if not only_public:
        return Destination(target, {}, {})
    address = await _public_address(target.host, target.port or 443)
    # A connection is kept for its address: under another name it must not be used again.
    headers = {"Host": target.netloc.decode("ascii"), "Connection": "close"}
    pinned = target.copy_with(host=str(address))
    return Destination(pinned, headers, {"sni_hostname": target.raw_host.decode("ascii")})


async def _public_address(host: str, port: int) -> IPv4Address | IPv6Address:
    """Return the address to connect to; one private among several is enough for a refusal."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port)
    addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
    if not addresses or not all(is_public(address) for address in addresses):
        raise BadRequest(_NOT_THERE)
    return addresses[0]


def _refuse_private_name(host: str) -> None:
    """Raise `BadRequest` for a host of which one can tell without asking anybody."""
    host = host.casefold().removesuffix(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if not _NAME.fullmatch(host):
            raise BadRequest("url: expected a host's name") from None
        is_ours = host.endswith(tuple(f".{name}" for name in _OWN_NAMES)) or "." not in host
        if is_ours or _NUMERIC.fullmatch(host):
            raise BadRequest(_NOT_THERE) from None
        return
    if not is_public(address):
        raise BadRequest(_NOT_THERE)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address, and the IPv4 address that it may stand for, is a public one."""
    if isinstance(address, IPv6Address):
        if (inner := _embedded(address)) is not None:
            return is_public(inner)
        return address.is_global and address in _UNICAST and address not in _NOT_PUBLIC_6
    is_special = address.is_multicast or any(address in network for network in _NOT_PUBLIC_4)
    return address.is_global and not is_special


def _embedded(address: IPv6Address) -> IPv4Address | None:
    last = int(address) & 0xFFFFFFFF
    is_last = any(address in network for network in _LAST_32_BITS)
    if is_last or (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return IPv4Address(last)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo
