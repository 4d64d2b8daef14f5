"""`ivr demo` and `ivr call`: the road tried out without a telephone. The work is `tools.demo`'s."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import typer
from rich.console import Console

from ivr.cli.terminal import complain
from ivr.errors import Unavailable
from ivr.settings import load_settings


def run_demo() -> None:
    """Show how a call becomes a lead, without a telephone or keys."""
    tools = _tools()
    _finish(tools.demo)


def run_call(
    *,
    url: Annotated[str, typer.Option(help="Where the server runs.")] = "http://127.0.0.1:8000",
    script: Annotated[str, typer.Option(help="Who calls: tools/demo_audio/SCRIPT.toml.")] = "demo",
    yes: Annotated[bool, typer.Option("--yes", help="Deliver the lead without asking.")] = False,
) -> None:
    """Call your running server with a synthetic caller."""
    tools = _tools()
    settings = load_settings()
    if settings.npa_api_base_url and not yes:
        typer.confirm(f"The lead will go to {settings.npa_api_base_url}. Call?", abort=True)
    _finish(lambda console: tools.call(console, settings, url=url, script_name=script))


def _tools() -> Any:
    try:
        from tools import demo
    except ModuleNotFoundError as exc:
        raise Unavailable(f"this needs the source checkout: `make setup` ({exc})") from exc
    return demo


def _finish(work: Callable[[Console], Coroutine[Any, Any, bool]]) -> None:
    """Run the call; the exit code says whether the lead came out as the script expects."""
    if not asyncio.run(work(Console(highlight=False))):
        complain("the lead is not what the caller said")
        raise typer.Exit(1)
