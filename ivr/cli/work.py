"""`ivr work`: runs the background process. What it does stands in `ivr.worker`."""

import asyncio

import typer

from ivr import logs
from ivr.cli.desk import secrets_of
from ivr.cli.serve import WRONG_SETTING
from ivr.cli.terminal import complain
from ivr.errors import IvrError
from ivr.settings import Settings, load_settings

EXECUTOR_ID = "worker"


def run_worker() -> None:
    """Do what is due beside the server; needs its database."""
    try:
        asyncio.run(_work(_settings()))
    except IvrError as exc:
        complain(str(exc))
        raise typer.Exit(WRONG_SETTING) from exc


def _settings() -> Settings:
    settings = load_settings()
    if "executor_id" not in settings.model_fields_set:  # that of the web process
        settings = settings.model_copy(update={"executor_id": EXECUTOR_ID})
    logs.configure(settings.log_format, settings.log_pii, secrets=secrets_of(settings))
    return settings


async def _work(settings: Settings) -> None:
    from ivr.worker import work  # a second to import; the other commands need none of it

    await work(settings)
