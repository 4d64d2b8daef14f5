"""The buyer "NPA": one LeadCreate request per lead. Nothing else knows its words."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx
import zipcodes

from ivr.errors import Failure, SubmitError
from ivr.targets.base import KEPT_CHARACTERS, Handover, Receipt, failure_of, post, retry_after

PATH = "/api/Lead/LeadCreate"
HEADERS = {"Content-Type": "application/json-patch+json", "Accept": "application/json"}

# The smallest picture there is: the buyer's form insists on one.
_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5E"
    "rkJggg=="
)

_SETTINGS = {
    "base_url": "NPA_API_BASE_URL",
    "username": "NPA_API_USERNAME",
    "password": "NPA_API_PASSWORD",
}


class Npa:
    """The buyer's API, version of 2024."""

    async def submit(
        self, http: httpx.AsyncClient, config: Mapping[str, Any], handover: Handover
    ) -> Receipt:
        """POST one LeadCreate; `config` has what `request_body` and `post` read of it."""
        names = {**_SETTINGS, **config.get("set_by", {})}
        missing = [name for key, name in names.items() if not config.get(key)]
        if missing:
            message = f"NPA is not set up: {', '.join(missing)} missing; set and retry"
            raise SubmitError(message, kind=Failure.PERMANENT)
        response = await post(
            http,
            f"{config['base_url']}{PATH}",
            timeout_seconds=config["timeout_seconds"],
            content=json.dumps(request_body(config, handover)).encode(),
            headers=HEADERS,
            resolve=config.get("resolve"),
        )
        return _read(response)


def request_body(config: Mapping[str, Any], handover: Handover) -> dict[str, Any]:
    """Return the LeadCreate document; an unknown field is an empty string (the year 0)."""
    known = handover.fields
    first, last = split_name(known.get("firstName", ""), known.get("lastName", ""))
    return {
        "username": config["username"],
        "password": config["password"],
        "sessionToken": "",
        "dataProviderDealerToken": "",
        "email": known.get("email", ""),
        "phone": known.get("phone", ""),
        "firstName": first,
        "lastName": last,
        "zip": known.get("zip", ""),
        "state": state_of(known.get("state", "")),
        "year": _year(known.get("year", "")),
        "make": known.get("make", ""),
        "model": known.get("model", ""),
        "vin": "N/A",
        "milesHours": "1",
        "askingPrice": 1,
        "images": [_PLACEHOLDER],
        "resizeImages": False,
        "lastStartDate": None,
        "isFinanced": False,
        "financedBankName": "",
        "financedAmount": 0,
        "refNumber": handover.reference,
        "gclid": "",
        "additionalNotes": handover.notes,
        "condition": "",
        "okToText": "true" if known.get("okToText") in {"yes", "true"} else "false",
        "leadSource": config["lead_source"],
    }


_PLACEHOLDER = {
    "url": "",
    "base64": _PIXEL,
    "name": "placeholder.png",
    "id": None,
    "data": "",
    "length": 70,
}


def split_name(first: str, last: str) -> tuple[str, str]:
    """Return first and last name; one field that feeds both is split at its first space."""
    if first != last:
        return first, last
    given, _, family = first.strip().partition(" ")
    return given, family.strip()


def state_of(value: str) -> str:
    """Return the two-letter state of a ZIP code or of a state; "" for anything else."""
    if len(value) == 2 and value.isalpha():
        return value.upper()
    digits = value[:5]
    if not (len(digits) == 5 and digits.isascii() and digits.isdecimal()):
        return ""
    found = zipcodes.matching(digits)  # type: ignore[no-untyped-call]  # no types
    return str(found[0]["state"]) if found else ""


def _year(value: str) -> int:
    """Return the year; 0 for an unknown one, because the buyer's document has a number here."""
    return int(value) if value.isascii() and value.isdecimal() else 0


def _read(response: httpx.Response) -> Receipt:
    """Return the receipt, or raise what the answer means; a refusal may come as 200."""
    answer = _json_object(response)
    if response.is_success:
        if answer.get("success") is True:
            return Receipt(status_code=response.status_code, response=answer)
        if answer.get("success") is not False:
            raise _error(response, "the answer cannot be understood", kind=Failure.AMBIGUOUS)
        raise _error(response, _message(answer) or "refused", kind=Failure.PERMANENT)
    text = _message(answer) or _plain(response) or _phrase(response.status_code)
    raise _error(response, text, kind=failure_of(response.status_code))


def _error(response: httpx.Response, text: str, *, kind: Failure) -> SubmitError:
    return SubmitError(
        f"NPA API error: {text}",
        kind=kind,
        retry_after=retry_after(response),
        status_code=response.status_code,
        response=response.text[:KEPT_CHARACTERS],
    )


def _json_object(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _message(answer: Mapping[str, Any]) -> str:
    """Return the buyer's words; `title` is how its framework words a malformed request."""
    for key in ("message", "Message", "title"):
        text = answer.get(key)
        if isinstance(text, str) and text.strip():
            return text.strip()
    return ""


def _plain(response: httpx.Response) -> str:
    """Return a short answer that is plain text; a web page or JSON says nothing to an operator."""
    kind = response.headers.get("content-type", "")
    text = response.text.strip().strip('"')
    return text if kind.startswith("text/plain") and 0 < len(text) <= 200 else ""


def _phrase(status_code: int) -> str:
    try:
        phrase = HTTPStatus(status_code).phrase
    except ValueError:
        return f"HTTP {status_code}"
    return phrase if status_code == HTTPStatus.UNAUTHORIZED else f"HTTP {status_code} {phrase}"
