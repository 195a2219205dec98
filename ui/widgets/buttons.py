"""Buttons of one make: a text, a name for screen readers, what a click does, and style properties."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QPushButton


def button(text: str, name: str, action: Callable[[], object], **properties: object) -> QPushButton:
    """A push button, named by its text where `name` is empty.

    `properties` are those that the style sheet knows (`quiet`, `danger`, ...).
    """
    made = QPushButton(text)
    made.setAccessibleName(name)
    for key, value in properties.items():
        made.setProperty(key, value)
    made.clicked.connect(lambda _=False: action())
    return made
