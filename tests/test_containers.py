"""The container files, as far as they can be read without an engine."""

import os
import re
import shutil
import subprocess
import sys
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
README = (ROOT / "README.md").read_text()
GIVEN = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")  # ${NAME}, ${NAME:-default}, ${NAME:?why}


def environment_of(service: str, given: dict[str, str]) -> dict[str, str]:
    """What a container of Compose finds, `given` being what stands in .env."""
    found = COMPOSE["services"][service]
    own = {
        name: GIVEN.sub(lambda it: given.get(it[1]) or it[3], str(value))
        for name, value in found.get("environment", {}).items()
    }
    assert None not in found.get("environment", {}).values(), "that would be taken from .env"
    return (given if found.get("env_file") == ".env" else {}) | own


def passwords() -> dict[str, str]:
    """What must stand in .env, each with a value of its own."""
    text = (ROOT / "docker-compose.yml").read_text()
    return {it[1]: f"secret-{it[1]}" for it in GIVEN.finditer(text) if it[2] == "?"}


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
        for line in re.findall(r"(?m)^COPY (?!--from)(?:--chmod=\d+ )?(.+)", DOCKERFILE)
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


@pytest.mark.parametrize("name", OURS)
def test_each_process_has_the_password_of_its_own_role_only(name: str) -> None:
    given = passwords()
    told = " ".join(environment_of(name, given).values())
    assert given["POSTGRES_PASSWORD"] not in told
    assert (given["IVR_OWNER_PASSWORD"] in told) == (name == "migrate")
    assert given["IVR_APP_PASSWORD"] in told


def test_the_superuser_has_a_password_that_opens_nothing_else() -> None:
    given = passwords()
    told = environment_of("postgres", given)
    assert told["POSTGRES_PASSWORD"] == given["POSTGRES_PASSWORD"]
    assert len(set(told.values())) == len(told)


def test_the_passwords_must_be_given_and_the_readme_makes_each() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert [it[1] for it in GIVEN.finditer(text) if it[2] is None] == []
    assert set(passwords()) == {"IVR_APP_PASSWORD", "IVR_OWNER_PASSWORD", "POSTGRES_PASSWORD"}
    made = re.findall(r'(?m)^echo "(\w+)=\$\(openssl rand -hex \d+\)" >> \.env$', README)
    assert {*passwords(), "SECRET_KEY"} == set(made)


def test_the_database_counts_as_healthy_when_others_can_reach_it() -> None:
    test = COMPOSE["services"]["postgres"]["healthcheck"]["test"]
    assert "--host=127.0.0.1" in test, "while its roles are made it listens on a unix socket only"


@pytest.mark.parametrize("name", ["manage_failed_leads.py", "view_succeeded_leads.py"])
def test_the_scripts_of_operators_run_in_the_image_by_their_name(tmp_path: Path, name: str) -> None:
    (mode, names, target) = re.findall(r"(?m)^COPY --chmod=(\d+) (.+) (\S+)$", DOCKERFILE)[0]
    assert name in names.split()
    (path,) = re.findall(r"(?m)^ENV PATH=([^:]+):", DOCKERFILE)
    assert target == f"{path}/"
    shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / name).chmod(int(mode, 8))
    python = Path(sys.executable).parent
    environ = {"PATH": f"{tmp_path}:{python}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([name, "--help"], env=environ, cwd=tmp_path, capture_output=True)
    assert ran.returncode == 0, ran.stderr
    assert name in README[README.index("docker compose exec app") :]


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
