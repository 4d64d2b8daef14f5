"""Somebody who texts the business: signed inbound webhooks, as Twilio sends them, odd ones too.

Twilio, messaging: webhook request; opt-out keywords.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tools.emulators.twilio.account import new_sid
from tools.emulators.twilio.messages import WHATSAPP, Message, Messages
from tools.emulators.twilio.webhooks import Exchange

# Twilio's defaults for long codes; it answers these by itself and calls the webhook all the same.
STOP_WORDS = frozenset("STOP UNSUBSCRIBE END QUIT STOPALL REVOKE OPTOUT CANCEL".split())
START_WORDS = frozenset("START YES UNSTOP".split())


@dataclass(frozen=True, slots=True)
class Letter:
    """An inbound message as it is sent: again with the same ids is a duplicate."""

    fields: Mapping[str, str]
    idempotency_token: str

    @property
    def sid(self) -> str:
        """Return the MessageSid."""
        return self.fields["MessageSid"]


class Texter:
    """One person with one phone, writing to one of the business's numbers."""

    def __init__(
        self, messages: Messages, number: str, business: str, *, url: str, whatsapp: bool
    ) -> None:
        self.number, self.business = number, business
        self._messages = messages
        self._url = url
        self._prefix = WHATSAPP if whatsapp else ""

    @property
    def received(self) -> list[Message]:
        """Return the messages on this phone, oldest first."""
        address = f"{self._prefix}{self.number}"
        return [m for m in self._messages.taken if m["to"] == address]

    def letter(
        self,
        body: str,
        *,
        media: Sequence[tuple[str, str]] = (),
        opt_out_type: str | None = None,
        **extra: str,
    ) -> Letter:
        """Return a message that is not sent yet; `media`: (url, content type); `extra` wins."""
        sid = new_sid("MM" if media else "SM")
        fields = {
            **{"MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid},
            "AccountSid": self._messages.account.sid,
            "ApiVersion": "2010-04-01",
            "SmsStatus": "received",
            "From": f"{self._prefix}{self.number}",
            "To": f"{self._prefix}{self.business}",
            "Body": body,
            "NumMedia": str(len(media)),
            "NumSegments": "1",
            **self._of_channel(),
        }
        for index, (url, kind) in enumerate(media):
            fields |= {f"MediaUrl{index}": url, f"MediaContentType{index}": kind}
        if opt_out_type:
            fields["OptOutType"] = opt_out_type
        return Letter({**fields, **extra}, secrets.token_hex(16))

    def _of_channel(self) -> dict[str, str]:
        if not self._prefix:
            return {"FromCountry": "US", "ToCountry": "US", "FromState": "GA", "FromCity": ""}
        wa_id = self.number.removeprefix("+")
        return {"ProfileName": "John", "WaId": wa_id, "MessageType": "text"}

    async def text(self, body: str, *, duplicate: bool = False, **options: object) -> Exchange:
        """Write something; with `duplicate` Twilio tells of it twice at once. `options`: `letter`.

        Returns how the server answered, of two equal requests the second.
        """
        letter = self.letter(body, **options)  # type: ignore[arg-type]  # its own keywords
        sends = [self.post(letter) for _ in range(2 if duplicate else 1)]
        return (await asyncio.gather(*sends))[-1]

    async def post(self, letter: Letter) -> Exchange:
        """Deliver a letter, for the first time or again."""
        self._keep_opt_out(letter)
        return await self._messages.account.webhooks.send(
            self._messages.account.webhooks.address.public_url(self._url),
            dict(letter.fields),
            idempotency_token=letter.idempotency_token,
        )

    def _keep_opt_out(self, letter: Letter) -> None:
        """Twilio itself blocks SMS to who sent STOP; for WhatsApp it does nothing."""
        word = letter.fields["Body"].strip().upper()
        if self._prefix:
            return
        if word in STOP_WORDS:
            self._messages.opted_out.add(self.number)
        elif word in START_WORDS:
            self._messages.opted_out.discard(self.number)
