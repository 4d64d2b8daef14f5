"""Which addresses an endpoint may have: in production https, and nothing of our own network.

What is checked is what is connected to: a name may mean another address a moment later.
"""

import asyncio
import ipaddress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Any
from urllib.parse import urlsplit

import httpx

from ivr.errors import BadRequest

_LONGEST = 2000
_NAT64 = IPv6Network("64:ff9b::/96")  # leads to the IPv4 address in its last 32 bits (RFC 6052)


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
    if parts.username is not None or parts.fragment or len(url) > _LONGEST:
        raise BadRequest("url: no user name, no fragment, and at most 2000 characters")
    if only_public:
        _refuse_private_literal(parts.hostname)
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
        raise BadRequest("url: the host is not in the public network")
    return addresses[0]


def _refuse_private_literal(host: str) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
            raise BadRequest("url: the host is not in the public network") from None
        return
    if not is_public(address):
        raise BadRequest("url: the host is not in the public network")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address, and the IPv4 address that it may stand for, is a public one."""
    if isinstance(address, IPv6Address) and (inner := _embedded(address)) is not None:
        return is_public(inner)
    return address.is_global and not address.is_multicast


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo
