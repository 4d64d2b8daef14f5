"""The chat and form that businesses put on their pages, in a real browser."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, async_playwright, expect
from sqlmodel import select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route as Path

from ivr import api_keys, tenants
from ivr.db.tables import KeyKind, Lead, utc_now
from tests.channels.test_chat_messages import PERSON, staff
from tests.channels.world import ANSWERS, World, world
from tests.leads.cast import until
from tools.emulators.serving import serve

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.asyncio(loop_scope="module"),
]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
POLL_MS = 4000
NEWS = "/webhooks/live-chat/messages"
ANSWERS_SHOWN = ".talk .ours:not(.dots)"  # the dots say that an answer is on its way


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for all visitors: each has a context of their own, which knows of no other."""
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        await opened.close()


@dataclass(frozen=True, slots=True)
class Shop:
    """A business's page that loads the widget, and the visitor who looks at it."""

    w: World
    page: Page
    url: str
    problems: list[str]

    async def say(self, text: str) -> str:
        """Write a line and return the answer."""
        ours = self.page.locator(ANSWERS_SHOWN)
        before = await ours.count()
        await self.page.get_by_label("Your message").fill(text)
        await self.page.keyboard.press("Enter")
        await expect(self.page.locator(".talk .waiting")).to_have_count(0)
        await expect(ours).to_have_count(before + 1)
        return await ours.last.inner_text()


@asynccontextmanager
async def shop(w: World, chromium: Browser, *, policy: str = "") -> AsyncIterator[Shop]:
    """Open the page of a business in a browser; it belongs to another origin than ours."""
    key = ""

    async def home(_: Request) -> Response:
        script = f'<script src="{w.url}/widget.js" data-key="{key}" defer></script>'
        html = f'<!doctype html><html lang="en"><title>Shop</title>{script}<h1>Bikes</h1>'
        headers = {"Content-Security-Policy": policy.format(us=w.url)} if policy else {}
        return HTMLResponse(html, headers=headers)

    async with (
        serve(Starlette(routes=[Path("/", home)])) as port,
        visitor(chromium) as (page, problems),
    ):
        url = f"http://127.0.0.1:{port}"
        key = await publishable(w, url)
        await page.goto(url)
        yield Shop(w, page, url, problems)


@asynccontextmanager
async def visitor(chromium: Browser, language: str = "en") -> AsyncIterator[tuple[Page, list[str]]]:
    """Lend the page of somebody who was never here, and what its console complained of."""
    context = await chromium.new_context(locale=language, viewport={"width": 390, "height": 780})
    page = await context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda line: problems.append(line.text) if line.type in {"error", "warning"} else None,
    )
    yield page, problems
    await context.close()


async def publishable(w: World, origin: str) -> str:
    async with w.db.write() as session:
        tenant = await tenants.by_slug(session, tenants.DEFAULT)
        assert tenant is not None, "the first start makes it"
        kind = KeyKind.PUBLISHABLE
        _, key = api_keys.make(
            session, tenant.id, kind=kind, name="shop", origin=origin, now=utc_now()
        )
        return key


async def test_a_visitor_of_another_site_chats_until_the_lead_is_delivered(
    sqlite_url: str, chromium: Browser
) -> None:
    strict = "default-src 'none'; script-src {us}; connect-src {us}"
    async with world(sqlite_url) as w, shop(w, chromium, policy=strict) as s:
        await s.page.get_by_role("button", name="Chat with us").click()
        answers = [await s.say(text) for text in (*ANSWERS[:3], "770 555 0123", *ANSWERS[4:])]
        books = await w.submitted()
        assert s.problems == []
    assert "Goodbye" in answers[-1]
    (lead,) = (row.lead_data for row in books.succeeded)
    assert (lead["full_name"], lead["phone"]) == ("John Doe", "+17705550123")
    assert [row.channel for row in books.succeeded] == ["live_chat"]


async def test_a_talk_goes_on_after_the_page_is_loaded_again(
    sqlite_url: str, chromium: Browser
) -> None:
    async with world(sqlite_url) as w, shop(w, chromium) as s:
        for text in ANSWERS[:2]:
            await s.page.get_by_role("button", name="Chat with us").click()
            await s.say(text)
            await s.page.reload()
        books = await w.books()
    assert len(books.conversations) == len(books.leads) == 1
    assert [turn.text for turn in books.turns if turn.role == "user"] == list(ANSWERS[:2])


