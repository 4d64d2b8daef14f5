"""Media of inbound messages: noted where it is, and only where Twilio keeps it."""

import pytest

from ivr.messages import media

API = "https://api.twilio.com"
URL = f"{API}/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1"


def test_pictures_are_noted_with_their_type():
    form = {
        "NumMedia": "2",
        **{"MediaUrl0": URL, "MediaContentType0": "image/jpeg"},
        **{"MediaUrl1": f"{URL}2", "MediaContentType1": "image/png"},
    }
    assert media.read(form, api_base_url=API) == {
        "items": [{"url": URL, "type": "image/jpeg"}, {"url": f"{URL}2", "type": "image/png"}]
    }


@pytest.mark.parametrize("number", ["0", "", "-1", "two", "٢x"])
def test_without_media_nothing_is_noted(number):
    form = {"NumMedia": number, "MediaUrl0": URL}
    assert media.read(form, api_base_url=API) == {}
    assert media.read({}, api_base_url=API) == {}


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://api.twilio.com.evil.example/x",
        "https://evil.example/https://api.twilio.com/x",
        "https://user:pass@api.twilio.com/x",
        "https://api.twilio.com@evil.example/x",
        "http://api.twilio.com/x",
        "https://api.twilio.com:8443/x",
        "https://[bad/x",
        "https://api.twilio.com:99999/x",
        "//api.twilio.com/x",
        f"{API}/{'x' * 3000}",
        "",
    ],
)
def test_an_address_that_is_not_twilios_is_not_kept(url):
    form = {"NumMedia": "1", "MediaUrl0": url, "MediaContentType0": "image/jpeg"}
    assert media.read(form, api_base_url=API) == {}


def test_no_more_than_ten_are_looked_at():
    form = {"NumMedia": "9999999", **{f"MediaUrl{n}": URL for n in range(50)}}
    assert len(media.read(form, api_base_url=API)["items"]) == 10
