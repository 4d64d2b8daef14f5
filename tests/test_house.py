"""The rules of the house: import directions, a lock without addresses, true documents."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from importlinter.cli import lint_imports
from pydantic import SecretStr

from ivr.settings import Settings

ROOT = Path(__file__).parent.parent
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
README = (ROOT / "README.md").read_text()


# Imports


def test_imports_point_down(capsys: pytest.CaptureFixture[str]) -> None:
    broken = lint_imports(str(ROOT / "pyproject.toml"), no_cache=True)
    assert broken == 0, capsys.readouterr().out


LINT = 'raise SystemExit(__import__("importlinter.cli").cli.lint_imports(no_cache=True))'


def test_an_import_that_points_up_is_found(tmp_path: Path) -> None:
    layers = re.search(
        r"\[tool\.importlinter\].*?(?=\[\[tool\.importlinter\.contracts\]\]\nid = \"tools\")",
        (ROOT / "pyproject.toml").read_text(),
        re.DOTALL,
    )
    assert layers
    (tmp_path / "pyproject.toml").write_text(layers[0])
    for package in ("ivr", "tools"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    for module in re.findall(r"\b[a-z][a-z_]*\b", " ".join(_layers())):
        (tmp_path / "ivr" / f"{module}.py").touch()
    assert _lints(tmp_path)
    (tmp_path / "ivr" / "leads.py").write_text("import ivr.voice\n")
    assert not _lints(tmp_path)


def _layers() -> list[str]:
    (stations,) = (
        contract
        for contract in PYPROJECT["tool"]["importlinter"]["contracts"]
        if contract["id"] == "stations"
    )
    return list(stations["layers"])


def _lints(folder: Path) -> bool:
    return (
        subprocess.run(
            [sys.executable, "-c", LINT],
            cwd=folder,
            env={"PYTHONPATH": str(folder)},
            capture_output=True,
            timeout=30,
            check=False,
        ).returncode
        == 0
    )


# Files


def project_files() -> Iterator[Path]:
    """Every text file that belongs to the project, as git sees it or would see it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    names = listed.stdout.decode().split("\0") if listed.returncode == 0 else []
    found = [ROOT / name for name in names if name] or _without_git()
    return (path for path in found if path.is_file() and path.suffix not in {".ulaw", ".wav"})


def _without_git() -> list[Path]:
    return [
        path
        for path in ROOT.rglob("*")
        if not any(part.startswith((".venv", ".git")) for part in path.relative_to(ROOT).parts)
        and "__pycache__" not in path.parts
    ]


# Spelt in parts, so that this file does not name them itself.
FOREIGN = re.compile(
    "|".join(
        (
            r"pypi" + r"\.org",
            r"files\.python" + r"hosted",
            r"/simple" + r"/",
            r"--(?:extra-)?index" + r"-url\s+\S",
            r"(?<![\w.])/(?:work|opt|root|home)" + r"/",
            r"(?<![\w.])/tmp" + r"/",
        )
    )
)


def test_no_file_names_a_registry_or_a_path_of_some_machine() -> None:
    named = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in project_files()
        if (match := FOREIGN.search(path.read_text(errors="ignore")))
    ]
    assert named == []


# The lock


def locked(name: str) -> dict[str, str]:
    """Return package -> version of a requirements file."""
    text = (ROOT / "requirements" / name).read_text()
    return dict(re.findall(r"(?m)^([\w.-]+)(?:\[[^]]*\])?==([^\s;]+)", text))