async def test_a_message_that_could_not_be_sent_is_sent_once_by_another_try(
    sqlite_url: str, chromium: Browser
) -> None:
    async with world(sqlite_url) as w, shop(w, chromium) as s:
        await s.page.clock.install()
        await s.page.get_by_role("button", name="Chat with us").click()
        await s.page.route("**/webhooks/live-chat", lambda route: route.abort())
        await s.page.get_by_label("Your message").fill("Hi, I want to sell my bike 🏍")
        await s.page.keyboard.press("Enter")
        again = s.page.get_by_role("button", name="Try again")
        for _ in range(4):  # the pauses between its own tries
            await s.page.clock.run_for(10_000)
        await expect(again).to_be_visible()
        await s.page.unroute("**/webhooks/live-chat")
        await again.click()
        await expect(s.page.locator(ANSWERS_SHOWN)).to_have_count(2)
        await expect(again).to_have_count(0)
        books = await w.books()
    assert [turn.text for turn in books.turns if turn.role == "user"] == [
        "Hi, I want to sell my bike 🏍"
    ]


async def test_an_answer_lost_on_its_way_is_asked_for_again_and_the_message_taken_once(
    sqlite_url: str, chromium: Browser
) -> None:
    async with world(sqlite_url) as w, shop(w, chromium) as s:
        answered: list[int] = []

        async def lose_the_first_answer(route: Route) -> None:
            response = await route.fetch()
            answered.append(response.status)
            await (route.abort() if len(answered) == 1 else route.fulfill(response=response))

        await s.page.route("**/webhooks/live-chat", lose_the_first_answer)
        await s.page.get_by_role("button", name="Chat with us").click()
        await s.say("John Doe")
        books = await w.books()
    assert answered == [200, 200]
    assert [turn.role for turn in books.turns] == ["user", "assistant"]


async def test_a_form_says_what_is_missing_and_makes_a_lead(
    sqlite_url: str, chromium: Browser
) -> None:
    async with world(sqlite_url) as w, shop(w, chromium) as s:
        await s.page.get_by_role("button", name="Chat with us").click()
        await s.page.get_by_role("tab", name="Leave a message").click()
        await s.page.get_by_label("Name").fill("John Doe")
        await s.page.get_by_role("button", name="Send").click()
        await expect(s.page.get_by_role("alert")).to_have_text(
            "Please give a phone number or an e-mail address."
        )
        assert not (await w.books()).leads
        await s.page.get_by_label("Phone").fill("770 555 0123")
        await s.page.get_by_label("How can we help you?").fill("I sell a 2020 Yamaha MT-07")
        await s.page.get_by_role("button", name="Send").click()
        await expect(s.page.get_by_role("status")).to_be_visible()
        books = await w.books()
    assert "John Doe" in books.values_of("full_name")
    assert "+17705550123" in books.values_of("phone")
    assert len(books.leads) == 1


async def test_our_own_page_is_the_same_chat_right_to_left_in_arabic(
    sqlite_url: str, chromium: Browser
) -> None:
    async with world(sqlite_url) as w, visitor(chromium, "ar-SA") as (page, problems):
        key = await publishable(w, w.url)
        await page.goto(f"{w.url}/widget?key={key}")
        assert await page.locator(".page").get_attribute("dir") == "rtl"
        await page.get_by_label("رسالتك").fill("مرحبا، أريد بيع دراجتي")
        await page.keyboard.press("Enter")
        await expect(page.locator(ANSWERS_SHOWN)).to_have_count(2)
        books = await w.books()
        assert problems == []
    assert [turn.text for turn in books.turns if turn.role == "user"] == ["مرحبا، أريد بيع دراجتي"]


async def test_a_key_of_another_site_opens_nothing(sqlite_url: str, chromium: Browser) -> None:
    async with world(sqlite_url) as w, visitor(chromium) as (page, _):
        key = await publishable(w, "https://shop.example")
        await page.goto(f"{w.url}/widget?key={key}")
        await page.get_by_label("Your message").fill("Hello")
        await page.keyboard.press("Enter")
        await expect(page.locator(".talk .lost")).to_contain_text("belongs to another site")
        async with w.db.read() as session:
            assert not (await session.exec(select(Lead))).all()


