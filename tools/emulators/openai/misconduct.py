"""What the clients did wrong, for the end of the test. Records; sends nothing."""

from dataclasses import dataclass, field
from typing import Any

from tools.emulators.openai.refusal import Refusal

# A race that every correct client loses now and then.
BENIGN = {"response_cancel_not_active"}


@dataclass
class Misconduct:
    """`violations` break the published protocol; `errors` are all error objects that were sent."""

    violations: list[str] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    _serious: list[str] = field(default_factory=list)

    def violation(self, session: int, kind: Any, refusal: Refusal) -> None:
        where = f" (param {refusal.param})" if refusal.param else ""
        self.violations.append(f"session {session}: {kind}: {refusal.message}{where}")

    def error(self, session: int, error: dict[str, Any]) -> None:
        """Note an error event; those that a violation explains are not counted twice."""
        self.errors.append(error)
        text = f"session {session}: error {error['code']}: {error['message']}"
        explained = any(error["message"] in violation for violation in self.violations)
        if error["code"] not in BENIGN and not explained:
            self._serious.append(text)

    def crash(self, exc: BaseException) -> None:
        """Note a bug of the emulator itself: a test must not pass over it."""
        self._serious.append(f"the emulator crashed: {exc!r}")

    def assert_clean(self) -> None:
        """Raise AssertionError that names everything a correct client would not have done."""
        found = [*self.violations, *self._serious]
        if found:
            raise AssertionError(
                "the OpenAI emulator refused:\n" + "\n".join(f"- {x}" for x in found)
            )
