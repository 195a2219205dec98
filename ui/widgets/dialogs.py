"""Dialogs stand beside the window and never lock it: the kill switch works while one of them waits for an answer."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog


def show_beside(dialog: QDialog) -> None:
    """Show it in front, without taking the rest of the program away. The keyboard goes back to where it came from."""
    parent = dialog.parentWidget()
    if parent is not None:
        dialog.finished.connect(parent.window().activateWindow)
    dialog.setWindowModality(Qt.WindowModality.NonModal)
    dialog.show()
    dialog.raise_()
    dialog.activateWindow()
