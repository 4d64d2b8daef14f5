"""The texts and numbers of requests: what any database holds, and no longer than it is meant to be.

JSON can spell NUL, halves of an emoji and, as most read it, NaN. Every body takes its texts from
here: of another kind they are a 500 on one database and nonsense on the other.
"""

import math
from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints

from ivr.db.engine import storable
from ivr.messages.segments import LONGEST

_VISIBLE = r"[^\s\x00-\x1f]"  # blanks alone say nothing


def _sound(given: object) -> object:
    return storable(given) if isinstance(given, str) else given


def finite(given: object) -> object:
    """Return what was given, unless it is a number that JSON does not have."""
    if isinstance(given, float) and not math.isfinite(given):
        raise ValueError("expected a finite number")
    return given


Sound = BeforeValidator(_sound)

# As they come: what people say, and the names that programs give to things.
Text = Annotated[str, Sound]
Name = Annotated[str, Field(max_length=255), Sound]  # what a name is meant for lies well below

# Typed into a field, where nothing is an answer as well; numbers and ticks come as such.
Typed = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000), Sound]
Value = Annotated[Typed | bool | int | float, BeforeValidator(finite)]

# What says something: a name for people's eyes, why it is done, what a contact is to read.
Short = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=_VISIBLE, max_length=100), Sound
]
Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=_VISIBLE, max_length=500), Sound
]
Words = Annotated[
    str, StringConstraints(strip_whitespace=True, pattern=_VISIBLE, max_length=LONGEST), Sound
]
