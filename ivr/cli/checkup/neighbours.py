"""Examines what is around the house: models, Twilio, the buyer, our public address, the clock.

Each is asked once, read-only. What a neighbour says in an error is not repeated: it may quote
a key.
"""

from datetime import date, timedelta
from http import HTTPStatus
from typing import Any

import httpx

from ivr.cli.checkup.finding import Finding, Link, Visit, no_answer
from ivr.settings import Settings
from ivr.vendors import llm

SOON = timedelta(days=90)
WRONG_CLOCK_SECONDS = 30
HEALTH = "/health/ready"
VOICE_PATHS = ("/twilio/voice-realtime-proxied", "/twilio/voice", "/twilio/voice-ivr")
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


async def check_models(visit: Visit) -> list[Finding]:
    """Ask which models the key may use and when they end (OpenAI: GET /models)."""
    settings, link = visit.settings, Link("models")
    findings = [_who_writes(link, settings)]
    if settings.openai_api_key is not None:
        url = f"{settings.openai_base_url}/models"
        with no_answer(findings, link, url, "OPENAI_BASE_URL, or the network of this machine"):
            token = settings.openai_api_key.get_secret_value()
            response = await visit.get(url, headers={"Authorization": f"Bearer {token}"})
            findings += _models(link, response, settings, visit.now.date())
    if settings.anthropic_api_key is not None:
        findings += await _check_anthropic(visit, link)
    return findings


def _who_writes(link: Link, settings: Settings) -> Finding:
    """Say who answers written messages, first to last."""
    models = {
        "anthropic": (settings.anthropic_reply_model, settings.anthropic_route_model),
        "openai": (settings.openai_reply_model, settings.openai_route_model),
    }
    order = [models[provider] for provider in llm.providers(settings)]
    if not order:
        return link.fine("writing", "no model key: the rules answer who writes")
    said = ", then ".join(f"{reply} ({route} what is simple)" for reply, route in order)
    return link.fine("writing", f"who writes is answered by {said}, then the rules")


def _models(link: Link, response: httpx.Response, settings: Settings, today: date) -> list[Finding]:
    if response.status_code in _REFUSED:
        message = f"OPENAI_API_KEY was refused (HTTP {response.status_code})"
        return [link.broken("refused", message, "make a new key in the OpenAI console")]
    offered = _entries(response)
    if offered is None:
        message = f"{response.url.host} did not list its models (HTTP {response.status_code})"
        return [link.warning("unlisted", message, "a phone call will tell: `ivr call`")]
    wanted = {
        "OPENAI_REALTIME_MODEL": settings.openai_realtime_model,
        "OPENAI_TRANSCRIBE_MODEL": settings.openai_transcribe_model,
        "OPENAI_MODEL": settings.openai_model,
        "OPENAI_REPLY_MODEL": settings.openai_reply_model,
        "OPENAI_ROUTE_MODEL": settings.openai_route_model,
    }
    return [_model(link, name, model, offered, today) for name, model in wanted.items()]


def _entries(response: httpx.Response) -> dict[str, dict[str, Any]] | None:
    try:
        entries = response.json()["data"]
        return {entry["id"]: entry for entry in entries}
    except (ValueError, LookupError, TypeError):
        return None


def _model(
    link: Link, setting: str, model: str, offered: dict[str, dict[str, Any]], today: date
) -> Finding:
    entry = offered.get(model)
    if entry is None:
        message = f"{setting}={model} is not among the {len(offered)} models of this key"
        return link.broken(f"{setting}.unknown", message, f"set {setting} to one that is")
    ends = _day(entry.get("shutdown_date"))
    if ends is None:
        return link.fine(f"{setting}.available", f"{setting}={model} is available")
    choose = f"set {setting} to a newer one"
    if ends <= today:
        message = f"{setting}={model} was shut down on {ends}"
        return link.broken(f"{setting}.shut_down", message, choose)
    days = (ends - today).days
    if ends - today <= SOON:
        message = f"{setting}={model} is shut down on {ends}, in {days} days"
        return link.warning(f"{setting}.ending", message, choose)
    return link.fine(f"{setting}.available", f"{setting}={model} is available until {ends}")


def _day(text: object) -> date | None:
    """Return the day of a `shutdown_date`, which is documented as a date in a string."""
    try:
        return date.fromisoformat(str(text)[:10])
    except ValueError:
        return None


async def _check_anthropic(visit: Visit, link: Link) -> list[Finding]:
    """Ask for each model that the settings name (Anthropic: GET /v1/models/{model_id})."""
    settings = visit.settings
    assert settings.anthropic_api_key is not None, "asked for only with a key"
    findings: list[Finding] = []
    key = settings.anthropic_api_key.get_secret_value()
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    wanted = {
        "ANTHROPIC_MODEL": settings.anthropic_model,
        "ANTHROPIC_REPLY_MODEL": settings.anthropic_reply_model,
        "ANTHROPIC_ROUTE_MODEL": settings.anthropic_route_model,
    }
    url = f"{settings.anthropic_base_url}/v1/models"
    with no_answer(findings, link, url, "ANTHROPIC_BASE_URL, or the network of this machine"):
        for name, model in wanted.items():
            response = await visit.get(f"{url}/{model}", headers=headers)
            if response.status_code in _REFUSED:
                message = f"ANTHROPIC_API_KEY was refused (HTTP {response.status_code})"
                hint = "make a new key in the console"
                return [link.broken("anthropic.refused", message, hint)]
            findings.append(_anthropic(link, response.status_code, name, model))
    return findings


