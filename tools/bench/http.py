"""The little HTTP that a benchmark needs, both sides of it, on sockets that never block."""

import re
from collections.abc import Callable
from urllib.parse import urlencode

from .loop import Connection, Loop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"

Answer = Callable[[int, bytes], None]
Reply = Callable[[bytes], None]


def post(
    loop: Loop, port: int, path: str, form: dict[str, str], signature: str, answer: Answer
) -> None:
    """POST a form; `answer` gets status and body, 0 when there is none."""
    body = urlencode(form).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Twilio-Signature: {signature}\r\n"
        "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    _exchange(loop, port, head.encode() + body, answer)


def get(loop: Loop, port: int, path: str, answer: Answer) -> None:
    """GET a page."""
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    _exchange(loop, port, head.encode(), answer)


def _exchange(loop: Loop, port: int, request: bytes, answer: Answer) -> None:
    try:
        connection = loop.connect(port)
    except OSError:
        return answer(0, b"")
    held = bytearray()

    def received(data: bytes) -> None:
        held.extend(data)
        if (message := _message(held)) is not None:
            connection.close()
            head, body = message
            answer(int(head[9:12]), body)

    connection.received = received
    connection.closed = lambda: answer(0, b"")
    connection.send(request)


class Server:
    """Answers requests on one connection; `serve` gets path, body and where the answer goes."""

    def __init__(self, connection: Connection, serve: Callable[[str, bytes, Reply], None]) -> None:
        self._connection = connection
        self._serve = serve
        self._held = bytearray()
        connection.received = self._received

    def _received(self, data: bytes) -> None:
        self._held += data
        while (message := _message(self._held)) is not None:
            head, body = message
            del self._held[: len(head) + len(_END) + len(body)]
            self._serve(head.split(b" ", 2)[1].decode(), body, self._reply)

    def _reply(self, document: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        if self._connection.is_open:
            self._connection.send(head % len(document) + document)


def _message(held: bytearray) -> tuple[bytes, bytes] | None:
    """Return head and body of the first message; None while it is incomplete."""
    end = held.find(_END)
    if end < 0:
        return None
    head = bytes(held[:end])
    length = _LENGTH.search(head)
    start = end + len(_END)
    stop = start + (int(length[1]) if length else 0)
    return (head, bytes(held[start:stop])) if len(held) >= stop else None
