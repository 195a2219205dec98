"""The palette alone: letters choose, arrows move, Enter does it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from ui.palette import Offer, Palette, matching


def test_an_offer_matches_when_it_has_every_word_in_any_order() -> None:
    offers: list[Offer] = [("Use account Kraken paper", list), ("Connector Kraken", list), ("Panel Orders", list)]
    assert [words for words, _ in matching(offers, "paper KRA")] == ["Use account Kraken paper"]
    assert [words for words, _ in matching(offers, "kraken")] == ["Use account Kraken paper", "Connector Kraken"]
    assert matching(offers, "") == offers
    assert matching(offers, "nothing like it") == []


def test_letters_choose_arrows_move_and_enter_does_it_once(qtbot: QtBot) -> None:
    done: list[str] = []
    offers: list[Offer] = [(name, lambda name=name: done.append(name)) for name in ("Arm", "Kill", "Panel Fills")]
    owner = QWidget()
    qtbot.addWidget(owner)
    palette = Palette(owner, QFont(), lambda text: matching(offers, text))
    palette.open()
    assert palette.list.count() == 3
    qtbot.keyClick(palette.edit, Qt.Key.Key_Up)
    assert palette.list.currentRow() == 0
    qtbot.keyClicks(palette.edit, "ill")
    assert palette.list.count() == 2
    for _ in range(3):
        qtbot.keyClick(palette.edit, Qt.Key.Key_Down)
    assert palette.list.currentRow() == 1
    qtbot.keyClick(palette.edit, Qt.Key.Key_Return)
    assert done == ["Panel Fills"]


def test_enter_does_nothing_where_nothing_was_found(qtbot: QtBot) -> None:
    owner = QWidget()
    qtbot.addWidget(owner)
    palette = Palette(owner, QFont(), lambda text: [])
    palette.open()
    qtbot.keyClick(palette.edit, Qt.Key.Key_Return)
    assert palette.isVisible()
