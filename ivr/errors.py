"""Every error this project raises on purpose, each with the HTTP status that a door answers with.

IvrError                  500  a bug, or a part that has no better word
├── SettingsError         500  the configuration cannot work; names the setting
├── ProfileError          500  a profile file is wrong; names file, key and reason
├── BadRequest            400  the request is malformed; names the field and what was expected
├── Unauthorized          401  no key, or one that we do not know
├── Forbidden             403  a key that does not open this door
├── SignatureError        403  a request that its sender did not sign
├── NotFound              404  no such row; names it
├── Conflict              409  the row is not in a state that allows this
├── TooLarge              413  the request is larger than anybody needs
├── Unprocessable         422  a value that cannot be; names the ones that can
├── Unavailable           503  a part that is needed is missing or busy
│   └── DatabaseDown      503  the database cannot be reached, or is locked; later it may work
├── ModelError            502  a model did not give a usable answer
└── SubmitError           502  a target did not take the lead
"""

from enum import StrEnum


class IvrError(Exception):
    """Base of all errors raised on purpose; `str(error)` is fit for an operator's eyes."""

    status = 500


class SettingsError(IvrError):
    """A setting is missing or cannot work."""


class ProfileError(IvrError):
    """A profile cannot be loaded."""


class BadRequest(IvrError):
    """The request is malformed."""

    status = 400


class Unauthorized(IvrError):
    """The request carries no key, or one that we do not know."""

    status = 401


class Forbidden(IvrError):
    """The key does not open this door."""

    status = 403


class SignatureError(IvrError):
    """The request is not signed, or not by whom it should be."""

    status = 403


class NotFound(IvrError):
    """There is no such row."""

    status = 404


class Conflict(IvrError):
    """The row is not in a state that allows this."""

    status = 409


class TooLarge(IvrError):
    """The request is larger than anybody needs."""

    status = 413


class Unprocessable(IvrError):
    """The request is well formed, but a value in it cannot be."""

    status = 422


class Unavailable(IvrError):
    """A part that is needed for this is missing or busy; `retry_after`: seconds, if it said so."""

    status = 503

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DatabaseDown(Unavailable):
    """The database cannot be reached, or is locked; the same work may succeed later."""


class ModelError(IvrError):
    """A model refused, timed out, or answered with something unusable."""

    status = 502


class Failure(StrEnum):
    """What a failed submission means for the next one."""

    TRANSIENT = "transient"  # nothing was taken; trying again may help
    PERMANENT = "permanent"  # the target refused; only a person can help
    AMBIGUOUS = "ambiguous"  # it may have been taken; sending again may double the lead


class SubmitError(IvrError):
    """The target did not take the lead; `kind`: what may be done next; `retry_after`: seconds."""

    status = 502

    def __init__(
        self,
        message: str,
        *,
        kind: Failure = Failure.TRANSIENT,
        retry_after: float | None = None,
        status_code: int | None = None,
        response: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after
        self.status_code = status_code
        self.response = response
