"""What the offline voice says and calls: the rules collector behind the manners of a voice model.

Like a model it learns everything from the session's instructions and the items of the
conversation. It understands no prose: of the instructions it reads two lines of the last section,
of a response's instructions only words that are to be said exactly.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ivr.agent.acts import Act, CallBack, Confirm, Deny, End, Expectation, Save, Say
from ivr.agent.collector import Collector
from ivr.agent.tool_schemas import CALL_BACK, CONFIRM_FIELD, END_CALL, SAVE_FIELD, TRANSFER
from ivr.leads.profile import Profile

# The lines of `ivr.agent.instructions`, section "This call".
_CALLER = re.compile(r"^- The caller's number\b.*\((\+\d{8,15})\)\.?$", re.MULTILINE)
_KNOWN = re.compile(r'^- Already known, do not ask again: (\w+) = "(.*)"\.?$', re.MULTILINE)
_EXACTLY = re.compile(r"\A\s*say exactly\b[^\n]*:\s*\n(.+)\Z", re.IGNORECASE | re.DOTALL)
_KEYED = re.compile(r"keyed in:\s*([\d*#]+)\s*$", re.IGNORECASE)
_WISH = {"reason": "the caller asked for a person"}
_BACK = "Sorry, we were interrupted for a moment."


@dataclass(frozen=True, slots=True)
class FunctionCall:
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Speech:
    """One response: function calls alone, or words and then perhaps the call that ends it all."""

    calls: tuple[FunctionCall, ...] = ()
    text: str = ""
    final: tuple[FunctionCall, ...] = ()


@dataclass(slots=True)
class _Owed:
    """What the collector wanted and no response has carried yet."""

    calls: list[FunctionCall] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    ends: list[FunctionCall] = field(default_factory=list)


def exact_words(instructions: str | None) -> str:
    """Return what is to be said word for word, "" when nothing is."""
    match = _EXACTLY.search(instructions or "")
    return match.group(1).strip() if match else ""


class Dialogue:
    """One conversation; `today` is for checking years."""

    def __init__(self, profile: Profile, *, today: date) -> None:
        self._profile = profile
        self._today = today
        self._collector: Collector | None = None
        self._instructions = ""
        self._is_resumed = False
        self._saved: dict[str, str] = {}  # in a session before this one
        self._confirmed: set[str] = set()
        self._answers: list[tuple[str, bool]] = []
        self._owed = _Owed()
        self._last_words: Speech | None = None

    @property
    def expects(self) -> Expectation:
        """What the caller will probably say next; before the first question that is yes or no."""
        return self._collector.expects if self._collector else Expectation(None, "done")

    def instruct(self, instructions: str) -> None:
        """Take the session's instructions; they count until the first response."""
        self._instructions = instructions

    def remember(self, role: str) -> None:
        """Take a message; one of the assistant's before the first response means a resumed call."""
        self._is_resumed = self._is_resumed or role == "assistant"

    def hear(self, text: str) -> None:
        """Take what the caller said, "" if not understood; the next response answers it."""
        self._answers.append((text, False))

    def read(self, text: str) -> None:
        """Take a message of the caller's in writing; keypad digits stand behind "keyed in:"."""
        if self._collector is None:
            return
        keys = _KEYED.search(text)
        self._answers.append((keys.group(1), True) if keys else (text, False))

    def tool_result(self, output: str) -> None:
        """Take a tool's answer: a value that was not saved after all is told to the caller.

        One that comes before the first response was given in a session before this one.
        """
        try:
            result = json.loads(output)
        except ValueError:
            return
        if not isinstance(result, dict):
            return
        if self._collector is None:
            self._recall(result)
        elif result.get("saved") is False and result.get("problem"):
            self._owed.words.insert(0, f"Sorry, {str(result['problem']).rstrip('.')}.")

    def _recall(self, result: Mapping[str, Any]) -> None:
        """Learn what was saved; a value that waits for the caller's yes is asked for again."""
        match result:
            case {"saved": True, "field": str(key), "value": str(value)}:
                self._saved[key] = value
                if result.get("confirm"):
                    self._confirmed.discard(key)
                else:
                    self._confirmed.add(key)
            case {"field": str(key), "confirmed": bool(confirmed)}:
                if confirmed:
                    self._confirmed.add(key)
                else:
                    self._saved.pop(key, None)

    def respond(self, instructions: str | None = None, *, may_call: bool = True) -> Speech:
        """Return the next response; `may_call` = function calls are allowed in it."""
        exact = exact_words(instructions)
        if self._collector is None:
            return self._open(exact)
        if exact:
            return Speech(text=exact)
        if self._answers or not (self._owed.calls or self._owed.words or self._owed.ends):
            self._listen()
        return self._speech(may_call=may_call)

    def _open(self, exact: str) -> Speech:
        """Return the first words: as told or the profile's greeting, and the first question."""
        caller = _CALLER.search(self._instructions)
        recalled = {key: value for key, value in self._saved.items() if key in self._confirmed}
        self._collector = Collector(
            self._profile,
            today=self._today,
            known={**dict(_KNOWN.findall(self._instructions)), **recalled},
            caller_number=caller.group(1) if caller else None,
        )
        self._answers.clear()
        # What was saved before in the same call shows that it has begun: nobody is greeted twice.
        greets = not exact and not self._is_resumed and not self._saved
        self._owe(self._collector.open(greet=greets))
        speech = self._speech(may_call=True)
        before = exact or (_BACK if self._is_resumed else "")
        text = speech.text if before.endswith(speech.text) else f"{before} {speech.text}".strip()
        return Speech(text=exact if before.endswith(speech.text) else text, final=speech.final)

    def _listen(self) -> None:
        """Give the collector what was said, or its silence; new words make unspoken ones stale."""
        assert self._collector is not None, "nobody is heard before the first question"
        answers, self._answers = self._answers or [("", False)], []
        for text, keyed in answers:
            acts = self._collector.hear(text, keyed=keyed)
            if acts:
                self._owed.words.clear()
                self._owe(acts)

    def _owe(self, acts: list[Act]) -> None:
        for act in acts:
            match act:
                case Say(text=text):
                    self._owed.words.append(text)
                case Save():
                    self._owed.calls.append(_save(act))
                case Confirm(name=name) | Deny(name=name):
                    arguments = {"name": name, "confirmed": isinstance(act, Confirm)}
                    self._owed.calls.append(FunctionCall(CONFIRM_FIELD, arguments))
                case CallBack():
                    self._owed.calls.append(FunctionCall(CALL_BACK, _WISH))
                case End(reason="transfer"):
                    self._owed.ends.append(FunctionCall(TRANSFER, _WISH))
                case End(reason=reason):
                    self._owed.ends.append(FunctionCall(END_CALL, {"reason": reason}))

    def _speech(self, *, may_call: bool) -> Speech:
        owed = self._owed
        if owed.calls and may_call:
            calls, owed.calls = tuple(owed.calls), []
            return Speech(calls=calls)
        text = " ".join(owed.words)
        final = tuple(owed.ends) if may_call else ()
        owed.words, owed.ends = [], [] if may_call else owed.ends
        if not text and not final and self._last_words is not None:
            return self._last_words  # they spoke over the goodbye
        speech = Speech(text=text, final=final)
        if final:
            self._last_words = speech
        return speech


def _save(act: Save) -> FunctionCall:
    arguments: dict[str, Any] = {"name": act.name, "value": act.value, "heard_as": act.heard_as}
    if act.insisted:
        arguments["insisted"] = True
    return FunctionCall(SAVE_FIELD, arguments)
