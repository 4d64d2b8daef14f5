"""`ivr.notify`, against a real datagram socket and, for the hand-over, a real child process."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ivr import notify


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket that systemd would listen on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        yield listener


def environ_of(manager: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.getsockname(), **more}


def test_ready_and_stopping_reach_the_manager(manager: socket.socket) -> None:
    assert notify.ready(environ=environ_of(manager))
    assert manager.recv(100) == b"READY=1"
    assert notify.stopping(environ=environ_of(manager))
    assert manager.recv(100) == b"STOPPING=1"
    assert notify.extend_timeout(1.5, environ=environ_of(manager))
    assert manager.recv(100) == b"EXTEND_TIMEOUT_USEC=1500000"


def test_an_abstract_socket_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("")  # the kernel picks a free abstract name
        listener.settimeout(5)
        name = "@" + listener.getsockname().removeprefix(b"\0").decode()
        assert notify.ready(environ={"NOTIFY_SOCKET": name})
        assert listener.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "vsock:2:99", "relative"])
def test_without_a_manager_nothing_is_sent_and_nothing_breaks(address: str) -> None:
    assert not notify.ready(environ={"NOTIFY_SOCKET": address})


def test_a_manager_that_is_gone_breaks_nothing(tmp_path: Path) -> None:
    assert not notify.ready(environ={"NOTIFY_SOCKET": str(tmp_path / "nobody")})


def test_a_manager_that_does_not_read_never_blocks_us(manager: socket.socket) -> None:
    told = [notify.ready(environ=environ_of(manager)) for _ in range(10_000)]
    assert told[0] and not told[-1]


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "often"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_per_period(
    variables: dict[str, str], seconds: float | None
) -> None:
    assert notify.watchdog_seconds(environ=variables) == seconds


async def test_the_beat_goes_on_until_cancelled(manager: socket.socket) -> None:
    manager.setblocking(False)
    beating = asyncio.create_task(
        notify.beat(lambda: True, environ=environ_of(manager, WATCHDOG_USEC="2000"))
    )
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(30):
        heard = [await loop.sock_recv(manager, 100) for _ in range(3)]
    beating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beating
    assert heard == [b"WATCHDOG=1"] * 3


async def test_the_beat_pauses_while_something_hangs(manager: socket.socket) -> None:
    manager.setblocking(False)
    answers = iter([False, False, True])
    environ = environ_of(manager, WATCHDOG_USEC="2000")
    beating = asyncio.create_task(notify.beat(lambda: next(answers, False), environ=environ))
    async with asyncio.timeout(30):
        assert await asyncio.get_running_loop().sock_recv(manager, 100) == b"WATCHDOG=1"
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    assert next(answers, None) is None, "it was asked before each beat"


async def test_the_beat_ends_at_once_when_nobody_watches() -> None:
    async with asyncio.timeout(30):
        await notify.beat(lambda: True, environ={})


# What systemd does before it executes us: the listening socket becomes descriptor 3.
HAND_OVER = """
import os, sys
from ivr import notify
listener = int(sys.argv[1])
os.dup2(listener, 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="nps-ivr.socket")
(taken,) = notify.listening_sockets()
taken.setblocking(True)
assert not os.get_inheritable(3)
assert not {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"} & os.environ.keys()
peer, _ = taken.accept()
peer.sendall(b"served by the new process")
"""


def test_a_connection_made_before_the_process_exists_is_served_by_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname(), timeout=10) as caller:
            command = [sys.executable, "-c", HAND_OVER, str(listener.fileno())]
            subprocess.run(command, pass_fds=[listener.fileno()], check=True, timeout=10)
            assert caller.recv(100) == b"served by the new process"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "many", "LISTEN_PID": str(os.getpid())},
    ],
)
def test_sockets_meant_for_another_process_are_left_alone(variables: dict[str, str]) -> None:
    assert notify.listening_sockets(environ=variables) == []
    assert variables == {} or "LISTEN_FDS" not in variables
