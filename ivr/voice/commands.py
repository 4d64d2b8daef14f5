"""What a `Call` tells its bridge to do, and what the bridge tells it beside the wires' events."""

from dataclasses import dataclass
from enum import StrEnum


class EndReason(StrEnum):
    """Why a call ended, as far as this program decides it; `end_call` adds reasons of its own."""

    CALLER_HUNG_UP = "caller_hung_up"
    GOODBYE = "goodbye"
    TRANSFER = "transfer"
    SILENCE = "silence"
    LENGTH = "length_cap"
    MODEL_SILENT = "model_silent"
    MODEL_FAILED = "model_failed"
    MODEL_REFUSED = "model_refused"
    MODEL_UNREACHABLE = "model_unreachable"
    MODEL_LOST = "model_lost"
    MODEL_STUCK = "model_stuck"
    PHONE_STUCK = "phone_stuck"
    PHONE_LOST = "phone_lost"
    OVERDUE = "overdue"
    SERVER_STOPPED = "server_stopped"
    INTERNAL_ERROR = "internal_error"


# The caller is still on the line and nobody speaks to them any more.
INTERRUPTED = frozenset(
    {
        EndReason.MODEL_SILENT,
        EndReason.MODEL_FAILED,
        EndReason.MODEL_REFUSED,
        EndReason.MODEL_UNREACHABLE,
        EndReason.MODEL_LOST,
        EndReason.MODEL_STUCK,
        EndReason.SERVER_STOPPED,
        EndReason.INTERNAL_ERROR,
    }
)
# The session is gone and the service is not known to be: another one may do.
RECOVERABLE = frozenset({EndReason.MODEL_LOST, EndReason.MODEL_STUCK})
# The stream broke and we could not know why; a call that is still in progress has a caller in it.
LOST_STREAM = frozenset({EndReason.CALLER_HUNG_UP, EndReason.PHONE_STUCK, EndReason.PHONE_LOST})


@dataclass(frozen=True, slots=True)
class ToTwilio:
    frame: str


@dataclass(frozen=True, slots=True)
class ToModel:
    """For the session that was connected last."""

    message: str


@dataclass(frozen=True, slots=True)
class ConnectModel:
    """Open a model session beside the one there may be; answered by `ModelConnected`."""

    session: int


@dataclass(frozen=True, slots=True)
class DropModel:
    """Close a session, connected or not; nothing it still says is of interest."""

    session: int


@dataclass(frozen=True, slots=True)
class ClearTwilio:
    """Send `frame`: nobody is to hear what Twilio still holds."""

    frame: str


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run a tool; its result comes back as `ToolFinished`."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class RecordTurn:
    """Something was said, in the order of the conversation; `role` is user or assistant.

    A turn that was cut holds only the words that were heard. `heard_ms` is None for the user.
    """

    item_id: str
    previous_item_id: str | None
    role: str
    text: str
    cut: bool = False
    heard_ms: int | None = None


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the stream; what happens to the call is for the <Connect>'s action to say."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The last command. `fallback`: the caller is still there and needs another voice."""

    reason: str
    fallback: bool = False


Command = (
    ToTwilio
    | ToModel
    | ClearTwilio
    | RunTool
    | RecordTurn
    | ConnectModel
    | DropModel
    | HangUp
    | Ended
)


@dataclass(frozen=True, slots=True)
class ModelConnected:
    session: int


@dataclass(frozen=True, slots=True)
class ModelGone:
    reason: str
    session: int


@dataclass(frozen=True, slots=True)
class CallerGone:
    """Twilio's socket closed, with or without a `stop` before."""

    reason: str = EndReason.CALLER_HUNG_UP


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool's result: `ends` is the reason to say goodbye now, if any."""

    call_id: str
    output: str
    ends: str | None = None
    transfer: bool = False


BridgeEvent = ModelConnected | ModelGone | CallerGone | ToolFinished
