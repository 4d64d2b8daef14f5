"""No cell that we write is a formula, whatever somebody said on the phone."""

import pytest

from ivr.spreadsheets import cell


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        '=HYPERLINK("http://evil.example","x")',
        "=cmd|'/C calc'!A0",
        "+cmd|'/C calc'!A0",
        "-cmd|'/C calc'!A0",
        "-2+3+cmd|'/C calc'!A0",
        "+1;=1",
        "@SUM(A1)",
        "\t=1",
        "\tplain",
        "\r=1",
        "\n=1",
        " =1",
        "\u00a0=1",
        "\ufeff=1",
        "\u200b=1",
        "\x00=1",
        "＝1+1",
        "＋A1",
        "－A1",
        "−A1",
        "＠SUM(A1)",
    ],
)
def test_what_begins_like_a_formula_is_made_text(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "John Doe",
        "MT-07",
        "a=b",
        "john@doe.example",
        "+17705550123",
        "+1 (770) 555-0123",
        "-5.50",
        "-",
        "2020",
        " plain",
        "محمد",
    ],
)
def test_everything_else_stays_as_it_is(text: str) -> None:
    assert cell(text) == text


def test_numbers_are_written_as_such() -> None:
    assert (cell(5), cell(-5), cell(None)) == ("5", "-5", "None")
