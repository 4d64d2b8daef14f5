"""A wire to PostgreSQL that a test cuts, and mends again. In threads: no loop has to run for it."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import make_url


class Wire:
    """Carries one port of this machine to `address`, while it is whole."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.is_hung = False  # bytes are taken and go nowhere, as when a machine lost its power
        self._address = address
        self._sockets: set[socket.socket] = set()
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    def cut(self) -> None:
        """Refuse whoever comes and drop whoever is there."""
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._sockets.clear()

    def mend(self) -> None:
        """Carry again."""
        self._listener = self._listen(self.port)

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=[listener], daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # cut
            while True:
                near, far = listener.accept()[0], socket.create_connection(self._address)
                self._sockets |= {near, far}
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            try:
                while data := source.recv(65536):
                    if not self.is_hung:
                        target.sendall(data)
            finally:  # also when a process was killed: its end comes as a reset then
                target.shutdown(socket.SHUT_WR)


@contextmanager
def wire_to(url: str) -> Iterator[tuple[Wire, str]]:
    """Lend a wire to the PostgreSQL at `url`, and the URL of its near end."""
    parsed = make_url(url)
    wire = Wire((parsed.host or "127.0.0.1", parsed.port or 5432))
    near = parsed.set(host="127.0.0.1", port=wire.port)
    try:
        yield wire, near.render_as_string(hide_password=False)
    finally:
        wire.cut()
