"""The words that columns hold: kinds, states and sources. No tables, no queries."""

from enum import StrEnum


class Channel(StrEnum):
    """The door a conversation came through."""

    VOICE = "voice"
    SMS = "sms"
    WHATSAPP = "whatsapp"
    CHAT = "chat"
    LIVE_CHAT = "live_chat"
    WEB_FORM = "web_form"
    MISSED_CALL = "missed_call"
    API = "api"

    @classmethod
    def by_message(cls) -> frozenset["Channel"]:
        """Return where people have a number, and get their answers as messages of their own."""
        return frozenset({cls.SMS, cls.WHATSAPP})

    @classmethod
    def chats(cls) -> frozenset["Channel"]:
        """Return where people get the answer in the response; one may go on through the other."""
        return frozenset({cls.CHAT, cls.LIVE_CHAT})

    @classmethod
    def typed(cls) -> frozenset["Channel"]:
        """Return where no network shows who it is: their number is what was typed or handed in."""
        return frozenset({cls.WEB_FORM, cls.API})


class ConversationStatus(StrEnum):
    """`OPEN` until every ending's one finaliser has run."""

    OPEN = "open"
    FINISHED = "finished"


class Role(StrEnum):
    """Who said a turn."""

    ASSISTANT = "assistant"
    CALLER = "user"


class Source(StrEnum):
    """Where a field's value comes from, the most trusted first."""

    STAFF = "staff"
    CONFIRMED = "confirmed"
    CALLER_ID = "caller_id"
    TYPED = "typed"
    TOOL = "tool"
    EXTRACTED = "extracted"
    INFERRED = "inferred"


class Axis(StrEnum):
    """What moves in the life of a lead."""

    STAGE = "stage"
    LIFECYCLE = "lifecycle"
    STATUS = "status"
    SCORE = "score"
    OWNER = "owner"


class Lifecycle(StrEnum):
    """What the system is doing with a lead."""

    NEW = "NEW"
    QUALIFYING = "QUALIFYING"
    NURTURING = "NURTURING"
    QUALIFIED = "QUALIFIED"
    SUBMITTED = "SUBMITTED"
    APPOINTMENT_BOOKED = "APPOINTMENT_BOOKED"
    HANDED_OFF = "HANDED_OFF"
    DISQUALIFIED = "DISQUALIFIED"
    MERGED = "MERGED"  # another lead of the same person has all that it had


class SubmissionState(StrEnum):
    """Where a finished lead is on its way to the target."""

    PENDING = "pending"  # waits for its first attempt or, with next_attempt_at, for the next
    IN_FLIGHT = "in_flight"  # committed before the request leaves
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # refused, or retries spent: waits for an operator
    AMBIGUOUS = "ambiguous"  # may have been taken: waits for a review
    HELD = "held"  # the tenant's policy does not let this lead go yet
    RESOLVED = "resolved"  # an operator closed it without sending

    @classmethod
    def open_states(cls) -> frozenset["SubmissionState"]:
        """Return the states in which somebody or something still has work to do."""
        return frozenset({cls.PENDING, cls.IN_FLIGHT, cls.FAILED, cls.AMBIGUOUS, cls.HELD})


class ReviewKind(StrEnum):
    """Why a person must look."""

    EXTRACTION = "extraction"
    AMBIGUOUS_SUBMISSION = "ambiguous_submission"
    MERGE = "merge"
    OPT_OUT = "opt_out"


class TaskKind(StrEnum):
    """What a person is to do for a lead."""

    CALL_BACK = "call_back"
    WRITE_BACK = "write_back"


class Direction(StrEnum):
    """Which way a message went."""

    IN = "in"
    OUT = "out"


class MessageState(StrEnum):
    """Where a message is on its way; only forward, and a terminal state is not left.

    Twilio's words (messaging: status callback) and, before them, ours.
    """

    RECEIVED = "received"
    PENDING = "pending"  # ours: committed, not yet asked of the vendor
    IN_FLIGHT = "in_flight"  # ours: committed before the request leaves
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    BLOCKED = "blocked"  # ours: consent, opt-out or a closed window forbade it


class Purpose(StrEnum):
    """Why a message goes out; what may be sent to whom depends on it."""

    REPLY = "reply"
    FOLLOW_UP = "follow_up"  # begins, or takes up again, a conversation
    NOTICE = "notice"  # the one answer to STOP or HELP
    STAFF = "staff"  # to the business's own people


class ConsentAction(StrEnum):
    """What somebody did with the right to write to them."""

    GRANTED = "granted"
    REVOKED = "revoked"


class Trigger(StrEnum):
    """Why a conversation was given to a person (S2.25-S2.29)."""

    ASKED = "asked_for_human"
    LOW_CONFIDENCE = "low_confidence"
    HIGH_VALUE = "high_value"
    LONG = "long_conversation"
    KEYWORD = "keyword"
    STAFF = "staff"
    HOT = "hot_lead"


class EscalationState(StrEnum):
    """`OPEN`: nobody has it yet; `ACKNOWLEDGED`: somebody does; `RESOLVED`: given back or done."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class KeyKind(StrEnum):
    """What an API key opens: all of its tenant, two doors from one web origin, or all tenants."""

    SECRET = "secret"
    PUBLISHABLE = "publishable"
    ADMIN = "admin"


class TenantStatus(StrEnum):
    """`PAUSED`: who calls or writes still becomes a lead, and nothing is said."""

    ACTIVE = "active"
    PAUSED = "paused"


class DeliveryState(StrEnum):
    """Where an event is on its way to one endpoint; never gone: delivered or parked."""

    PENDING = "pending"
    IN_FLIGHT = "in_flight"
    DELIVERED = "delivered"
    PARKED = "parked"
