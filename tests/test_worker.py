"""`ivr work` as a process: it finishes what nobody else does, and leaves in order."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ivr.db import Database
from ivr.db.tables import Channel, Conversation, ConversationStatus
from tests.leads.cast import NOW, call, rows, until

ROOT = Path(__file__).parent.parent
PATIENCE_SECONDS = 60  # of a machine that does many things at once


@contextmanager
def working(url: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """Run a worker, and stand in for systemd's side of the notification socket."""
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": url,
        "NOTIFY_SOCKET": str(folder / "notify"),
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        ears.bind(str(folder / "notify"))
        ears.settimeout(PATIENCE_SECONDS)
        process = subprocess.Popen(
            [sys.executable, "-m", "ivr", "work"], cwd=folder, env=environ, stderr=subprocess.PIPE
        )
        try:
            yield process, ears
        finally:
            process.kill()
            process.communicate()


async def test_a_worker_finishes_a_call_and_leaves_when_told(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    await call(db, now=NOW)
    with working(database_url, tmp_path) as (process, ears):
        assert ears.recv(100) == b"READY=1"
        await until(lambda: _is_finished(db))
        process.send_signal(signal.SIGTERM)
        assert ears.recv(100) == b"STOPPING=1"
        process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0


async def _is_finished(db: Database) -> bool:
    (one,) = await rows(db, Conversation)
    assert one.channel == Channel.VOICE
    return one.status == ConversationStatus.FINISHED


def test_a_broken_setting_is_named_and_stops_the_worker(tmp_path: Path) -> None:
    with working("mysql://nowhere/d", tmp_path) as (process, _):
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert b"DATABASE_URL: expected sqlite:///path" in said
