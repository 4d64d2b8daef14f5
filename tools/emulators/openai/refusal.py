"""How the emulator refuses a message, for the reasons the service names. Sends nothing."""

from typing import Any


class Refusal(Exception):
    """A client event or request that the real service would answer with an error."""

    def __init__(
        self, message: str, *, code: str | None = "invalid_value", param: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param

    def body(self, event_id: str | None = None) -> dict[str, Any]:
        """Return the event's `error` object (openai SDK types/realtime/realtime_error.py)."""
        return {
            "type": "invalid_request_error",
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "event_id": event_id,
        }


def unknown_parameter(param: str) -> Refusal:
    return Refusal(f"Unknown parameter: '{param}'.", code="unknown_parameter", param=param)


def missing_parameter(param: str) -> Refusal:
    return Refusal(
        f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param
    )


def invalid_value(param: str, wanted: str) -> Refusal:
    return Refusal(f"Invalid value for '{param}': {wanted}.", param=param)
