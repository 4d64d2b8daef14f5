"""The businesses that get leads: found by name and number, set up, paused, changed.

The wire calls them clients. The first start makes `default`: one business needs no others.
"""

from ivr.tenants.directory import (
    DEFAULT,
    by_call,
    by_called_number,
    by_message,
    by_slug,
    ensure_default,
    own_number,
)

__all__ = [
    "DEFAULT",
    "by_call",
    "by_called_number",
    "by_message",
    "by_slug",
    "ensure_default",
    "own_number",
]
