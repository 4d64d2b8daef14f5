"""The container files, as far as they can be read without an engine."""

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.conftest import POSTGRES_URL

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = ("app", "worker", "migrate")


def test_the_image_is_made_in_stages_and_runs_as_nobody_special() -> None:
    stages = re.findall(r"(?m)^FROM (\S+)", DOCKERFILE)
    assert len(stages) == 2
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert re.findall(r"(?m)^USER (\S+)", last) == ["nps-ivr"]
    assert "requirements/dev.txt" not in DOCKERFILE


def test_what_the_image_copies_is_there_and_reaches_the_build() -> None:
    let_in = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"
    ]
    copied = [
        name
        for line in re.findall(r"(?m)^COPY (?!--from)(.+)", DOCKERFILE)
        for name in line.split()[:-1]
    ]
    assert copied
    assert all((ROOT / name).exists() for name in copied)
    assert set(copied) == set(let_in)


def test_compose_has_the_whole_installation() -> None:
    services = COMPOSE["services"]
    assert set(services) == {*OURS, "postgres", "rabbitmq"}
    assert "pgvector" in services["postgres"]["image"]
    assert [services[name].get("command") for name in OURS] == [
        None,
        ["ivr", "work"],
        ["ivr", "db", "upgrade"],
    ]


def test_nothing_is_open_to_the_world_and_our_processes_may_do_little() -> None:
    services = COMPOSE["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:8000:8000"]
    for name in OURS:
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["read_only"] is True
        assert services[name]["security_opt"] == ["no-new-privileges:true"]


def test_only_the_migration_knows_the_owner_of_the_tables() -> None:
    knows = [
        name for name in OURS if "DATABASE_OWNER_URL" in COMPOSE["services"][name]["environment"]
    ]
    assert knows == ["migrate"]


def test_the_passwords_must_be_given() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    used = re.findall(r"\$\{(\w+)([^}]*)\}", text)
    unset = [name for name, rest in used if not rest.startswith((":-", ":?"))]
    assert unset == []
    assert {name for name, rest in used if rest.startswith(":?")} == {
        "IVR_APP_PASSWORD",
        "IVR_OWNER_PASSWORD",
    }


def test_the_roles_are_made_by_statements_that_postgresql_knows(postgres_database: str) -> None:
    script = COMPOSE["configs"]["roles"]["content"]
    statements = re.findall(r"(?m)^CREATE ROLE .*;$", script)
    assert len(statements) == 2
    with psycopg.connect(POSTGRES_URL) as connection:
        for statement in statements:
            plain = re.sub(r":'\w+'", "'a1'", statement).replace("ivr_", f"{postgres_database}_c_")
            connection.execute(plain.encode())
        connection.rollback()


@pytest.mark.parametrize("name", OURS)
def test_who_leaves_gets_the_time_that_systemd_gives(name: str) -> None:
    unit = (ROOT / "systemd" / "nps-ivr.service").read_text()
    (seconds,) = re.findall(r"(?m)^TimeoutStopSec=(\d+)$", unit)
    assert COMPOSE["services"][name]["stop_grace_period"] == f"{seconds}s"
