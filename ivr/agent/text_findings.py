"""What a contact's messages say for certain, found by rules: the model may have missed it (S0.15).

Pure. Only what stands in a sentence without doubt counts, never a bare answer to a question.
"""

from collections.abc import Collection, Sequence
from datetime import date

from ivr.db.tables import Role, Turn
from ivr.leads.fields import find
from ivr.leads.profile import Profile

MOST_MESSAGES = 10  # the latest; the others were looked through before

Findings = dict[str, tuple[str, str]]  # by field: the value, and the words it stands in


def findings(
    profile: Profile, turns: Sequence[Turn], known: Collection[str], *, today: date
) -> Findings:
    """Return the values of fields outside `known`; the last message that has one counts."""
    written = [turn.text for turn in turns if turn.role == Role.CALLER][-MOST_MESSAGES:]
    found: Findings = {}
    for item in profile.told:
        for text in reversed(written) if item.key not in known else ():
            answer = find(item, text, today=today)
            if answer is not None:
                found[item.key] = (answer.value, text)
                break
    return found
