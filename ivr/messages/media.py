"""Pictures and files that came with a message: noted where they are, never fetched here."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

MOST = 10  # Twilio, message webhook: MediaUrl0 to MediaUrl9
LONGEST_URL = 2000
LONGEST_TYPE = 100


def read(form: Mapping[str, str], *, api_base_url: str) -> dict[str, Any]:
    """Return {"items": [{url, type}]} as a message keeps it, {} for none.

    Only addresses at Twilio's own API host are kept: whoever fetches them later sends the
    account's credentials there.
    """
    number = form.get("NumMedia", "0")
    many = min(int(number), MOST) if number.isdecimal() else 0
    found = (_item(form, index, api_base_url) for index in range(many))
    items = [item for item in found if item is not None]
    return {"items": items} if items else {}


def _item(form: Mapping[str, str], index: int, api_base_url: str) -> dict[str, str] | None:
    url = form.get(f"MediaUrl{index}", "")
    if len(url) > LONGEST_URL or not _is_at(url, api_base_url):
        return None
    return {"url": url, "type": form.get(f"MediaContentType{index}", "")[:LONGEST_TYPE]}


def _is_at(url: str, api_base_url: str) -> bool:
    try:
        asked, api = urlsplit(url), urlsplit(api_base_url)
        return (asked.scheme, asked.hostname, asked.port, asked.username) == (
            *(api.scheme, api.hostname, api.port),
            None,
        )
    except ValueError:  # not an address at all
        return False
