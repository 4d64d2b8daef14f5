"""`ivr.logs`: what really arrives on standard error, ours and other libraries' lines alike."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from ivr import logs

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """Return a reader of the JSON lines written so far."""
    return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_has_time_message_level_and_fields(lines: Lines) -> None:
    logs.configure("json")
    structlog.get_logger("ivr.x").info("call answered", call_sid="CA1", message="a field")
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "message": "call answered",
        "field_message": "a field",
        "call_sid": "CA1",
        "level": "info",
        "logger": "ivr.x",
    }


def test_personal_data_is_hidden_unless_asked_for(lines: Lines) -> None:
    for pii, phone in ((False, "+*********23"), (True, "+17705550123")):
        logs.configure("json", log_pii=pii)
        structlog.get_logger().info("saved", phone="+17705550123")
        assert lines()[0]["phone"] == phone


@pytest.mark.parametrize("name", ["uvicorn.error", "uvicorn.access", "sqlalchemy.engine", "dbos"])
def test_other_libraries_pass_the_same_redaction(lines: Lines, name: str) -> None:
    logs.configure("json", log_pii=True)
    logging.getLogger(name).warning("GET %s from %s", "/x?token=hunter2", "somebody")
    (line,) = lines()
    assert line["message"] == "GET /x?token=*** from somebody"
    assert line["logger"] == name


@pytest.mark.parametrize("name", ["uvicorn.error", "dbos"])
def test_what_a_library_did_to_its_logger_before_is_undone(lines: Lines, name: str) -> None:
    theirs = logging.getLogger(name)
    theirs.handlers[:], theirs.propagate = [logging.StreamHandler()], False
    theirs.setLevel(logging.CRITICAL)
    logs.configure("json")
    theirs.warning("heard, once")
    assert [line["message"] for line in lines()] == ["heard, once"]


def test_a_library_that_adds_its_own_console_finds_one_already() -> None:
    logs.configure("json")
    assert logging.getLogger("dbos").handlers
    assert logging.getLogger("dbos").propagate


def test_extra_fields_of_the_standard_library_are_redacted(lines: Lines) -> None:
    logs.configure("json")
    logging.getLogger("x").warning("refused", extra={"api_key": "hunter2", "full_name": "John"})
    (line,) = lines()
    assert (line["api_key"], line["full_name"]) == ("***", "***")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_the_way_but_no_values(
    capsys: pytest.CaptureFixture[str], log_format: Any
) -> None:
    logs.configure(log_format)
    caller = "John" + " Doe"
    try:
        raise ValueError("cannot call " + "+1770" + "5550123")
    except ValueError:
        structlog.get_logger().exception("call failed", full_name=caller)
        logging.getLogger("x").exception("call failed")
    written = capsys.readouterr().err
    assert written.count("Traceback") == 2
    assert written.count("cannot call +*********23") == 2
    assert "John Doe" not in written
    assert "caller = 'John" not in written  # locals


def test_bound_context_is_redacted_too(lines: Lines) -> None:
    logs.configure("json")
    structlog.contextvars.bind_contextvars(from_number="+17705550123", call_sid="CA1")
    structlog.get_logger().info("ringing")
    (line,) = lines()
    assert (line["from_number"], line["call_sid"]) == ("+*********23", "CA1")


def test_known_secrets_are_hidden_wherever_they_stand(lines: Lines) -> None:
    logs.configure("json", log_pii=True, secrets=["correct horse", ""])
    structlog.get_logger().info("said correct horse", detail={"a": ["the correct horse"]})
    (line,) = lines()
    assert line["message"] == "said ***"
    assert line["detail"] == {"a": ["the ***"]}


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_the_owners_markers_can_be_found_and_their_payload_cannot(
    capsys: pytest.CaptureFixture[str], log_format: Any
) -> None:
    logs.configure(log_format)
    log = structlog.get_logger()
    log.info("=== EXTRACTING LEAD DATA FROM CONVERSATION ===")
    log.info("=== CONVERSATION TEXT:\n%s", "assistant: Your name?\nuser: John Doe")
    log.info("=== EXTRACTED LEAD DATA: %s ===", {"full_name": "John Doe", "phone": None})
    log.error("=== LEAD SUBMISSION FAILED: NPA API error: Unauthorized ===")
    written = capsys.readouterr().err
    for marker in (
        "=== EXTRACTING LEAD DATA FROM CONVERSATION ===",
        "=== CONVERSATION TEXT:",
        "user: [2 words]",
        "=== EXTRACTED LEAD DATA: {",
        "=== LEAD SUBMISSION FAILED: NPA API error: Unauthorized ===",
    ):
        assert marker in written
    assert "John" not in written


def test_the_markers_payload_is_there_for_debugging(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("console", log_pii=True)
    structlog.get_logger().info("=== CONVERSATION TEXT:\nuser: John Doe")
    assert "user: John Doe" in capsys.readouterr().err


def test_configuring_twice_writes_a_line_once(lines: Lines) -> None:
    logs.configure("console")
    logs.configure("json")
    structlog.get_logger().info("once")
    assert [line["message"] for line in lines()] == ["once"]


def test_the_console_does_not_colour_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("console")
    structlog.get_logger().info("plain")
    assert "\x1b" not in capsys.readouterr().err
