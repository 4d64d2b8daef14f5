"""`tests.crash.server_process` for a machine whose wall clock jumps and whose disk gets full.

The log goes through a pipe, as to journald: it is the database that must bear a full disk.
"""

import os
import subprocess

import pytest

from tests.crash.server_process import main
from tests.faults.clock import clock_of_environment, set_clock

_STDERR = 2

if __name__ == "__main__":
    keeper = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=_STDERR)
    assert keeper.stdin is not None, "a pipe"
    os.dup2(keeper.stdin.fileno(), _STDERR)
    keeper.stdin.close()
    set_clock(clock_of_environment(), pytest.MonkeyPatch())
    main()
