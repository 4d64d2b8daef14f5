"""What a target needs to know to send a client's leads: its own settings, else the installation's.

The targets of the settings are those of tenant `default`: nobody else's leads go there, and none of
their credentials go to an address that a client has set.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

from ivr import addresses
from ivr.db.secret_key import secret_key
from ivr.db.tables import Tenant, utc_now
from ivr.errors import BadRequest, Failure, SubmitError
from ivr.redaction import hide_exactly
from ivr.sealing import Seal, Sealed
from ivr.settings import Environment, Settings
from ivr.targets.base import Destination, Receipt
from ivr.tenants import DEFAULT, config
from ivr.tenants.config import NpaTarget, WebhookTarget
from ivr.webhooks import signing

Result = TypeVar("Result", Receipt, SubmitError)


class TargetConfigs:
    """Finds the settings of a target, by tenant."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._resolve = _public if settings.environment is Environment.PRODUCTION else None

    @cached_property
    def _seal(self) -> Seal:
        return Seal(secret_key(self._settings))

    def of(self, tenant: Tenant, target: str) -> dict[str, Any]:
        """Return what `target` is configured with; raise `SubmitError` for a lost secret."""
        own = config.of(tenant).target
        try:
            if isinstance(own, NpaTarget) and own.name == target and own.base_url:
                return self._npa(tenant, own)
            if isinstance(own, WebhookTarget) and own.name == target and own.url:
                return self._webhook(tenant, own)
        except Sealed as exc:
            message = f"config.target: its secret cannot be read ({exc}); set it again and retry"
            raise SubmitError(message, kind=Failure.PERMANENT) from None
        given = target_configs(self._settings).get(target, {})
        if tenant.slug != DEFAULT:
            return {**dict.fromkeys(given), "set_by": _BY_CLIENT.get(target, {})}
        if isinstance(own, NpaTarget) and own.name == target and own.lead_source:
            return {**given, "lead_source": own.lead_source}
        return dict(given)

    def _npa(self, tenant: Tenant, own: NpaTarget) -> dict[str, Any]:
        return {
            "base_url": str(own.base_url).rstrip("/"),
            "username": own.username,
            "password": config.secret(tenant, "password", self._seal),
            "lead_source": own.lead_source or self._settings.npa_lead_source,
            "timeout_seconds": self._settings.npa_timeout_seconds,
            "resolve": self._resolve,
            "set_by": _BY_CLIENT["npa"],
        }

    def _webhook(self, tenant: Tenant, own: WebhookTarget) -> dict[str, Any]:
        return {
            "url": own.url,
            "sign": _signer(config.secret(tenant, "secret", self._seal)),
            "timeout_seconds": self._settings.target_webhook_timeout_seconds,
            "resolve": self._resolve,
        }


# Where whoever reads of a missing setting finds it.
_BY_CLIENT: Mapping[str, Mapping[str, str]] = {
    "npa": {key: f"config.target.{key}" for key in ("base_url", "username", "password")},
    "webhook": {"url": "config.target.url"},
}


def target_configs(settings: Settings) -> dict[str, Mapping[str, Any]]:
    """Return what each target needs of the settings; the target names what is not set, a None."""
    password = settings.npa_api_password
    secret = settings.target_webhook_secret
    return {
        "npa": {
            "base_url": settings.npa_api_base_url,
            "username": settings.npa_api_username,
            "password": password.get_secret_value() if password else None,
            "lead_source": settings.npa_lead_source,
            "timeout_seconds": settings.npa_timeout_seconds,
        },
        "webhook": {
            "url": str(settings.target_webhook_url) if settings.target_webhook_url else None,
            "sign": _signer(secret.get_secret_value() if secret else None),
            "timeout_seconds": settings.target_webhook_timeout_seconds,
        },
    }


def without_password(result: Result, config: Mapping[str, Any]) -> Result:
    """Return what a target said without our password in it, which some repeat: it is kept."""
    hide = hide_exactly([config["password"]] if config.get("password") else [])
    if isinstance(result, Receipt):
        return replace(result, response=_hidden(result.response, hide))
    result.args = tuple(hide(str(words)) for words in result.args)
    result.response = hide(result.response) if result.response else result.response
    return result


def _hidden(said: Any, hide: Callable[[str], str]) -> Any:
    """Return JSON with its texts hidden; what else it holds stays what it is."""
    match said:
        case str():
            return hide(said)
        case dict():
            return {hide(key): _hidden(value, hide) for key, value in said.items()}
        case list():
            return [_hidden(item, hide) for item in said]
    return said


def _signer(secret: str | None) -> Callable[[str, bytes], dict[str, str]] | None:
    """Return what signs a message, by its id and body; None without a secret."""
    if secret is None:
        return None
    return lambda message_id, body: signing.headers(
        [secret], message_id=message_id, body=body, now=utc_now()
    )


async def _public(url: str) -> Destination:
    """Return where a request to a client's address goes: never into our own network."""
    try:
        found = await addresses.destination(url, only_public=True)
    except BadRequest as exc:
        raise SubmitError(f"config.target: {exc}", kind=Failure.PERMANENT) from exc
    except OSError as exc:
        raise SubmitError(f"the target's host is not found: {exc}") from exc
    return Destination(str(found.url), found.headers, found.extensions)
