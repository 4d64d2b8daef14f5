"""The server that is measured: a process of its own on a core of its own."""

import http.client
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from tools.activation import SERVE
from tools.emulators.serving import listen

READY_S = 60.0
LOG = "server.log"
OURS = SERVE
RELAY = (*SERVE[:-2], "tools.bench.relay")
_ROOT = Path(__file__).parents[2]
_CORES = sorted(os.sched_getaffinity(0))


class Served:
    """A running server; CPU and memory are those of the whole process tree."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
        self.port = port
        self.folder = folder  # where its log lies, and its database if that is SQLite
        self._process = process
        self._root = psutil.Process(process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def cpu_s(self) -> float:
        """CPU used so far, user and system."""
        used = [process.cpu_times() for process in self._tree]
        return float(sum(times.user + times.system for times in used))

    @property
    def rss_kib(self) -> float:
        return float(sum(process.memory_info().rss for process in self._tree)) / 1024

    @property
    def threads(self) -> int:
        return sum(process.num_threads() for process in self._tree)

    @property
    def fds(self) -> int:
        return sum(process.num_fds() for process in self._tree)

    def is_ready(self) -> bool:
        """Ask it once."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def has_died(self) -> bool:
        return self._process.poll() is not None

    def last_words(self) -> str:
        """Return the end of its log."""
        return "\n".join((self.folder / LOG).read_text(errors="replace").splitlines()[-15:])

    @property
    def _tree(self) -> list[psutil.Process]:
        return [self._root, *self._root.children(recursive=True)]


@contextmanager
def served(
    command: tuple[str, ...], environment: Mapping[str, str], folder: Path
) -> Iterator[Served]:
    """Start a server on the first core, and leave this process on the others."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT), **environment}
    with (folder / LOG).open("wb") as log, listen() as listener:
        port = int(listener.getsockname()[1])
        with _first_core():
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=listener.fileno(),
                stdout=log,
                stderr=log,
            )
    try:
        yield Served(process, port, folder)
    finally:
        os.sched_setaffinity(0, _CORES)
        process.kill()  # its end is not what is measured, and nothing of it is needed any more
        process.wait()


@contextmanager
def _first_core() -> Iterator[None]:
    """What is started inside inherits the first core; afterwards we have the others."""
    os.sched_setaffinity(0, _CORES[:1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, _CORES[1:] or _CORES)


def allow_many_files() -> None:
    """Each call has two sockets here and two there; the server inherits the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def wait_until_ready(server: Served) -> float:
    """Wait until the server takes calls; return the seconds since now."""
    began = time.perf_counter()
    while not server.is_ready():
        if server.has_died() or time.perf_counter() - began > READY_S:
            raise SystemExit(f"the server did not become ready:\n{server.last_words()}")
        time.sleep(0.05)
    return time.perf_counter() - began


def python_version() -> str:
    return sys.version.split()[0]
