"""A goodbye under way: why, whether it has been said, and the mark that proves it was heard."""

from dataclasses import dataclass


@dataclass(slots=True)
class Goodbye:
    """`spoken`: said or asked for; `is_final`: the caller cannot talk us out of it."""

    reason: str
    spoken: bool
    transfer: bool = False
    is_final: bool = False
    mark: str | None = None

    def amend(self, reason: str, *, transfer: bool) -> None:
        """Take over what a later and better informed source says about it."""
        self.reason = reason
        self.transfer = self.transfer or transfer
