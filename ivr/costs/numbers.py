"""Under which name a phone network's price stands in the table: by direction, country and kind."""

from typing import Literal

import phonenumbers

Direction = Literal["in", "out"]
_ALASKA = "+1907"  # dearer to call than the other states


def voice_model(direction: Direction, number: str | None) -> str:
    """Return the name for minutes: `number` is ours that was called, or theirs that we dialled."""
    if direction == "out" and (number or "").startswith(_ALASKA):
        return "voice-out-us-alaska"
    return "-".join(["voice", direction, *_where(number)])


def message_model(direction: Direction, number: str | None, *, whatsapp: bool, media: bool) -> str:
    """Return the name for a message: `number` is ours that got it, or theirs that it went to."""
    if whatsapp:
        return f"whatsapp-{direction}"
    return f"{'mms' if media else 'sms'}-{direction}-{_where(number)[0]}"


def _where(number: str | None) -> tuple[str, ...]:
    """Return the country and, for minutes, the kind of a number: ("us", "local")."""
    try:
        read = phonenumbers.parse(number or "")
    except phonenumbers.NumberParseException:
        return ("unknown",)
    country = phonenumbers.region_code_for_number(read)
    is_free = phonenumbers.number_type(read) == phonenumbers.PhoneNumberType.TOLL_FREE
    return ((country or "unknown").lower(), "toll-free" if is_free else "local")
