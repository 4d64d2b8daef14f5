"""The rules collector: asks for a profile's fields in words and makes values of the answers.

Text in, acts out; no model, no clock, no I/O. The state is JSON: `load` of a `dump` goes on
exactly where it was. It always ends: every field has a limit of attempts, every conversation of
turns. What a good answer is, is for the field types; what else people say, `understanding`.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Any, Self

from ivr.agent.acts import Act, CallBack, Confirm, Deny, End, EndReason, Expectation, Save, Say
from ivr.agent.dialogue import Mode, State, restored
from ivr.agent.understanding import (
    Request,
    best,
    request,
    value_in_reply,
    volunteered,
    without_no,
)
from ivr.leads.field_types.speech import is_unknowing, tidy
from ivr.leads.field_types.yes_no import is_yes, split_answer
from ivr.leads.fields import (
    LONGEST_ANSWER,
    Accepted,
    Checked,
    Doubtful,
    Refused,
    check,
    join,
    keyed_answer,
    spoken,
)
from ivr.leads.profile import Field, Profile

MOST_ATTEMPTS = 4  # unusable answers to one question before we go on without it
MOST_NUDGES = 2  # silences after one question that we bridge
MOST_SILENCES = 5  # silences in a row after which nobody is there
MOST_TURNS = 80  # a whole conversation; ends those who only ever ask back
_THANKS = ("Thank you.", "Got it.", "Okay.")


class Collector:
    """One conversation by the rules. `known` needs no asking; `caller_number` is E.164."""

    def __init__(
        self,
        profile: Profile,
        *,
        today: date,
        known: Mapping[str, str] | None = None,
        caller_number: str | None = None,
    ) -> None:
        self._profile = profile
        self._today = today
        keys = {field.key for field in profile.fields}
        values = {key: value for key, value in (known or {}).items() if key in keys and value}
        self._state = State(values=values, settled=list(values), caller_number=caller_number or "")
        self._acts: list[Act] = []
        self._words: list[str] = []

    @property
    def expects(self) -> Expectation:
        if self._state.mode == "done":
            return Expectation(None, "done")
        yes_no = self._state.mode in ("confirm", "doubt", "caller")
        asked = self._profile.field(self._state.asking) if self._state.asking else None
        return Expectation(asked, "yes_no" if yes_no else "answer")

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-able data."""
        return asdict(self._state)

    @classmethod
    def load(cls, profile: Profile, state: Mapping[str, Any], *, today: date) -> Self:
        """Return the collector whose `dump` was `state`; what the profile lost since is dropped."""
        collector = cls(profile, today=today)
        collector._state = restored(state, known={field.key for field in profile.fields})
        return collector

    def open(self, *, greet: bool = True) -> list[Act]:
        """Return the first words: the greeting, if wanted, and the first question."""
        if greet:
            self._words.append(self._profile.greeting)
        self._advance()
        return self._taken()

    def hear(self, text: str, *, keyed: bool = False) -> list[Act]:
        """Return what follows from the caller's words or keys; "" = nothing understood."""
        state = self._state
        if state.mode == "done":
            return []
        state.turns += 1
        if not state.asking:  # nothing asked yet, or the profile lost the field
            self._advance()
        elif state.turns > MOST_TURNS:
            self._end("incomplete")
        else:
            self._hear(tidy(text[:LONGEST_ANSWER]), keyed=keyed)
        return self._taken()

    def _hear(self, text: str, *, keyed: bool) -> None:
        if keyed:
            text = self._from_keys(re.sub(r"\D", "", text))
        if not text:
            return self._nothing_heard()
        self._state.silences = self._state.nudges = 0
        if not keyed and self._follow_request(text):
            return None
        match self._state.mode:
            case "confirm":
                self._hear_confirmation(text, keyed=keyed)
            case "doubt":
                self._hear_doubt(text, keyed=keyed)
            case "caller":
                self._hear_about_caller_number(text, keyed=keyed)
            case "more":
                self._hear_more(text)
            case _:
                self._hear_answer(text, keyed=keyed)
        return None

    # --- keys and silence ---

    def _from_keys(self, keys: str) -> str:
        """Return what keypad digits mean here: yes (1), no (2), or an answer."""
        answer = {"1": "yes", "2": "no"}.get(keys) if self.expects.kind == "yes_no" else None
        return answer or keyed_answer(self._asked, keys)

    def _nothing_heard(self) -> None:
        state = self._state
        state.silences += 1
        state.nudges += 1
        if state.silences >= MOST_SILENCES:
            self._end("silence")
        elif state.nudges > MOST_NUDGES:
            self._give_up()
        elif state.nudges == 1:
            self._ask_again("Sorry, I did not hear you.")
        else:
            self._ask_again("I still cannot hear you.", self.expects.hint)

    # --- requests ---

    def _follow_request(self, text: str) -> bool:
        """Do what the caller asks for besides answering; return whether that was all."""
        if self._asked.type == "free_text" and len(text.split()) > 6:
            return False
        wanted = request(text)
        if wanted is None or self._volunteered(text):
            return False  # answers that come with a request go first
        if wanted is Request.GOODBYE:
            if self._state.mode == "confirm" and is_yes(text):
                self._settle(self._asked.key)
            self._end("caller_goodbye")
        elif wanted is Request.REPEAT:
            self._words.append(self._state.question)
        elif wanted is Request.MACHINE:
            self._ask_again("I am an AI assistant.")
        elif self._profile.transfer_number:
            self._words.append("I will put you through. One moment, please.")
            self._finish("transfer")
        else:
            self._acts.append(CallBack())
            self._ask_again("I will ask a person to call you back.")
        return True

    # --- answers ---

    def _hear_answer(self, text: str, *, keyed: bool = False) -> None:
        extras = [] if keyed else self._save_volunteered(text)
        verdict = self._verdict(text, extras)
        if extras and isinstance(verdict, Refused):
            return self._advance(thank=True)
        return self._take(verdict, text, keyed=keyed)

    def _volunteered(self, text: str) -> dict[str, Accepted]:
        values = self._state.values
        return volunteered(self._asked, self._profile.fields, values, text, today=self._today)

    def _save_volunteered(self, text: str) -> list[Field]:
        """Save the answers to other questions in `text`; return the fields they answer."""
        found = self._volunteered(text)
        for key, answer in found.items():
            self._save(key, answer.value, text)
        return [self._profile.field(key) for key in found]

    def _verdict(self, text: str, extras: list[Field]) -> Checked:
        """Return the verdict on the asked field, with its beginning heard before if any."""
        asked, state = self._asked, self._state
        text = without_no(asked, text)
        verdict = best(asked, text, extras, today=self._today)
        if isinstance(verdict, Doubtful) and verdict.suggestion == state.suggestion:
            return check(asked, text, today=self._today, insisted=True)
        if isinstance(verdict, Refused) and state.partial and not extras:
            whole = check(asked, join(asked, state.partial, text), today=self._today)
            return verdict if isinstance(whole, Refused) else whole
        return verdict

    def _take(self, verdict: Checked, text: str, *, keyed: bool = False) -> None:
        state = self._state
        state.partial = ""
        match verdict:
            case Accepted(value=value, ask_more=more):
                self._save(state.asking, value, text, settled=keyed)
                if not more:
                    return self._advance(thank=True)
                self._ask(more, mode="more")
            case Doubtful(suggestion=suggestion, question=question):
                if self._count_attempt():
                    state.suggestion, state.heard = suggestion, text
                    self._ask(question, mode="doubt")
            case Refused(reason=reason, partial=partial):
                self._refuse(text, reason, partial)
        return None

    def _refuse(self, text: str, reason: str, partial: str) -> None:
        weight = 2 if is_unknowing(text) else 1  # asked twice is enough for who does not know
        if not self._count_attempt(weight):
            return
        self._state.partial = partial
        self._state.mode = "answer"
        again = self._asked.ask if not partial else f"Please say the whole {self._asked.label}."
        helped = self.expects.hint if self._state.attempts[self._asked.key] > 1 else ""
        self._words += ["Sorry,", f"{reason}.", helped]
        self._ask(again)

    def _hear_more(self, text: str) -> None:
        """Complete a value that is usable already; whatever comes, we go on."""
        asked, value = self._asked, self._state.values[self._asked.key]
        extras = self._save_volunteered(text)
        more = check(asked, "" if extras else text, today=self._today)
        if isinstance(more, Accepted) and more.ask_more and more.value != value:
            more = check(asked, join(asked, value, more.value), today=self._today)
        if isinstance(more, Accepted) and not more.ask_more:
            self._save(asked.key, more.value, text)
        self._advance(thank=True)

    # --- yes and no ---

    def _hear_confirmation(self, text: str, *, keyed: bool) -> None:
        asked, value = self._asked, self._state.values[self._asked.key]
        answer, rest = split_answer(text)
        reply = text if answer is None else rest
        corrected = value_in_reply(asked, reply, today=self._today)
        if corrected and corrected.value != value:
            return self._correct(corrected, text, keyed=keyed)
        extras = self._save_volunteered(text)
        if answer is True or (corrected and answer is None):
            self._settle(asked.key)
            return self._advance(thank=True)
        if answer is False and not extras:
            return self._deny()
        if extras:
            return self._advance(thank=True)
        return self._ask_again(self.expects.hint) if self._count_attempt() else None

    def _correct(self, answer: Accepted, text: str, *, keyed: bool) -> None:
        """Take the value that the caller gave instead of the one read back, and read that back."""
        self._save(self._asked.key, answer.value, text, settled=keyed)
        if self._count_attempt():
            self._advance(thank=True)

    def _deny(self) -> None:
        """Forget the value that was read back and ask again."""
        state = self._state
        self._acts.append(Deny(state.asking))
        del state.values[state.asking]
        if self._count_attempt():
            self._words.append("Sorry about that.")
            self._ask(self._asked.ask, mode="answer")

    def _hear_doubt(self, text: str, *, keyed: bool) -> None:
        answer, rest = split_answer(text)
        suggestion = self._state.suggestion
        if answer is True:
            self._save(self._asked.key, suggestion, self._state.heard, settled=True, insisted=True)
            self._save_volunteered(rest)
            return self._advance(thank=True)
        if answer is False and rest in ("", text):
            self._words.append("Sorry about that.")
            return self._ask(self._asked.ask, mode="answer")
        self._state.mode = "answer"
        return self._hear_answer(rest if answer is False else text, keyed=keyed)

    def _hear_about_caller_number(self, text: str, *, keyed: bool) -> None:
        number, asked = self._state.caller_number, self._asked
        answer, rest = split_answer(text)
        other = value_in_reply(asked, text, today=self._today)
        if other:
            self._state.caller_number = ""
            return self._hear_answer(text, keyed=keyed)
        if answer is True:
            self._save(asked.key, number, text, settled=True)
            self._save_volunteered(rest)
            return self._advance(thank=True)
        if answer is False:
            self._state.caller_number = ""
            return self._ask(asked.ask, mode="answer")
        self._state.mode = "answer"  # neither yes nor no: perhaps the beginning of a number
        return self._hear_answer(text, keyed=keyed)

    # --- going on ---

    @property
    def _asked(self) -> Field:
        return self._profile.field(self._state.asking)

    def _save(
        self, key: str, value: str, heard: str, *, settled: bool = False, insisted: bool = False
    ) -> None:
        state = self._state
        state.values[key] = value
        state.settled = [name for name in state.settled if name != key]
        state.skipped = [name for name in state.skipped if name != key]
        self._acts.append(Save(key, value, heard, insisted=insisted))
        if settled:
            self._settle(key)

    def _settle(self, key: str) -> None:
        self._state.settled.append(key)
        if self._profile.field(key).confirm:
            self._acts.append(Confirm(key))

    def _count_attempt(self, weight: int = 1) -> bool:
        """Count an unusable answer; when there were too many, go on without and return False."""
        key = self._state.asking
        self._state.attempts[key] = self._state.attempts.get(key, 0) + weight
        if self._state.attempts[key] < MOST_ATTEMPTS:
            return True
        self._give_up()
        return False

    def _give_up(self) -> None:
        """Go on without an answer, or without its confirmation; a strict profile ends here."""
        state = self._state
        if state.asking in state.values:
            state.settled.append(state.asking)
            return self._advance()
        if self._profile.policy == "strict":
            return self._end("incomplete")
        state.skipped.append(state.asking)
        self._words.append("Let us go on.")
        return self._advance()

    def _advance(self, *, thank: bool = False) -> None:
        """Ask what comes next: to confirm, then what is missing, then say goodbye."""
        state = self._state
        state.suggestion = state.heard = state.partial = ""
        thanks = [_THANKS[len(state.values) % len(_THANKS)]] if thank else []
        for entry in self._profile.fields:
            if entry.confirm and entry.key in state.values and entry.key not in state.settled:
                state.asking = entry.key
                self._words += thanks
                said = spoken(entry, state.values[entry.key])
                return self._ask(f"I have {said} as your {entry.label}. Is that right?", "confirm")
        for entry in self._profile.required:
            if entry.key not in state.values and entry.key not in state.skipped:
                self._words += thanks
                return self._ask_for(entry)
        missing = any(entry.key not in state.values for entry in self._profile.required)
        return self._end("incomplete" if missing else "complete")

    def _ask_for(self, entry: Field) -> None:
        state = self._state
        state.asking = entry.key
        usable = entry.ask_caller and state.caller_number
        if usable and isinstance(check(entry, usable, today=self._today), Accepted):
            number = spoken(entry, state.caller_number)
            return self._ask(entry.ask_caller.replace("{number}", number), mode="caller")
        return self._ask(entry.ask, mode="answer")

    def _ask(self, question: str, mode: Mode | None = None) -> None:
        self._state.nudges = 0
        self._state.question = question
        self._state.mode = mode or self._state.mode
        self._words.append(question)

    def _ask_again(self, *before: str) -> None:
        self._words += [*before, self._state.question]

    def _end(self, reason: EndReason) -> None:
        self._words.append(self._profile.closing)
        self._finish(reason)

    def _finish(self, reason: EndReason) -> None:
        self._state.mode = "done"
        self._acts.append(End(reason))

    def _taken(self) -> list[Act]:
        """Return the acts: what is saved and confirmed, then one Say, then the end if it is one."""
        words = " ".join(filter(None, self._words))
        ends = [act for act in self._acts if isinstance(act, End)]
        acts = [act for act in self._acts if not isinstance(act, End)]
        self._acts, self._words = [], []
        return [*acts, *([Say(words)] if words else []), *ends]
