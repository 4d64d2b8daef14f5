"""The emulated REST API through the vendor's own client: extraction, shutdown dates, faults."""

from collections.abc import AsyncIterator

import openai as sdk
import pytest
from pydantic import BaseModel, Field

from tools.emulators.openai import OpenAIEmulator
from tools.scenarios import load

MESSAGES = [{"role": "user", "content": "user: John Doe\nassistant: ZIP?\nuser: 30093"}]


class Lead(BaseModel):
    full_name: str | None
    zip_code: str | None
    colour: str | None


class Answer(BaseModel):
    value: str | None
    quote: str | None


class Quoted(BaseModel):
    zip_code: Answer | None
    vehicle_year: int | None
    colour: Answer | None


@pytest.fixture
async def openai() -> AsyncIterator[OpenAIEmulator]:
    async with OpenAIEmulator(load("john_doe")) as emulator:
        yield emulator


@pytest.fixture
async def client(openai) -> AsyncIterator[sdk.AsyncOpenAI]:
    key, url = openai.api_key, openai.base_url
    async with sdk.AsyncOpenAI(api_key=key, base_url=url, max_retries=0) as found:
        yield found


async def extract(client: sdk.AsyncOpenAI, lead: type[BaseModel] = Lead, **options):
    options = {"model": "gpt-4o-mini", "temperature": 0, **options}
    found = await client.chat.completions.parse(messages=MESSAGES, response_format=lead, **options)
    return found.choices[0].message


async def test_the_scenario_says_what_is_extracted_and_the_schema_how(client):
    message = await extract(client)

    assert message.parsed == Lead(full_name="John Doe", zip_code="30093", colour=None)


async def test_nested_answers_are_filled_too(client):
    message = await extract(client, Quoted)

    assert message.parsed == Quoted(
        zip_code=Answer(value="30093", quote="30093"), vehicle_year=2020, colour=None
    )


async def test_prepared_extractions_come_in_their_order(openai, client):
    openai.extractions.extend([{"zip_code": "99501"}, "refusal"])

    first, second, third = [await extract(client) for _ in range(3)]

    assert first.parsed == Lead(full_name=None, zip_code="99501", colour=None)
    assert (second.parsed, bool(second.refusal)) == (None, True)
    assert third.parsed.full_name == "John Doe"


async def test_a_cut_answer_is_told_by_its_finish_reason(openai, client):
    openai.extractions.append("length")

    with pytest.raises(sdk.LengthFinishReasonError):
        await extract(client)


async def test_garbage_is_no_json(openai, client):
    openai.extractions.append("garbage")

    with pytest.raises(ValueError, match="JSON"):
        await extract(client)


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, sdk.AuthenticationError), (429, sdk.RateLimitError), (500, sdk.InternalServerError)],
)
async def test_an_extraction_can_be_an_http_error(openai, client, status, error):
    openai.extractions.append(status)

    with pytest.raises(error):
        await extract(client)


async def test_rest_can_fail_a_number_of_times(openai, client):
    openai.faults.rest_status, openai.faults.rest_times = 500, 1

    with pytest.raises(sdk.InternalServerError):
        await extract(client)
    message = await extract(client)

    assert message.parsed.zip_code == "30093"


async def test_rest_can_hang(openai, client):
    openai.faults.rest_hangs = True

    with pytest.raises(sdk.APITimeoutError):
        await extract(client, timeout=0.05)


async def test_requests_are_kept_without_the_key(openai, client):
    await extract(client)

    request = await openai.requests.first(lambda e: e["type"] == "POST /v1/chat/completions")
    assert request["body"]["temperature"] == 0
    assert request["body"]["response_format"]["json_schema"]["strict"] is True
    assert openai.api_key not in str(request)


async def test_reasoning_models_take_a_temperature_only_without_reasoning(client):
    with pytest.raises(sdk.BadRequestError) as refused:
        await extract(client, model="gpt-6-luna")
    message = await extract(client, model="gpt-6-luna", reasoning_effort="none")

    assert (refused.value.param, refused.value.code) == ("temperature", "unsupported_value")
    assert message.parsed.zip_code == "30093"


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"extra_body": {"temprature": 0}}, "temprature"),
        ({"extra_body": {"messages": []}}, "messages"),
        ({"extra_body": {"messages": [{"role": "boss", "content": "x"}]}}, "messages.0.role"),
    ],
)
async def test_a_wrong_request_is_refused(client, options, param):
    with pytest.raises(sdk.BadRequestError) as refused:
        await extract(client, **options)

    assert refused.value.param == param


async def test_a_model_that_is_gone_is_not_found(client):
    with pytest.raises(sdk.NotFoundError):
        await extract(client, model="gpt-4-turbo")


class WithDefault(BaseModel):
    zip_code: str = "30093"


class WithMinimum(BaseModel):
    year: int = Field(ge=1900)


class WithLength(BaseModel):
    zip_code: str = Field(max_length=5)


class WithAnything(BaseModel):
    extra: dict[str, str]


@pytest.mark.parametrize("lead", [WithDefault, WithMinimum, WithLength, WithAnything])
async def test_strict_mode_refuses_what_the_service_refuses(client, lead):
    with pytest.raises(sdk.BadRequestError) as refused:
        await extract(client, lead)

    assert refused.value.param == "response_format"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
        {
            "type": "object",
            "properties": {"a": {}},
            "required": ["a"],
            "additionalProperties": False,
        },
    ],
)
async def test_a_loose_schema_is_refused(client, schema):
    wanted = {"name": "lead", "strict": True, "schema": schema}
    with pytest.raises(sdk.BadRequestError):
        await client.chat.completions.create(
            model="gpt-4o-mini",
            messages=MESSAGES,
            response_format={"type": "json_schema", "json_schema": wanted},
        )


async def test_models_tell_when_they_shut_down(client):
    listed = {model.id: model async for model in client.models.list()}
    mini = await client.models.retrieve("gpt-4o-mini")

    assert mini.shutdown_date == "2027-01-14"
    assert listed["gpt-6-luna"].shutdown_date is None
    assert "gpt-realtime-2.1" in listed


async def test_a_wrong_key_is_refused(openai):
    async with sdk.AsyncOpenAI(api_key="sk-wrong", base_url=openai.base_url) as client:
        with pytest.raises(sdk.AuthenticationError):
            await client.models.list()
