"""An address at which nobody answers."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nobody() -> Iterator[str]:
    """Yield an address that refuses connections; nobody else can take its port meanwhile."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and no listen()
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"
