"""The unit files, as systemd itself reads them."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ivr.server import longest_stop_seconds
from ivr.settings import Settings

UNITS = Path(__file__).parent.parent / "systemd"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def unit(name: str) -> configparser.ConfigParser:
    """Return a unit; of settings that stand several times only the last remains."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # configparser's way
    parser.read(UNITS / name)
    return parser


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@needs_systemd
def test_the_service_exposes_at_most_1_5() -> None:
    answer = analyze("security", "--offline=true", str(UNITS / "nps-ivr.service"))
    exposure = re.search(r"Overall exposure level for nps-ivr\.service: ([\d.]+)", answer.stdout)
    assert exposure, answer.stderr
    assert float(exposure[1]) <= 1.5


@needs_systemd
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    for source in UNITS.glob("nps-ivr.*"):
        # An executable that this machine has; the real one appears when the product is installed.
        text = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", source.read_text())
        (tmp_path / source.name).write_text(text)
    answer = analyze("verify", "--man=false", *map(str, sorted(tmp_path.iterdir())))
    ours = [line for line in answer.stderr.splitlines() if "nps-ivr" in line]
    assert (answer.returncode, ours) == (0, [])


def test_a_restart_never_closes_the_door() -> None:
    service, listener = unit("nps-ivr.service"), unit("nps-ivr.socket")
    assert service["Service"]["Sockets"] == "nps-ivr.socket"
    assert service["Service"]["Restart"] == "always"
    assert service["Unit"]["StartLimitIntervalSec"] == "0"
    assert listener["Socket"]["FlushPending"] == "false"


def test_a_stop_has_the_time_it_may_need() -> None:
    longest = longest_stop_seconds(Settings(_env_file=None))
    assert longest <= float(unit("nps-ivr.service")["Service"]["TimeoutStopSec"]) <= 1.2 * longest


def test_the_service_reports_and_is_watched() -> None:
    service = unit("nps-ivr.service")["Service"]
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) >= 10


def test_the_door_is_on_loopback_behind_the_tls_proxy() -> None:
    assert unit("nps-ivr.socket")["Socket"]["ListenStream"] == "127.0.0.1:8000"


def test_logs_go_to_the_journal_under_the_name_operators_grep() -> None:
    service = unit("nps-ivr.service")["Service"]
    assert service["SyslogIdentifier"] == "nps-ivr"
    assert service["StandardOutput"] == service["StandardError"] == "journal"
