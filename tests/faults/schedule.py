"""What a seed means: who calls, and which faults come where and when. Deterministic; no I/O."""

import random
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What goes wrong."""

    DROP = "drop"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    TRUNCATE = "truncate"
    ERROR = "5xx"
    HANG = "hang"
    REFUSE = "refuse"
    KILL = "kill -9"
    DISK_FULL = "disk full"
    CLOCK_JUMP = "clock jump"


class Place(StrEnum):
    """Where; the first four lie between Twilio and us, the next five between us and a vendor."""

    WEBHOOK = "webhook"  # it rings, or there is an answer to a <Gather>
    AFTER = "webhook after a stream"
    STATUS = "status callback"
    STREAM = "media stream"
    UPGRADE = "model upgrade"
    MODEL = "model socket"
    TEXT_MODEL = "text model"
    BUYER = "buyer"
    REST = "Twilio REST"
    DATABASE = "database"
    SERVER = "server"


class Form(StrEnum):
    """Where the server runs: in this loop with SQLite or PostgreSQL, or as a process of its own."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    PROCESS = "process"
    PROCESS_ON_POSTGRESQL = "process, postgresql"

    @property
    def is_process(self) -> bool:
        """Whether it can be killed."""
        return self in (Form.PROCESS, Form.PROCESS_ON_POSTGRESQL)

    @property
    def is_postgresql(self) -> bool:
        """Whether its database is a PostgreSQL one, at the end of a wire."""
        return self in (Form.POSTGRESQL, Form.PROCESS_ON_POSTGRESQL)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `at`: the how-manieth request or frame at its place, or seconds after the start.

    `late`: the other side has done what it was asked, only its answer suffers.
    """

    place: Place
    kind: Kind
    at: float
    seconds: float
    late: bool = False

    def __str__(self) -> str:
        late = " late" if self.late else ""
        return f"{self.kind}{late} @ {self.place} [{self.at:g}, {self.seconds:g} s]"


class Ending(StrEnum):
    """How a caller leaves."""

    GOODBYE = "goodbye"
    HANG_UP = "hang up"
    NETWORK = "network lost"
    RINGING = "hang up while it rings"


@dataclass(frozen=True, slots=True)
class Caller:
    """One call; who rings off early does so after `turns` answers."""

    number: str
    after_s: float
    ending: Ending
    turns: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """All that a seed decides."""

    seed: int
    form: Form
    is_long: bool
    callers: tuple[Caller, ...]
    faults: tuple[Fault, ...]

    @property
    def is_one_person(self) -> bool:
        """Whether all callers tell the model one name and number: one person on several lines."""
        return self.seed % 4 == 0

    def __str__(self) -> str:
        people = "; ".join(
            f"{c.number[-4:]} +{c.after_s:g} s, {c.ending} ({c.turns})" for c in self.callers
        )
        faults = Counter(map(str, self.faults)).items()
        told = "; ".join(f"{count} x {fault}" if count > 1 else fault for fault, count in faults)
        return f"{self.form}: {people}{', one person' * self.is_one_person} | {told}"


# What can really happen at each place; `True`: also late.
_WEBHOOK = {
    Kind.DROP: True,
    Kind.DELAY: True,
    Kind.DUPLICATE: True,
    Kind.REORDER: False,
    Kind.HANG: True,
    Kind.ERROR: False,
}
_REAL: dict[Place, dict[Kind, bool]] = {
    Place.WEBHOOK: _WEBHOOK,
    Place.AFTER: _WEBHOOK,
    Place.STATUS: {
        Kind.DROP: True,
        Kind.DELAY: False,
        Kind.DUPLICATE: True,
        Kind.REORDER: False,
    },
    Place.STREAM: {
        Kind.DROP: False,
        Kind.DELAY: False,
        Kind.DUPLICATE: False,
        Kind.TRUNCATE: False,
        Kind.HANG: False,
    },
    Place.UPGRADE: {Kind.ERROR: False, Kind.DROP: False, Kind.HANG: False},
    Place.MODEL: {
        Kind.DROP: False,
        Kind.DELAY: False,
        Kind.REORDER: False,
        Kind.TRUNCATE: False,
        Kind.HANG: False,
    },
    Place.TEXT_MODEL: {
        Kind.ERROR: False,
        Kind.DROP: True,
        Kind.DELAY: False,
        Kind.TRUNCATE: False,
        Kind.HANG: False,
        Kind.REFUSE: False,
    },
    Place.BUYER: {
        Kind.ERROR: False,
        Kind.DROP: True,
        Kind.DELAY: True,
        Kind.TRUNCATE: False,
        Kind.HANG: True,
        Kind.REFUSE: False,
    },
    Place.REST: {Kind.ERROR: False, Kind.DROP: True, Kind.DELAY: False, Kind.HANG: False},
}
_VENDORS = (Place.UPGRADE, Place.MODEL, Place.TEXT_MODEL, Place.BUYER, Place.REST)
_MANY = {Place.STREAM: 800, Place.MODEL: 60, Place.WEBHOOK: 8, Place.TEXT_MODEL: 3}
_OFTEN = {Kind.KILL: 4, Kind.DISK_FULL: 2, Kind.CLOCK_JUMP: 2}

Combination = tuple[Form, Place, Kind]


def combinations() -> list[Combination]:
    """Return every fault in every form that it is real in; each seed is about one of them."""
    doors = [(place, kind) for place, kinds in _REAL.items() for kind in kinds]
    found = [(Form.SQLITE, place, kind) for place, kind in doors]
    forms = (Form.SQLITE, Form.POSTGRESQL, Form.PROCESS)
    found += [(form, *server) for form in forms for server in _of_form(form)]
    # Mixed, or all that is slow would come in a row.
    random.Random(0).shuffle(found)
    return found


def _of_form(form: Form) -> list[tuple[Place, Kind]]:
    locked, jump = (Place.DATABASE, Kind.HANG), (Place.SERVER, Kind.CLOCK_JUMP)
    if form is Form.SQLITE:
        return [locked, jump]
    if form is Form.POSTGRESQL:
        return [locked, (Place.DATABASE, Kind.DROP)]
    own = [(Place.SERVER, kind) for kind in (Kind.KILL, Kind.DISK_FULL, Kind.CLOCK_JUMP)]
    return [pair for pair in own for _ in range(_OFTEN[pair[1]])]


def schedule_for(seed: int) -> Schedule:
    """Return what `seed` stands for, the same for ever."""
    chance = random.Random(seed)
    every = combinations()
    form, place, kind = every[seed % len(every)]
    others = [
        *[(place, kind) for place in _places(form) for kind in _REAL[place]],
        *_of_form(form),
    ]
    more = [chance.choice(others) for _ in range(chance.choice((1, 2, 2, 3, 4)))]
    faults = [_fault(chance, *pair) for pair in [(place, kind), *more]]
    if any(fault.place is Place.REST for fault in faults):
        # Twilio is asked about a call only when it does not tell us of its end.
        faults += [Fault(Place.STATUS, Kind.DROP, at=1, seconds=0)] * 3
    if chance.random() < 0.2:  # nobody gets a model: everybody is asked by <Gather>
        faults += [Fault(Place.UPGRADE, Kind.ERROR, at=1, seconds=0)] * 12
    is_long, callers = chance.random() < 0.3, _callers(chance)
    form = _perhaps_on_postgresql(chance, form, faults)
    return Schedule(seed, form, is_long, callers, tuple(faults))


def _perhaps_on_postgresql(chance: random.Random, form: Form, faults: list[Fault]) -> Form:
    if form is Form.SQLITE:
        return Form.POSTGRESQL if chance.random() < 0.15 else form
    # Our disk matters to a database that is a file.
    if form is Form.PROCESS and all(fault.kind is not Kind.DISK_FULL for fault in faults):
        return Form.PROCESS_ON_POSTGRESQL if chance.random() < 0.4 else form
    return form


def _places(form: Form) -> tuple[Place, ...]:
    return _VENDORS if form is Form.PROCESS else tuple(_REAL)


def _fault(chance: random.Random, place: Place, kind: Kind) -> Fault:
    late = _REAL.get(place, {}).get(kind, False) and chance.random() < 0.5
    return Fault(place, kind, _at(chance, place), _seconds(chance, place, kind), late)


def _at(chance: random.Random, place: Place) -> float:
    if place in (Place.DATABASE, Place.SERVER):
        return round(chance.uniform(0.1, 3.0), 2)
    return chance.choice((1, chance.randint(1, _MANY.get(place, 2))))


def _seconds(chance: random.Random, place: Place, kind: Kind) -> float:
    if kind is Kind.CLOCK_JUMP:
        hours = chance.uniform(0.2, 9) * chance.choice((-1, 1))
        return round(hours * 3600)
    longest = 5.0 if place is Place.DATABASE else 2.0
    return round(chance.uniform(0.2, longest), 2)


def _callers(chance: random.Random) -> tuple[Caller, ...]:
    callers: list[Caller] = []
    for _ in range(chance.choice((2, 3, 3, 4))):
        number = f"+1770555{chance.randint(100, 9999):04d}"
        if callers and chance.random() < 0.3:
            number = callers[-1].number  # rings again, perhaps while the first call goes on
        ending = chance.choices(tuple(Ending), weights=(6, 3, 1, 1))[0]
        after_s = round(chance.uniform(0, 1.5), 2)
        callers.append(Caller(number, after_s, ending, turns=chance.randint(0, 2)))
    return tuple(callers)
