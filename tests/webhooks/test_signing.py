"""Signatures, against a value that was made elsewhere."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from ivr.errors import SignatureError
from ivr.webhooks import signing

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER = "whsec_" + base64.b64encode(b"another secret of 32 bytes......").decode()
BODY = b'{"id":"evt_1","type":"realtime.call.incoming"}'
THEN = datetime.fromtimestamp(1_700_000_000, UTC)
MINUTE = timedelta(minutes=1)


def signed(*secrets: str) -> dict[str, str]:
    return signing.headers(secrets or [SECRET], message_id="wh_1", body=BODY, now=THEN)


def test_the_signature_is_the_one_of_standard_webhooks() -> None:
    headers = signed()
    assert headers["webhook-signature"] == "v1,khbPMoQmmNHf2GO/C4qR2EE+px8ZqWZbs8rv5mjZbjc="
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("wh_1", "1700000000")


def test_the_plain_signature_is_a_hex_hmac_of_the_body() -> None:
    plain = signed()["X-Webhook-Signature"]
    assert plain == signing.plain_signature(SECRET, BODY)
    assert plain.startswith("sha256=") and len(plain) == len("sha256=") + 64
    assert plain != signing.plain_signature(SECRET, BODY + b" ")


def test_what_was_signed_lately_is_accepted() -> None:
    for moment in (THEN, THEN + 5 * MINUTE, THEN - 5 * MINUTE):
        assert signing.verify(signed(), BODY, SECRET, now=moment) == "wh_1"


def test_in_a_rotation_either_secret_finds_its_signature() -> None:
    headers = signed(OTHER, SECRET)
    assert len(headers["webhook-signature"].split()) == 2
    for secret in (SECRET, OTHER):
        assert signing.verify(headers, BODY, secret, now=THEN) == "wh_1"


@pytest.mark.parametrize(
    ("changes", "body", "secret", "late"),
    [
        ({}, BODY + b" ", SECRET, 0),
        ({}, BODY, OTHER, 0),
        ({"webhook-id": "wh_2"}, BODY, SECRET, 0),
        ({"webhook-timestamp": "1700000001"}, BODY, SECRET, 0),
        ({"webhook-timestamp": "soon"}, BODY, SECRET, 0),
        ({"webhook-timestamp": "٣"}, BODY, SECRET, 0),
        ({"webhook-signature": ""}, BODY, SECRET, 0),
        ({"webhook-signature": "v1,ünïcode v2,x"}, BODY, SECRET, 0),
        ({}, BODY, SECRET, 301),
        ({}, BODY, SECRET, -301),
    ],
)
def test_anything_else_is_refused(
    changes: dict[str, str], body: bytes, secret: str, late: int
) -> None:
    with pytest.raises(SignatureError):
        now = THEN + timedelta(seconds=late)
        signing.verify({**signed(), **changes}, body, secret, now=now)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(name: str) -> None:
    headers = signed()
    del headers[name]
    with pytest.raises(SignatureError, match=name):
        signing.verify(headers, BODY, SECRET, now=THEN)


def test_secrets_are_long_and_each_its_own() -> None:
    one, two = signing.new_secret(), signing.new_secret()
    assert one != two and one.startswith("whsec_")
    assert len(base64.b64decode(one.removeprefix("whsec_"))) == 32
