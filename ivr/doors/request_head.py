"""The server's HTTP protocol, with a limit for what is no body: request line, headers, trailers.

httptools keeps an address or a header until it is complete, and uvicorn sets it no limit: without
this, one connection that never ends its headers takes all the memory there is.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 32 * 1024


class BoundedHead(HttpToolsProtocol):
    """Ends a connection that sends more than anybody needs without getting on with its request."""

    _progress = 0
    _unfinished_bytes = 0

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._progress += 1
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body, which is counted where it is read."""
        self._progress += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._progress += 1
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Take what came in; how much comes at once is limited by the loop."""
        before = self._progress
        super().data_received(data)
        if self._progress != before:
            self._unfinished_bytes = 0
            return
        self._unfinished_bytes += len(data)
        if self._unfinished_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")
