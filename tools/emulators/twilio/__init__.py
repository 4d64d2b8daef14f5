"""A strict Twilio: signed webhooks, TwiML, media streams with a play-out clock, REST, faults."""

from tools.emulators.twilio.account import TwilioViolation
from tools.emulators.twilio.call import Call
from tools.emulators.twilio.emulator import TwilioEmulator
from tools.emulators.twilio.faults import Faults
from tools.emulators.twilio.stream import Stream

__all__ = ["Call", "Faults", "Stream", "TwilioEmulator", "TwilioViolation"]
