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
├── Gone                  410  the row has become part of another one, which is named
├── PreconditionFailed    412  the row is not any more what its reader saw
├── TooLarge              413  the request is larger than anybody needs
├── TooLong               414  its address is
├── Unprocessable         422  a value that cannot be; names the ones that can
├── TooMany               429  more requests than one may make in a minute
├── Unavailable           503  a part that is needed is missing or busy
│   └── DatabaseDown      503  the database cannot be reached, or is locked; later it may work
│       └── Undone        503  it has undone our work, for another's sake: nothing was written
├── ModelError            502  a model did not give a usable answer
└── SubmitError           502  a target did not take the lead
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any


class IvrError(Exception):
    """Base of all errors raised on purpose; `str(error)` is fit for an operator's eyes."""

    status = 500
    more: Mapping[str, Any] = {}  # what an answer says beside the words


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


class Gone(IvrError):
    """The row has become part of another one; `more` names it."""

    status = 410

    def __init__(self, message: str, **more: str) -> None:
        super().__init__(message)
        self.more = more


class PreconditionFailed(IvrError):
    """The row is not any more what its reader saw."""

    status = 412


class TooLarge(IvrError):
    """The request is larger than anybody needs."""

    status = 413


class TooLong(IvrError):
    """The address of the request is longer than anybody needs."""

    status = 414


class Unprocessable(IvrError):
    """The request is well formed, but a value in it cannot be.

    `errors`: {"field", "problem"} of each, where the problem's words may repeat what was sent.
    """

    status = 422

    def __init__(self, message: str, *, errors: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(message)
        self.more = {"errors": list(errors)} if errors else {}


class TooMany(IvrError):
    """More requests than one may make; `retry_after`: seconds until there may be another."""

    status = 429

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(IvrError):
    """A part that is needed for this is missing or busy; `retry_after`: seconds, if it said so."""

    status = 503

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DatabaseDown(Unavailable):
    """The database cannot be reached, or is locked; the same work may succeed later."""


class Undone(DatabaseDown):
    """Two waited for each other, and this one's work was undone: it can be done again at once."""


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
