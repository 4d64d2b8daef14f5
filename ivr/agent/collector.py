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

from ivr.agent.acts import Act, CallBack, Deny
from ivr.agent.agenda import Agenda
from ivr.agent.dialogue import restored
from ivr.agent.language import follow
from ivr.agent.understanding import (
    Request,
    asks_back,
    best,
    is_polite,
    request,
    value_in_reply,
    volunteered,
    without_no,
)
from ivr.leads.field_types.speech import SHORT, is_unknowing, knows_nothing, tidy
from ivr.leads.field_types.yes_no import is_yes, split_answer
from ivr.leads.fields import (
    LONGEST_ANSWER,
    Accepted,
    Checked,
    Doubtful,
    Refused,
    check,
    find,
    join,
    keyed_answer,
)
from ivr.leads.profile import Field, Profile

MOST_NUDGES = 2  # silences after one question that we bridge
MOST_SILENCES = 5  # silences in a row after which nobody is there
MOST_TURNS = 80  # a whole conversation; ends those who only ever ask back


class Collector(Agenda):
    """One conversation by the rules. `known` needs no asking; `caller_number` is E.164.

    Who writes is followed in their language, where the profile has words in it; `language` is the
    one that is known from before. What is written is not read back.
    """

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON-able data."""
        return asdict(self._state)

    @classmethod
    def load(
        cls,
        profile: Profile,
        state: Mapping[str, Any],
        *,
        today: date,
        known: Mapping[str, str] | None = None,
    ) -> Self:
        """Return the collector whose `dump` was `state`; what the profile lost since is dropped.

        `known` is what others have saved meanwhile: it is not asked for any more.
        """
        collector = cls(profile, today=today, known=known)
        learnt = collector._state.values
        collector._state = restored(state, known={field.key for field in profile.fields})
        collector._learn(learnt)
        collector._speak(collector._state.language)
        return collector

    def _learn(self, learnt: Mapping[str, str]) -> None:
        state = self._state
        state.values |= learnt
        state.settled += [key for key in learnt if key not in state.settled]
        state.skipped = [key for key in state.skipped if key not in learnt]

    def open(self, *, greet: bool = True) -> list[Act]:
        """Return the first words: the greeting, if wanted, and the first question."""
        if greet:
            self._words.append(self._greeting())
        self._advance()
        return self._taken()

    def hear(self, text: str, *, keyed: bool = False) -> list[Act]:
        """Return what follows from the caller's words or keys; "" = nothing understood.

        Before `open` it is the first message of somebody who writes: it is greeted, and what it
        tells is taken.
        """
        state = self._state
        if state.mode == "done":
            return []
        state.turns += 1
        self._follow(text)
        if not state.asking:  # nothing asked yet, or the profile lost the field
            self._hear_first(_one_line(text))
        elif state.turns > MOST_TURNS:
            self._end("incomplete")
        else:
            self._hear(_one_line(text), keyed=keyed)
        return self._taken()

    def _follow(self, text: str) -> None:
        """Go on in the language in which somebody writes."""
        if self._state.medium == "text":
            known = self._original.languages
            self._speak(follow(text, now=self._state.language or None, known=known) or "")

    def overhear(self, text: str) -> list[Act]:
        """Return what follows from a message whose writer had not read the question before it."""
        asked = self.expects.field
        if asked is not None and self.expects.kind == "answer" and asked.type != "free_text":
            return self.hear(text)
        if not self._save_volunteered(tidy(text[:LONGEST_ANSWER])):
            return []
        self._advance(thank=True)
        return self._taken()

    def hear_after(self, text: str) -> list[Act]:
        """Return the answer to what is written when all is said and done; [] to what is more than
        politeness or a question.
        """
        self._follow(text)
        if is_polite(text):
            words = self._phrases.say("welcome")
        elif request(text) is Request.GOODBYE:
            words = self._phrases.say("goodbye")
        elif request(text) is Request.MACHINE:
            words = self._phrases.say("machine")
        elif asks_back(f"{text.rstrip(' ?؟')}?"):
            words = self._phrases.say("ask_a_person")
        else:
            return []
        missing = any(entry.key not in self._state.values for entry in self._profile.required)
        self._acts, self._words = [], [words]
        self._finish("caller_goodbye" if missing else "complete")
        return self._taken()

    def _hear_first(self, text: str) -> None:
        if self._state.medium == "voice":
            return self._advance()
        is_new = not self._state.question
        greeting = [self._greeting()] if is_new else []
        found = self._save_volunteered(text)
        self._advance(thank=bool(found))
        if not found and self._state.asking and request(text):
            self._words = []
            self._follow_request(text)
        elif not found and self._state.asking and asks_back(text):
            self._words.insert(0, self._phrases.say("ask_a_person"))
        self._words = [*greeting, *self._words]
        return None

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
            self._ask_again(self._phrases.say("not_heard"))
        else:
            self._ask_again(self._phrases.say("still_not_heard"), self._hint)

    # --- requests ---

    def _follow_request(self, text: str) -> bool:
        """Do what the caller asks for besides answering; return whether that was all."""
        if self._asked.type == "free_text" and len(text.split()) > SHORT:
            return False
        wanted = request(text)
        if wanted is None or self._volunteered(text):
            return False  # answers that come with a request go first
        if wanted is Request.GOODBYE:
            if self._state.mode == "confirm" and is_yes(text):
                self._settle(self._asked.key)
            self._take_leave()
        elif wanted is Request.REPEAT:
            self._ask_again()
        elif wanted is Request.MACHINE:
            self._ask_again(self._phrases.say("machine"))
        elif self._profile.transfer_number:
            self._words.append(self._phrases.say("transfer"))
            self._finish("transfer")
        else:
            self._acts.append(CallBack())
            self._ask_again(self._promise())
        return True

    def _take_leave(self) -> None:
        """Say goodbye; who writes and leaves no number is not told that we will be in touch."""
        reachable = all(key in self._state.values for key in self._profile.minimum)
        if self._state.medium == "voice" or reachable:
            return self._end("caller_goodbye")
        self._words.append(self._phrases.say("goodbye"))
        return self._finish("caller_goodbye")

    # --- answers ---

    def _hear_answer(self, text: str, *, keyed: bool = False) -> None:
        extras = [] if keyed else self._save_volunteered(text)
        if not extras and self._is_question(text):
            answer = self._phrases.say("ask_a_person")
            return self._ask_again(answer, self._hint) if self._count_attempt() else None
        if self._asked.type == "free_text" and knows_nothing(text):
            return self._give_up()
        verdict = self._verdict(text, extras)
        if extras and isinstance(verdict, Refused):
            return self._advance(thank=True)
        if self._is_told and not isinstance(verdict, Accepted):
            return self._advance(thank=bool(extras))
        return self._take(verdict, text, keyed=keyed)

    def _is_question(self, text: str) -> bool:
        """Whether a question is written that holds no answer to ours."""
        if self._state.medium != "text":
            return False
        if self._asked.type == "free_text":
            return text.endswith(("?", "؟"))
        return asks_back(text) and find(self._asked, text, today=self._today) is None

    def _volunteered(self, text: str) -> dict[str, Accepted]:
        asked = self._asked if self._state.asking else None
        fields, values = self._profile.told, self._state.values
        return volunteered(asked, fields, values, text, today=self._today)

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
        # What nobody asks for is only told along the way: "next month" answers both.
        extras = [field for field in extras if field.asked]
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
                self._ask(self._phrases.more(more), mode="more")
            case Doubtful(suggestion=suggestion, question=question):
                if self._count_attempt():
                    state.suggestion, state.heard = suggestion, text
                    self._ask(self._phrases.doubt(question, suggestion), mode="doubt")
            case Refused(reason=reason, partial=partial):
                self._refuse(text, reason, partial)
        return None

    def _refuse(self, text: str, reason: str, partial: str) -> None:
        weight = 2 if is_unknowing(text) else 1  # asked twice is enough for who does not know
        if not self._count_attempt(weight):
            return
        self._state.partial = partial
        self._state.mode = "answer"
        asked = self._asked
        again = asked.ask if not partial else self._phrases.say("say_whole", label=asked.label)
        is_second = self._state.attempts[asked.key] > 1
        self._words += [self._phrases.refused(reason), self._hint if is_second else ""]
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
        return self._ask_again(self._hint) if self._count_attempt() else None

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
            self._words.append(self._phrases.say("sorry"))
            self._ask(self._asked.ask, mode="answer")

    def _hear_doubt(self, text: str, *, keyed: bool) -> None:
        answer, rest = split_answer(text)
        suggestion = self._state.suggestion
        if answer is True:
            self._save(self._asked.key, suggestion, self._state.heard, settled=True, insisted=True)
            self._save_volunteered(rest)
            return self._advance(thank=True)
        if answer is False and rest in ("", text):
            self._words.append(self._phrases.say("sorry"))
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


def _one_line(text: str) -> str:
    """Return `text` with its lines as clauses: several messages may come as one."""
    return tidy(re.sub(r"(?<=\w)\s*\n\s*", ", ", text[:LONGEST_ANSWER]))
