"""One thread, one epoll, one clock: carries thousands of sockets with no task for any of them.

It keeps the beat of the phones (a frame every 20 ms each) and notes how late it was itself: a
measurement that the generator limited is no measurement.
"""

import heapq
import itertools
import select
import socket
import time
from array import array
from collections import deque
from collections.abc import Callable

BEAT_S = 0.02
# Neither may starve the other: so many arrivals are taken, then so many frames are sent.
_ARRIVALS, _FRAMES = 16, 64
_CHUNK = 65_536
clock = time.perf_counter


class Connection:
    """A socket that never blocks; what it cannot take at once waits its turn."""

    def __init__(self, loop: "Loop", sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received: Callable[[bytes], None] = lambda _: None
        self.closed: Callable[[], None] = lambda: None
        self.is_open = True
        self._loop = loop
        self._sock = sock
        self._waiting = bytearray()
        loop.watch(sock, self._ready)

    def send(self, data: bytes) -> None:
        """Send now, or as soon as there is room."""
        if self._waiting:
            self._waiting += data
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the reading side will hear of it
        if sent < len(data):
            self._waiting += data[sent:]
            self._loop.watch_for_room(self._sock.fileno(), True)

    def close(self) -> None:
        """Close without telling ourselves."""
        if self.is_open:
            self.is_open = False
            self._loop.forget(self._sock)
            self._sock.close()

    def _ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._make_room()
        if not events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            return
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.received(data)
        elif self.is_open:
            self.close()
            self.closed()

    def _make_room(self) -> None:
        try:
            del self._waiting[: self._sock.send(self._waiting)]
        except OSError:
            return
        if not self._waiting:
            self._loop.watch_for_room(self._sock.fileno(), False)


class Loop:
    """Runs until told to stop; all times are of `clock`."""

    def __init__(self) -> None:
        self.lateness = array("d")  # seconds by which a frame left after its time
        self.lateness_from = float("inf")
        self.idle_s = 0.0  # spent on waiting, and on looking out for the next frame
        self._poll = select.epoll()
        self._ready: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._beats: deque[tuple[float, Callable[[], bool]]] = deque()
        self._sockets: set[socket.socket] = set()

    def at(self, due: float, act: Callable[[], None]) -> None:
        """Have something done at a time."""
        heapq.heappush(self._timers, (due, next(self._order), act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Have something done later."""
        self.at(clock() + seconds, act)

    def beat(self, act: Callable[[], bool]) -> None:
        """Do something every 20 ms, on an absolute schedule, until it says no."""
        self._beats.append((clock() + BEAT_S, act))  # never before the last: all wait 20 ms

    def connect(self, port: int) -> Connection:
        """Connect to 127.0.0.1; the kernel answers for whoever listens, so this is no wait."""
        return Connection(self, socket.create_connection(("127.0.0.1", port), timeout=5))

    def listen(self, accept: Callable[[Connection], None]) -> int:
        """Listen on a free port of 127.0.0.1 and return it."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        listener.setblocking(False)

        def accept_one(_: int) -> None:
            try:
                sock, _address = listener.accept()
            except BlockingIOError:
                return
            accept(Connection(self, sock))

        self.watch(listener, accept_one)
        return int(listener.getsockname()[1])

    def watch(self, sock: socket.socket, ready: Callable[[int], None]) -> None:
        """Call `ready` whenever there is something to read."""
        self._sockets.add(sock)
        self._ready[sock.fileno()] = ready
        self._poll.register(sock, select.EPOLLIN)

    def watch_for_room(self, fd: int, is_wanted: bool) -> None:
        """Tell also when there is room to send, or no longer."""
        self._poll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if is_wanted else 0))

    def forget(self, sock: socket.socket) -> None:
        """Watch it no more."""
        self._sockets.discard(sock)
        del self._ready[sock.fileno()]
        self._poll.unregister(sock)

    def run_until(self, end: float, done: Callable[[], bool] = lambda: False) -> None:
        """Carry everything until `end`, or until `done` says so."""
        while (began := clock()) < end and not done():
            arrived = self._poll.poll(self._pause(end), _ARRIVALS)
            if not arrived:
                self.idle_s += clock() - began
            for fd, events in arrived:
                if ready := self._ready.get(fd):
                    ready(events)
            self._send_frames()
            self._fire_timers()

    def close(self) -> None:
        """Close everything that is still open."""
        for sock in self._sockets:
            sock.close()
        self._poll.close()

    def _pause(self, end: float) -> float:
        """Return how long to wait: whole milliseconds, rounded down, or a frame would be late."""
        due = end
        if self._beats:
            due = min(due, self._beats[0][0])
        if self._timers:
            due = min(due, self._timers[0][0])
        return max(0.0, int((due - clock()) * 1000) / 1000)

    def _send_frames(self) -> None:
        beats = self._beats
        for _ in range(_FRAMES):
            if not beats or beats[0][0] > (now := clock()):
                return
            due, act = beats.popleft()
            if due >= self.lateness_from:
                self.lateness.append(now - due)
            if act():
                beats.append((due + BEAT_S, act))

    def _fire_timers(self) -> None:
        while self._timers and self._timers[0][0] <= clock():
            heapq.heappop(self._timers)[2]()
