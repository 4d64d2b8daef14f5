"""The servers of these tests are those of the written conversations: no clock makes them wait."""

from tests.channels.conftest import eager, nobody_calls

__all__ = ["eager", "nobody_calls"]  # both for every test here
