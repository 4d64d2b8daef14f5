"""`ivr serve` as a process: what it says to systemd, to the operator, and to a broken setting."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Terminal

ROOT = Path(__file__).parent.parent.parent
PATIENCE_SECONDS = 60  # of a machine that does many things at once


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DATABASE_URL", "mysql://nowhere", "DATABASE_URL: expected sqlite:///path"),
        ("PORT", "eighty", "PORT: "),
        ("PROFILE", "boats", "no profile 'boats'"),
        ("ENVIRONMENT", "production", "TWILIO_AUTH_TOKEN is not set"),
    ],
)
def test_a_broken_setting_is_named_and_stops_the_start(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    answer = terminal.run_now("serve")
    assert answer.code == 2
    assert words in answer.err


def test_a_taken_port_is_named(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = terminal.run_now("serve", "--port", str(port))
    assert answer.code == 2
    assert f"HOST, PORT: cannot listen on 127.0.0.1:{port}" in answer.err


@contextmanager
def manager(folder: Path) -> Iterator[socket.socket]:
    """Stand in for systemd's side of the notification socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        ears.bind(str(folder / "notify"))
        ears.settimeout(PATIENCE_SECONDS)
        yield ears


# What systemd does before it starts a service that has a socket (sd_listen_fds(3)).
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "ivr.cli", "serve"])
"""


def test_a_server_serves_the_socket_it_is_given_beats_and_leaves_in_order(
    terminal: Terminal, tmp_path: Path
) -> None:
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "200000",
        "OPENAI_API_KEY": "not-used-before-a-call",
        "PORT": "1",  # nobody may listen there: the given socket counts
    }
    with manager(tmp_path) as ears, socket.create_server(("127.0.0.1", 0)) as given:
        port, fd = given.getsockname()[1], given.fileno()
        command = [sys.executable, "-c", ACTIVATE, str(fd)]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environ, pass_fds=[fd], stderr=subprocess.PIPE
        )
        try:
            assert ears.recv(100) == b"READY=1"
            assert ears.recv(100) == b"WATCHDOG=1"
            answer = httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=60)
            assert (answer.status_code, answer.json()["live_calls"]) == (200, 0)
            assert "server" not in answer.headers
            process.send_signal(signal.SIGTERM)
            while (said := ears.recv(100)) == b"WATCHDOG=1":
                pass
            assert said == b"STOPPING=1"
            process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    assert process.returncode in {0, -signal.SIGTERM}


def test_help_lists_the_commands(terminal: Terminal) -> None:
    out = terminal.run_now("--help").out
    for command in ("serve", "demo", "doctor", "explain", "leads", "review", "tasks", "db"):
        assert f"\n  {command} " in out
    assert "..." not in out.split("Commands:")[1]
