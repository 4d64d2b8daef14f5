"""What the rules collector does next: keeps values, asks what is missing, ends. Hears nothing."""

from collections.abc import Mapping
from datetime import date

from ivr.agent.acts import Act, Confirm, End, EndReason, Expectation, Save, Say
from ivr.agent.dialogue import Mode, State
from ivr.agent.opening import when
from ivr.agent.phrases import Medium, Phrases
from ivr.leads.fields import Accepted, check
from ivr.leads.profile import Field, Profile

MOST_ATTEMPTS = 4  # unusable answers to one question before we go on without it


class Agenda:
    """The part of a `Collector` that speaks: its words and acts, and where it stands."""

    def __init__(
        self,
        profile: Profile,
        *,
        today: date,
        known: Mapping[str, str] | None = None,
        caller_number: str | None = None,
        medium: Medium = "voice",
        language: str | None = None,
        returns: bool = True,
    ) -> None:
        self._original = profile
        self._returns = returns
        self._today = today
        keys = {field.key for field in profile.fields}
        values = {key: value for key, value in (known or {}).items() if key in keys and value}
        self._state = State(
            values=values,
            settled=list(values),
            caller_number=caller_number or "",
            medium=medium,
            language=language if language in profile.languages else "",
        )
        self._profile = profile.in_language(self._state.language)
        self._acts: list[Act] = []
        self._words: list[str] = []

    @property
    def language(self) -> str:
        """The language in which it answers, as an ISO 639 code."""
        return self._state.language or self._original.languages[0]

    @property
    def question(self) -> str:
        """What was asked last, "" before the first question."""
        return self._state.question

    @property
    def _phrases(self) -> Phrases:
        return Phrases(self.language, self._state.medium)

    @property
    def expects(self) -> Expectation:
        if self._state.mode == "done":
            return Expectation(None, "done")
        yes_no = self._state.mode in ("confirm", "doubt", "caller")
        asked = self._profile.field(self._state.asking) if self._state.asking else None
        return Expectation(asked, "yes_no" if yes_no else "answer")

    def _speak(self, language: str) -> None:
        """Go on in the profile's words in `language`."""
        self._state.language = language
        self._profile = self._original.in_language(language)

    def _promise(self) -> str:
        """Return that a person will be in touch, and where nobody is there now, from when on."""
        if opens := when(self._profile, self.language):
            return self._phrases.say("closed", when=opens)
        return self._phrases.say("call_back")

    def _greeting(self) -> str:
        """Return the profile's greeting; who calls or writes again is greeted by name."""
        names = [it.key for it in self._profile.fields if it.type == "person_name"]
        known = [self._state.values[key] for key in names if key in self._state.values]
        known = known if self._returns else []  # a form says the name of who never wrote before
        hello = self._phrases.say("hello_again", name=known[0]) if known else ""
        if self._state.medium == "voice":
            return f"{self._profile.greeting} {hello}".strip()
        if hello:
            return hello
        return self._profile.text_greeting or self._profile.greeting

    @property
    def _hint(self) -> str:
        return self._phrases.hint(self.expects)

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
        self._words.append(self._phrases.say("go_on"))
        return self._advance()

    def _advance(self, *, thank: bool = False) -> None:
        """Ask what comes next: to confirm, then what is missing, then say goodbye."""
        state = self._state
        state.suggestion = state.heard = state.partial = ""
        thanks = [self._phrases.say("thanks", turn=len(state.values))] if thank else []
        if (unsure := self._unconfirmed()) is not None:
            state.asking = unsure.key
            self._words += thanks
            said = self._phrases.value(unsure, state.values[unsure.key])
            question = self._phrases.say("is_right", value=said, label=unsure.label)
            return self._ask(question, "confirm")
        for entry in self._profile.required:
            if entry.key not in state.values and entry.key not in state.skipped:
                self._words += thanks
                return self._ask_for(entry)
        missing = any(entry.key not in state.values for entry in self._profile.required)
        return self._end("incomplete" if missing else "complete")

    def _unconfirmed(self) -> Field | None:
        """Return the first field whose value is to be read back; typed ones are not misheard."""
        state = self._state
        if state.medium == "text":
            return None
        told = [entry for entry in self._profile.fields if entry.key in state.values]
        return next((it for it in told if it.confirm and it.key not in state.settled), None)

    def _ask_for(self, entry: Field) -> None:
        state = self._state
        state.asking = entry.key
        usable = entry.ask_caller and state.caller_number
        if usable and isinstance(check(entry, usable, today=self._today), Accepted):
            return self._ask(self._phrases.this_number(entry, state.caller_number), "caller")
        return self._ask(entry.ask, mode="answer")

    def _ask(self, question: str, mode: Mode | None = None) -> None:
        self._state.nudges = 0
        self._state.question = question
        self._state.mode = mode or self._state.mode
        self._words.append(question)

    def _ask_again(self, *before: str) -> None:
        if self._is_told:
            self._words += before[:1]
            return self._advance()
        self._words += [*before, self._state.question]
        return None

    @property
    def _is_told(self) -> bool:
        """Whether others have told us meanwhile what we asked for."""
        state = self._state
        return state.mode in ("answer", "doubt", "caller") and state.asking in state.values

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
