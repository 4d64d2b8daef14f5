"""What we write into CSV: a spreadsheet runs a cell that begins like a formula, and people outside
choose what stands in ours.
"""

import re

# = + - @, also in full width, also behind blanks that are trimmed; a tab or a line's end by itself.
# A phone number or an amount is let through: "+1 770 555 0123" is no formula.
_FORMULA = re.compile(r"[\t\r\n]|[\s\ufeff\u200b\x00]*(?:[=@＝＠]|[+\-＋－−](?![\d ().-]*$))")


def cell(value: object) -> str:
    """Return the text of a cell that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) else text