def asked_for(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[><=~;! ]", line)[0].lower() for line in requirements}


def test_the_lock_covers_what_the_project_asks_for() -> None:
    project, groups = PYPROJECT["project"], PYPROJECT["dependency-groups"]
    run = asked_for(project["dependencies"] + project["optional-dependencies"]["demo"])
    build, dev = asked_for(groups["build"]), asked_for(groups["dev"])
    assert run | build <= locked("run.txt").keys()
    assert run | build | dev <= locked("dev.txt").keys()


# A second's work: it reads the metadata of every installed package.
distributions = cache(packages_distributions)


def imported(folder: str) -> set[str]:
    """Return the distributions whose modules the Python files of a folder import directly."""
    owners = distributions()
    trees = [ast.parse(path.read_text()) for path in (ROOT / folder).rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    modules = {full.split(".")[0] for full in names} & owners.keys()
    return {owners[module][0].lower().replace("_", "-") for module in modules}


@pytest.mark.parametrize("folder", ["ivr", "tools", "tests"])
def test_what_is_imported_is_asked_for_by_name(folder: str) -> None:
    project = PYPROJECT["project"]
    named = asked_for(project["dependencies"] + project["optional-dependencies"]["demo"])
    if folder != "ivr":  # the benchmark measures with a developer's package
        named |= asked_for(PYPROJECT["dependency-groups"]["dev"])
    assert imported(folder) - named - {"ivr"} == set()


def test_developing_and_running_use_the_same_releases() -> None:
    assert locked("run.txt").items() <= locked("dev.txt").items()


@pytest.mark.parametrize("name", ["run.txt", "dev.txt"])
def test_every_locked_release_has_its_hashes(name: str) -> None:
    blocks = re.split(r"(?m)^(?=\S)", (ROOT / "requirements" / name).read_text())
    assert [block for block in blocks if block.strip() and "--hash=sha256:" not in block] == []


# The documents


def documented_settings() -> dict[str, str]:
    """Return NAME -> the default that `.env.example` shows."""
    text = (ROOT / ".env.example").read_text()
    return dict(re.findall(r"(?m)^# ([A-Z][A-Z0-9_]+)=(.*)$", text))


def test_every_setting_is_in_the_example_and_nothing_else() -> None:
    assert documented_settings().keys() == {name.upper() for name in Settings.model_fields}


def test_the_example_shows_the_real_defaults() -> None:
    for name, shown in documented_settings().items():
        default = Settings.model_fields[name.lower()].get_default(call_default_factory=True)
        assert not isinstance(default, SecretStr), f"{name} must not have a default"
        real = "" if default is None else str(default)
        assert shown == (real.lower() if isinstance(default, bool) else real), name


def make_words() -> set[str]:
    return set(re.findall(r"(?m)^([a-z]+):(?!=)", (ROOT / "Makefile").read_text()))


def code_in(text: str) -> Iterator[str]:
    """Yield what stands in fenced blocks and between backticks."""
    for block in re.findall(r"(?ms)^ *```\w*\n(.*?)^ *```", text):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^ *```.*?^ *```", "", text))


def test_every_make_word_of_the_readme_exists() -> None:
    used = {word for code in code_in(README) for word in re.findall(r"\bmake ([a-z]+)", code)}
    assert used and used <= make_words()


def test_make_has_the_words_that_the_project_promises() -> None:
    assert make_words() >= set("setup demo run test lint types bench clean lock".split())


def ivr_commands() -> set[tuple[str, ...]]:
    """Return the words that may follow `ivr`, as the command itself lists them."""
    from typer.main import get_command

    from ivr.cli import main

    root = get_command(main)
    return {(name,) for name in root.commands} | {  # type: ignore[attr-defined]  # a group
        (name, sub)
        for name, group in root.commands.items()  # type: ignore[attr-defined]  # as above
        for sub in getattr(group, "commands", {})
    }


def test_every_ivr_command_of_the_readme_exists() -> None:
    known = ivr_commands()
    used = {
        tuple(words.split())
        for code in code_in(README)
        for words in re.findall(r"(?:^|/|\s)ivr ((?:[a-z][a-z-]+ ?){1,2})", code)
    }
    assert used
    groups = {command[0] for command in known if len(command) == 2}
    for words in used:
        assert words[:2] in known if words[0] in groups else words[:1] in known, words


def test_every_file_that_the_readme_names_exists() -> None:
    named = {
        word
        for code in code_in(README)
        for word in code.split()
        if re.fullmatch(r"[\w.][\w./-]*\.(?:py|md|toml|service|socket|example)", word)
    } - {"nps-ivr.socket", "nps-ivr.service"}  # as systemctl knows them
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_decision_says_what_and_why() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert records
    for number, record in enumerate(records, start=1):
        assert record.name.startswith(f"{number:04}-")
        headings = re.findall(r"(?m)^## (.+)$", record.read_text())
        assert headings == ["Context", "Decision", "Consequences", "Alternatives"], record.name
