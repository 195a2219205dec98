"""Numbers as they are typed: money is never guessed."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pytestqt.qtbot import QtBot

from ui.theme import Theme
from ui.widgets.fields import NumberField, typed
from ui.widgets.figures import size_figure


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("62795.69", "62795.69"),
        ("62\u2009795.69", "62795.69"),
        ("62,795.69", "62795.69"),
        ("1,000,000", "1000000"),
        ("0,125", "0.125"),
        ("1,5", "1.5"),
        ("-3", "-3"),
        ("62,795", None),
        ("1,000", None),
        ("1.000,5", None),
        ("1,00,000", None),
        ("9e999999", None),
        ("1e-400", None),
        ("nan", None),
        ("abc", None),
        ("", None),
    ],
)
def test_a_number_is_read_only_where_it_can_be_no_other(text: str, number: str | None) -> None:
    assert typed(text) == (None if number is None else Decimal(number))


def test_what_was_typed_stays_even_if_it_is_no_number(qtbot: QtBot) -> None:
    field = NumberField(Theme("dark"), "Amount")
    qtbot.addWidget(field)
    field.edit.setText("1,000")
    assert (field.value, field.edit.text()) == (None, "1,000")


def test_a_size_that_rests_is_never_shown_as_zero() -> None:
    assert size_figure(0.0003, 3) == "<0.001"
    assert size_figure(0.0006, 3) == "0.001"
    assert size_figure(0.0, 3) == "0.000"
    assert size_figure(12.5, 3) == "12.500"
