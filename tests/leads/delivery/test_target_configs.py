"""What a target said is kept without the password that we sent it."""

from ivr.errors import SubmitError
from ivr.leads.delivery.target_configs import without_password
from ivr.targets.base import Receipt

CONFIG = {"password": "123456"}


def test_a_receipt_that_repeats_our_password_is_kept_without_it() -> None:
    said = {"success": True, "recordID": 123456, "echo": [{"password": "is 123456"}], "none": None}
    kept = without_password(Receipt(status_code=200, response=said), CONFIG).response
    assert kept["success"] is True and kept["recordID"] == 123456 and kept["none"] is None
    assert "123456" not in str(kept["echo"])


def test_a_password_with_marks_of_json_is_found_too() -> None:
    password = 'a"b\\cdefg'
    kept = without_password(
        Receipt(status_code=200, response={"said": f"no {password}"}), {"password": password}
    )
    assert password not in kept.response["said"]


def test_a_refusal_that_repeats_our_password_is_kept_without_it() -> None:
    kept = without_password(SubmitError("wrong: 123456", response="pw=123456"), CONFIG)
    assert "123456" not in str(kept) and "123456" not in str(kept.response)