async def seen(page: Page, text: str) -> None:
    """Let the page's clock run until a line is shown."""

    async def is_there() -> bool:
        await page.clock.run_for(POLL_MS)
        return await page.locator(ANSWERS_SHOWN).filter(has_text=text).count() > 0

    await until(is_there)


def polls(page: Page) -> list[str]:
    """Return a list to which every question for news is added."""
    asked: list[str] = []
    page.on("request", lambda it: asked.append(it.url) if NEWS in it.url else None)
    return asked


async def test_a_visitor_who_asks_for_a_person_reads_what_the_person_says_once(
    sqlite_url: str, chromium: Browser
) -> None:
    strict = "default-src 'none'; script-src {us}; connect-src {us}"
    async with world(sqlite_url) as w, shop(w, chromium, policy=strict) as s:
        asked = polls(s.page)
        await s.page.clock.install()
        await s.page.get_by_role("button", name="Chat with us").click()
        said = await s.say(PERSON)
        await staff(w, "take")
        for words in ("Ann here.", "What can I do?"):
            await staff(w, "say", message=words)
            await seen(s.page, words)
        await staff(w, "give-back")

        async def is_left() -> bool:
            await s.page.clock.run_for(POLL_MS)
            return not await s.page.evaluate("localStorage.getItem('ivr-person-since')")

        await until(is_left)
        before = len(asked)
        await s.page.clock.run_for(20 * POLL_MS)
        shown = await s.page.locator(ANSWERS_SHOWN).all_inner_texts()
        assert s.problems == []
    assert shown[1:] == [said, "Ann here.", "What can I do?"]
    assert len(asked) == before, "nobody asks when the assistant has the chat again"


async def test_a_person_s_words_reach_a_visitor_who_went_to_another_page_or_lost_the_network(
    sqlite_url: str, chromium: Browser
) -> None:
    async with world(sqlite_url) as w, shop(w, chromium) as s:
        await s.page.clock.install()
        await s.page.get_by_role("button", name="Chat with us").click()
        await s.say(PERSON)
        await staff(w, "take")
        await staff(w, "say", message="Ann here.")
        await s.page.reload()
        asked = polls(s.page)
        await s.page.clock.run_for(5 * POLL_MS)
        assert asked == [], "nobody looks at it"
        await s.page.route(f"**{NEWS}*", lambda route: route.abort())
        await s.page.get_by_role("button", name="Chat with us").click()

        async def is_lost() -> bool:
            await s.page.clock.run_for(POLL_MS)
            return len(asked) >= 2

        await until(is_lost)
        await s.page.unroute(f"**{NEWS}*")
        await seen(s.page, "Ann here.")
        shown = await s.page.locator(ANSWERS_SHOWN).all_inner_texts()
    assert shown[1:] == ["Ann here."]


async def test_a_person_s_words_come_to_our_own_page_when_somebody_looks_at_it(
    sqlite_url: str, chromium: Browser
) -> None:
    async with world(sqlite_url) as w, visitor(chromium) as (page, problems):
        asked = polls(page)
        await page.clock.install()
        await page.goto(f"{w.url}/widget?key={await publishable(w, w.url)}")
        await page.get_by_label("Your message").fill(PERSON)
        await page.keyboard.press("Enter")
        await expect(page.locator(ANSWERS_SHOWN)).to_have_count(2)
        await staff(w, "take")
        await staff(w, "say", message="Ann here.")
        await page.evaluate("Object.defineProperty(document, 'hidden', {get: () => window.away})")
        await page.evaluate("window.away = true")
        before = len(asked)
        await page.clock.run_for(5 * POLL_MS)
        assert len(asked) == before
        await page.evaluate("window.away = false")
        await seen(page, "Ann here.")
        assert problems == []


async def test_everything_to_press_is_large_enough_for_a_thumb(
    sqlite_url: str, chromium: Browser
) -> None:
    async with world(sqlite_url) as w, shop(w, chromium) as s:
        await s.page.get_by_role("button", name="Chat with us").click()
        await s.page.get_by_role("tab", name="Leave a message").click()
        boxes = [
            await item.bounding_box()
            for item in await s.page.locator(
                "button:visible, input:visible:not([type=checkbox])"
            ).all()
        ]
        width = await s.page.evaluate("document.documentElement.scrollWidth")
    assert boxes and all(box and box["height"] >= 44 and box["width"] >= 44 for box in boxes)
    assert width <= 390, "nothing sticks out of a telephone's screen"
