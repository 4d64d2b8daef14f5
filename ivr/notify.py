"""Talk to systemd: readiness, watchdog, and the listening sockets it hands over.

It needs the standard library only. Outside systemd every function is a quiet no-op, so callers
need not ask where they run. This file opens no port and stops nothing; the server decides when it
is ready or leaving.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, MutableMapping

_FIRST_FD = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)


def ready(*, environ: Mapping[str, str] = os.environ) -> bool:
    """Say that the doors are open; return whether anybody was told."""
    return notify("READY=1", environ=environ)


def stopping(*, environ: Mapping[str, str] = os.environ) -> bool:
    """Say that the shutdown has begun; return whether anybody was told."""
    return notify("STOPPING=1", environ=environ)


def notify(state: str, *, environ: Mapping[str, str] = os.environ) -> bool:
    """Send `state` to $NOTIFY_SOCKET (sd_notify(3)); False when nobody listens there."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):  # the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        # A full queue must not stall the event loop, nor a dead manager the calls.
        sender.setblocking(False)
        try:
            sender.sendto(state.encode(), address)
        except OSError:
            return False
    return True


def watchdog_seconds(*, environ: Mapping[str, str] = os.environ) -> float | None:
    """Return how often to beat: half of what systemd allows; None when it does not watch us."""
    allowed = environ.get("WATCHDOG_USEC", "")
    watched = environ.get("WATCHDOG_PID", str(os.getpid()))
    if not allowed.isdecimal() or int(allowed) == 0 or watched != str(os.getpid()):
        return None
    return int(allowed) / 2_000_000


async def beat(is_alive: Callable[[], bool], *, environ: Mapping[str, str] = os.environ) -> None:
    """Feed the watchdog from the event loop until cancelled; systemd restarts what hangs.

    `is_alive` says whether all that does not show in the loop goes on as well.
    """
    seconds = watchdog_seconds(environ=environ)
    while seconds is not None:
        if is_alive():
            notify("WATCHDOG=1", environ=environ)
        await asyncio.sleep(seconds)


def extend_timeout(seconds: float, *, environ: Mapping[str, str] = os.environ) -> bool:
    """Ask for so long from now on, whatever the unit allows; return whether anybody was told."""
    return notify(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}", environ=environ)


def listening_sockets(*, environ: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """Take over the sockets that systemd listens on (sd_listen_fds(3)); [] without any for us.

    The variables are removed, so that no child process takes the same sockets again.
    """
    count, pid = environ.get("LISTEN_FDS", ""), environ.get("LISTEN_PID", "")
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    if not count.isdecimal() or pid != str(os.getpid()):
        return []
    return [_adopt(fd) for fd in range(_FIRST_FD, _FIRST_FD + int(count))]


def _adopt(fd: int) -> socket.socket:
    os.set_inheritable(fd, False)
    taken = socket.socket(fileno=fd)  # reads family and type from the kernel
    taken.setblocking(False)
    return taken
