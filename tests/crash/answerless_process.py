"""`tests.crash.server_process` for a server that dies once with an answer on its lips.

It does so where the file exists that DIE_BEFORE_ANSWER names: what it was asked for is done, its
first word of the answer to a POST does not leave any more.
"""

import os
import signal
from pathlib import Path
from typing import Any

import ivr.server
from tests.crash.server_process import main

SWITCH = "DIE_BEFORE_ANSWER"


class Answerless:
    """The application; the rest of it asks the one inside."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def say(message: Any) -> None:
            if scope.get("method") == "POST":
                _die_if_told()
            await send(message)

        await self._app(scope, receive, say)


def _die_if_told() -> None:
    switch = Path(os.environ[SWITCH])
    if switch.exists():
        switch.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    whole = ivr.server.create_app
    ivr.server.create_app = lambda *given, **more: Answerless(whole(*given, **more))  # type: ignore[assignment,return-value]  # as good as one
    main()
