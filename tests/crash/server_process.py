"""Stands in for systemd: hands over a listening socket, and starts `python -m ivr serve` for each
line on its standard input, one after the other.

Everything is imported once and each server is forked from that: it saves three seconds a start.
Its only argument is the number of the socket's descriptor; it answers with the server's process
id and, when that has ended, with its exit code.
"""

import importlib
import os
import runpy
import sys
import threading
from typing import TextIO

_FIRST_FD = 3  # sd_listen_fds(3)


def main() -> None:
    os.dup2(int(sys.argv[1]), _FIRST_FD)
    for module in ("ivr.app", "ivr.cli.serve", "ivr.vendors.llm_providers", "uvloop", "zipcodes"):
        importlib.import_module(module)
    assert threading.active_count() == 1, "a thread would not survive the fork"
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            answers.close()
            _serve()
        _tell(answers, pid)
        _tell(answers, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _tell(answers: TextIO, number: int) -> None:
    answers.write(f"{number}\n")
    answers.flush()


def _serve() -> None:
    os.set_inheritable(_FIRST_FD, True)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    sys.argv = ["ivr", "serve"]
    runpy.run_module("ivr", run_name="__main__")


if __name__ == "__main__":
    main()