def _anthropic(link: Link, status: int, setting: str, model: str) -> Finding:
    if status == HTTPStatus.OK:
        return link.fine(f"{setting}.available", f"{setting}={model} is available")
    message = f"{setting}={model} cannot be used (HTTP {status})"
    return link.broken(f"{setting}.unknown", message, f"set {setting} to one that exists")


async def check_phone(visit: Visit) -> list[Finding]:
    """Ask Twilio for the account and for what our number does when it is called."""
    settings, link = visit.settings, Link("phone")
    if settings.twilio_sid is None or settings.twilio_auth_token is None:
        return []  # the settings have said so
    findings: list[Finding] = []
    account = f"{settings.twilio_api_base_url}/2010-04-01/Accounts/{settings.twilio_sid}"
    login = (settings.twilio_sid, settings.twilio_auth_token.get_secret_value())
    with no_answer(findings, link, account, "the network of this machine"):
        response = await visit.get(f"{account}.json", auth=login)
        findings.append(_account(link, response))
        if response.status_code == HTTPStatus.OK and settings.twilio_phone_number:
            numbers = await visit.get(
                f"{account}/IncomingPhoneNumbers.json",
                auth=login,
                params={"PhoneNumber": settings.twilio_phone_number},
            )
            findings.append(_webhook(link, numbers, settings))
    return findings


def _account(link: Link, response: httpx.Response) -> Finding:
    if response.status_code in _REFUSED | {HTTPStatus.NOT_FOUND}:
        message = f"Twilio refused TWILIO_SID and TWILIO_AUTH_TOKEN (HTTP {response.status_code})"
        return link.broken("refused", message, "both stand in the Twilio console, Account Info")
    status = _member(response, "status")
    if response.status_code == HTTPStatus.OK and status in {"active", None}:
        return link.fine("account", "Twilio accepts the account")
    message = f"the Twilio account is {status or f'not readable (HTTP {response.status_code})'}"
    return link.broken("account", message, "look into the Twilio console")


def _webhook(link: Link, response: httpx.Response, settings: Settings) -> Finding:
    number = settings.twilio_phone_number
    found = _member(response, "incoming_phone_numbers")
    if not isinstance(found, list) or not found:
        message = f"TWILIO_PHONE_NUMBER={number} is not a number of this account"
        return link.broken("number", message, "buy it, or correct the setting")
    asks = str(found[0].get("voice_url") or "")
    base = settings.public_base_url
    hint = f"set its voice webhook to {base or 'https://your.host'}{VOICE_PATHS[0]} (POST)"
    if not asks.endswith(VOICE_PATHS) or (base is not None and not asks.startswith(f"{base}/")):
        return link.warning("webhook", f"calls to {number} go to {asks or 'nowhere'}", hint)
    return link.fine("webhook", f"calls to {number} come to {asks}")


def _member(response: httpx.Response, name: str) -> Any:
    try:
        return response.json().get(name)
    except (ValueError, AttributeError):
        return None


async def check_public(visit: Visit) -> list[Finding]:
    """Ask our own public address whether this program answers there."""
    link, base = Link("public URL"), visit.settings.public_base_url
    if base is None:
        return []  # the settings have said so
    findings: list[Finding] = []
    hint = (
        "is the server running (`ivr serve`), and does the proxy lead to "
        f"{visit.settings.host}:{visit.settings.port}?"
    )
    with no_answer(findings, link, base, hint):
        response = await visit.get(f"{base}{HEALTH}")
        findings.append(_health(link, base, response, hint))
    return findings


def _health(link: Link, base: str, response: httpx.Response, hint: str) -> Finding:
    if _member(response, "live_calls") is None:
        message = f"{base}{HEALTH} is answered by somebody else (HTTP {response.status_code})"
        return link.broken("stranger", message, hint)
    if response.status_code != HTTPStatus.OK:
        message = f"the server behind {base} is not well (HTTP {response.status_code})"
        return link.broken("unwell", message, f"curl {base}{HEALTH}")
    return link.fine("ours", f"{base} leads to this program")


async def check_buyer(visit: Visit) -> list[Finding]:
    """See whether the buyer's API answers at all; only a lead would test the credentials."""
    link, base = Link("buyer"), visit.settings.npa_api_base_url
    if base is None:
        return []  # the settings have said so
    findings: list[Finding] = []
    with no_answer(findings, link, base, "NPA_API_BASE_URL, or the network of this machine"):
        response = await visit.get(base)
        message = f"{response.url.host} answers (HTTP {response.status_code})"
        findings.append(
            link.fine("reachable", f"{message}; only a lead would test the credentials")
        )
    return findings


def compare_clocks(visit: Visit) -> list[Finding]:
    """Compare this machine's clock with what the neighbours said."""
    link = Link("clock")
    if not visit.skews:
        return []  # nobody was asked
    skew = sorted(visit.skews)[len(visit.skews) // 2]
    if abs(skew) <= WRONG_CLOCK_SECONDS:
        return [link.fine("right", "agrees with the neighbours")]
    direction = "slow" if skew > 0 else "fast"
    message = f"this machine's clock is {abs(skew):.0f} s {direction}"
    return [link.warning("wrong", message, "run a time service: timedatectl set-ntp true")]
