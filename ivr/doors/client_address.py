"""Who asks, when proxies stand in between.

It is the socket's peer, unless that is a proxy of ours (TRUSTED_PROXIES): then the right-most
address in `X-Forwarded-For` that is none. What stands further left, anybody may have written.
Nothing else of what proxies say is read: what Twilio signs is PUBLIC_BASE_URL.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from starlette.types import Scope

Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]

UNKNOWN = "unknown"
_FORWARDED = b"x-forwarded-for"
_HOME_BITS = 64  # whoever has one address of IPv6 has all that share its first 64 bits
_WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d{1,5})?|([^:]+):\d{1,5}")


def client_address(scope: Scope, trusted: Networks) -> Address | None:
    """Return the address that a request comes from; None when the socket has none."""
    client = scope.get("client")
    found = _parse(client[0]) if client else None
    if found is None or not _is_among(found, trusted):
        return found
    for text in _forwarded(scope):
        address = _parse(text)
        if address is None:
            return found  # nobody knows what it stands for: the proxy that wrote it answers for it
        found = address
        if not _is_among(found, trusted):
            return found
    return found


def home(address: Address | None) -> str:
    """Return what is counted as one visitor: an IPv4 address, or a network of IPv6."""
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), _HOME_BITS), strict=False))
    return UNKNOWN if address is None else str(address)


def _forwarded(scope: Scope) -> Iterator[str]:
    """Yield what stands in `X-Forwarded-For`, the last first; several headers are one list."""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == _FORWARDED]
    yield from (text.strip() for text in reversed(",".join(lines).split(",")))


def _parse(text: str) -> Address | None:
    """Return an address that may have a port behind it, as some proxies write; None for others."""
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_among(address: Address, networks: Networks) -> bool:
    return any(address in network for network in networks)
