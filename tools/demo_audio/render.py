"""Renders what synthetic callers say with flite's voice rms, as mu-law 8 kHz; also invents some.

`python -m tools.demo_audio.render` makes the committed clips of `demo.toml` anew.
flite is needed for that alone: playing the clips needs nothing.
"""

import random
import re
import shutil
import subprocess
import tempfile
import tomllib
import wave
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ivr.leads.field_types.spoken_numbers import UNITS, below_hundred
from ivr.offline.sound import BYTES_PER_MS, SILENCE, to_telephone
from tools.demo_audio import CLIPS

VOICE = "rms"  # of flite's voices the one that the recogniser understands best
_MARGIN_MS = 60


def has_flite() -> bool:
    """Whether this machine can render."""
    return shutil.which("flite") is not None


def render(text: str) -> bytes:
    """Return `text` as mu-law 8 kHz, with a little silence around it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        command = ["flite", "-voice", VOICE, "-t", text, "-o", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        with wave.open(str(path)) as said:
            samples, rate = array("h", said.readframes(said.getnframes())), said.getframerate()
    margin = SILENCE * (_MARGIN_MS * BYTES_PER_MS)
    return margin + to_telephone(samples, rate) + margin


@dataclass(frozen=True, slots=True)
class Invented:
    """A caller nobody wrote down: their words by question, and the lead that must come out."""

    caller: str
    says: tuple[tuple[str, str], ...]  # pattern of the question, words
    lead: dict[str, str]


def invent(
    seed: int,
    *,
    first: Sequence[str],
    last: Sequence[str],
    vehicles: Sequence[tuple[str, str, str, str]],
    zips: Sequence[str],
) -> Invented:
    """Return a caller by chance; a vehicle is make, how it is said, model, how that is said."""
    chance = random.Random(seed)
    name = f"{chance.choice(first)} {chance.choice(last)}"
    area, rest = chance.choice(("770", "212", "415", "312", "404")), chance.randrange(100, 10_000)
    number = f"{area}{chance.randrange(220, 1000)}{rest:04d}"
    make, said_make, model, said_model = chance.choice(vehicles)
    zip_code, year = chance.choice(zips), chance.randrange(1990, chance.choice((2010, 2026)))
    own = chance.random() < 0.5
    says = (
        (r"\bname\b", name),
        (r"zip code", digits(zip_code)),
        (r"calling from", "yes" if own else "no"),
        (r"best phone number|phone number\b(?! *\.)", phone(number)),
        (r"is that right", "yes that's right"),
        (r"what year", said_year(year)),
        (r"what make", said_make),
        (r"which model", said_model),
    )
    lead = {
        "full_name": name.title(),
        "zip_code": zip_code,
        "phone": f"+1{number}",
        "vehicle_year": str(year),
        "vehicle_make": make,
        "vehicle_model": model,
    }
    caller = f"+1{number}" if own else "+17705550123"
    return Invented(caller, says, lead)


def digits(number: str) -> str:
    """Return digits as people say them one by one."""
    return " ".join(UNITS[int(digit)] for digit in number)


def phone(number: str) -> str:
    """Return a ten digit number in its three groups."""
    return ", ".join(digits(part) for part in (number[:3], number[3:6], number[6:]))


def said_year(year: int) -> str:
    """Return a year as people say it: "nineteen ninety nine", "two thousand eight"."""
    century, rest = divmod(year, 100)
    if 2000 <= year < 2010:
        return f"two thousand {UNITS[rest]}" if rest else "two thousand"
    after = below_hundred(rest) if rest > 9 else f"oh {UNITS[rest]}" if rest else "hundred"
    return f"{below_hundred(century)} {after}".replace("-", " ")


def main() -> None:
    """Render the demo's clips."""
    table = tomllib.loads((CLIPS / "demo.toml").read_text(encoding="utf-8"))
    for answer in table["answers"]:
        assert re.fullmatch(r"\w+\.ulaw", answer["clip"]), "a clip lies beside this file"
        (CLIPS / answer["clip"]).write_bytes(render(answer["say"]))


if __name__ == "__main__":
    main()
