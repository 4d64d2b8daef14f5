"""Carries out what the rules collector decides, on any channel; says nothing and sends nothing."""

from collections.abc import Iterable
from dataclasses import dataclass

from ivr.agent.acts import Act, CallBack, Confirm, Deny, End, Save, Say
from ivr.agent.dialogue import STATE
from ivr.agent.toolbox import ToolBox
from ivr.db.tables import Source

__all__ = ["STATE", "Performed", "perform"]


@dataclass(frozen=True, slots=True)
class Performed:
    """What is to be said, why the conversation ends if it does, and whether a person is wanted."""

    say: str
    ends: str | None = None
    asks_person: bool = False


async def perform(tools: ToolBox, acts: Iterable[Act], *, source: Source) -> Performed:
    """Commit what the acts save and confirm; return what is left to do for the channel."""
    said: list[str] = []
    ends: str | None = None
    asks_person = False
    for act in acts:
        match act:
            case Say(text=text):
                said.append(text)
            case Save(name=name, value=value, heard_as=heard_as, insisted=insisted):
                await tools.save_field(
                    name, value, heard_as=heard_as, insisted=insisted, source=source
                )
            case Confirm(name=name):
                await tools.confirm_field(name, confirmed=True)
            case Deny(name=name):
                await tools.confirm_field(name, confirmed=False)
            case CallBack():
                asks_person = True
            case End(reason=reason):
                ends = reason
    return Performed(" ".join(said), ends, asks_person)
