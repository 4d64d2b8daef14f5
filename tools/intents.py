"""How well the rules read what callers want, measured on labelled sentences; no model.

`python -m tools.intents FILE [--intent handoff] [--show]`: FILE is JSON, {"utterances": [{"text":
..., "intents": [...]}]}.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ivr.agent.person_request import wants_person

RULES: Mapping[str, Callable[[str], bool]] = {"handoff": wants_person}


@dataclass(frozen=True, slots=True)
class Score:
    """What was found, what was found wrongly, what was missed."""

    right: Sequence[str]
    wrong: Sequence[str]
    missed: Sequence[str]

    @property
    def precision(self) -> float:
        """The part of what was found that is right."""
        return len(self.right) / max(1, len(self.right) + len(self.wrong))

    @property
    def recall(self) -> float:
        """The part of what is there that was found."""
        return len(self.right) / max(1, len(self.right) + len(self.missed))

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return 2 * self.precision * self.recall / max(1e-9, self.precision + self.recall)


def score(utterances: Sequence[Mapping[str, object]], intent: str) -> Score:
    """Return how the rules for `intent` do on labelled utterances."""
    found: dict[tuple[bool, bool], list[str]] = {}
    for utterance in utterances:
        text, labels = str(utterance["text"]), utterance["intents"]
        assert isinstance(labels, list), "intents: a list of words"
        found.setdefault((RULES[intent](text), intent in labels), []).append(text)
    return Score(
        right=found.get((True, True), []),
        wrong=found.get((True, False), []),
        missed=found.get((False, True), []),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print precision, recall and F1, and with --show every sentence the rules got wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.intents", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--intent", choices=sorted(RULES), default="handoff")
    parser.add_argument("--show", action="store_true", help="print what was got wrong")
    chosen = parser.parse_args(arguments)
    utterances = json.loads(chosen.file.read_text(encoding="utf-8"))["utterances"]
    result = score(utterances, chosen.intent)
    lines = [
        f"{chosen.intent}: precision {result.precision:.2f}, recall {result.recall:.2f}, "
        f"F1 {result.f1:.2f} ({len(utterances)} sentences)"
    ]
    if chosen.show:
        lines += [f"  wrong   {text}" for text in result.wrong]
        lines += [f"  missed  {text}" for text in result.missed]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
