"""The web process: every route in one list."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from typing import Any

import structlog
from fastapi import APIRouter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route, WebSocketRoute

from ivr.channels import (
    chat,
    chat_messages,
    live_chat,
    message_status,
    missed_call,
    sms,
    web_form,
    whatsapp,
)
from ivr.channels.cross_origin import CrossOrigin
from ivr.channels.desk import Desk
from ivr.doors import problems
from ivr.doors.body_size import BodySize
from ivr.doors.limits import RateLimits
from ivr.doors.security_headers import SecurityHeaders
from ivr.errors import IvrError, Unavailable
from ivr.leads.profile import Profile, load_profile
from ivr.leads.profile.shelf import ProfileShelf
from ivr.live_calls import LiveCalls
from ivr.runtime import OFFLINE, VoiceModel, open_state
from ivr.settings import Settings
from ivr.vital_signs import Pulse
from ivr.voice import endpoints
from ivr.voice.sweeper import sweeping
from ivr.web import (
    client_keys,
    clients,
    conversations,
    docs_page,
    escalations,
    funnel,
    health,
    lead_lists,
    leads,
    qualification,
    usage,
    widget,
)
from ivr.web.api import create_api

log = structlog.get_logger(__name__)


ROUTES = [
    Route("/twilio/voice-realtime-proxied", endpoints.ring, methods=["POST"]),
    Route("/twilio/voice", endpoints.ring, methods=["POST"]),
    Route("/twilio/voice/after", endpoints.after, methods=["POST"]),
    Route("/twilio/voice/whisper", endpoints.whisper, methods=["POST"]),
    Route("/twilio/voice/status", endpoints.status, methods=["POST"]),
    Route("/twilio/voice-ivr", endpoints.gather, methods=["POST"]),
    Route("/twilio/voice-ivr/collect", endpoints.collect, methods=["POST"]),
    WebSocketRoute("/twilio/voice/stream", endpoints.stream),
    Route("/widget", widget.page, methods=["GET"]),
    Route("/widget.js", widget.code, methods=["GET"]),
    Route("/twilio/sms", sms.inbound, methods=["POST"]),
    Route("/webhooks/sms/inbound", sms.inbound, methods=["POST"]),
    Route("/webhooks/whatsapp/inbound", whatsapp.inbound, methods=["POST"]),
    Route("/twilio/message-status", message_status.status, methods=["POST"]),
    *docs_page.ROUTES,
]

# The JSON interface: FastAPI routers, whose routes come after these.
ROUTERS: list[APIRouter] = [
    health.router,
    chat.router,
    chat_messages.router,
    live_chat.router,
    web_form.router,
    missed_call.router,
    funnel.router,
    escalations.router,
    conversations.router,
    lead_lists.router,
    leads.router,
    clients.router,
    usage.router,
    client_keys.router,
    qualification.router,
]


def create_app(
    settings: Settings, *, live: LiveCalls | None = None, pulse: Pulse | None = None
) -> Starlette:
    """Return the application; while it runs, so does the offline voice if there is no key.

    `live` and `pulse` are for a server that drains the calls and feeds a watchdog.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[Mapping[str, Any]]:
        async with (
            _voice(settings) as voice,
            open_state(settings, voice=voice, live=live, pulse=pulse) as state,
        ):
            async with sweeping(state), Desk.open(state) as desk:
                yield {**state, "desk": desk}

    return Starlette(
        routes=[*ROUTES, Mount("/", create_api(ROUTERS))],
        lifespan=lifespan,
        middleware=_middleware(settings),
        exception_handlers={
            IvrError: problems.explain,
            HTTPException: problems.explain_http,
            Exception: problems.explain_bug,
        },
    )


def _middleware(settings: Settings) -> list[Middleware]:
    """Return what stands before every route, the outermost first.

    A refusal is marked for browsers like any other answer, so that a page can read it.
    """
    is_https = (settings.public_base_url or "").startswith("https://")
    return [
        Middleware(SecurityHeaders, is_https=is_https),
        Middleware(CrossOrigin),
        Middleware(RateLimits, settings),
        Middleware(BodySize),
    ]


def _by_key(settings: Settings) -> Callable[[str], Profile]:
    """Return what finds a profile by its key: the configured one may be a file of the owner's."""
    configured = load_profile(settings.profile)
    return cache(lambda key: configured if key == configured.key else load_profile(key))


@asynccontextmanager
async def _voice(settings: Settings) -> AsyncIterator[VoiceModel | None]:
    """Yield the voice that answers: OpenAI's with a key, else this machine's, else none."""
    if settings.openai_api_key is not None:
        key = settings.openai_api_key.get_secret_value()
        yield VoiceModel(settings.openai_base_url, key, settings.openai_realtime_model)
        return
    from ivr.offline import offline_voice  # heavy, and of no use to who has a key

    async with AsyncExitStack() as stack:
        voice = None
        try:
            shelf = ProfileShelf(_by_key(settings))
            base_url = await stack.enter_async_context(offline_voice(shelf))
            voice = VoiceModel(base_url, OFFLINE, OFFLINE, shelf.put)
        except Unavailable as exc:
            log.warning("no offline voice", problem=str(exc))
        yield voice
