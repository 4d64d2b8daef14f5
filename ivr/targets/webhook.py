"""The target "webhook": one signed POST of JSON per lead to an address of the tenant's own.

Any 2xx takes the lead. A receiver knows a second attempt by the header `webhook-id`, the lead's
reference. How the signature is made is for whoever configures us.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from ivr.errors import Failure, SubmitError
from ivr.targets.base import KEPT_CHARACTERS, Handover, Receipt, failure_of, post, retry_after

Sign = Callable[[str, bytes], dict[str, str]]  # a message's id and body -> its headers


class Webhook:
    """Whatever listens at the address."""

    async def submit(
        self, http: httpx.AsyncClient, config: Mapping[str, Any], handover: Handover
    ) -> Receipt:
        """POST the lead; `config` has `url`, `sign` (None for unsigned), `timeout_seconds`."""
        if not config.get("url"):
            name = config.get("set_by", {}).get("url", "TARGET_WEBHOOK_URL")
            message = f"the webhook is not set up: {name} missing; set and retry"
            raise SubmitError(message, kind=Failure.PERMANENT)
        content = request_body(handover)
        sign: Sign | None = config.get("sign")
        response = await post(
            http,
            config["url"],
            timeout_seconds=config["timeout_seconds"],
            content=content,
            headers={
                "Content-Type": "application/json",
                **(sign(handover.reference, content) if sign else {}),
            },
            resolve=config.get("resolve"),
        )
        if response.is_success:
            return Receipt(status_code=response.status_code, response=_json_object(response))
        raise SubmitError(
            f"the webhook answered HTTP {response.status_code}",
            kind=failure_of(response.status_code),
            retry_after=retry_after(response),
            status_code=response.status_code,
            response=response.text[:KEPT_CHARACTERS],
        )


def request_body(handover: Handover) -> bytes:
    """Return the document: the lead in the profile's target words; what nobody knows is absent."""
    document = {
        "reference": handover.reference,
        "lead": dict(handover.fields),
        "notes": handover.notes,
    }
    return json.dumps(document, ensure_ascii=False).encode()


def _json_object(response: httpx.Response) -> dict[str, Any]:
    """Return the answer if it is a JSON object; what else a receiver says does not matter."""
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
