"""Style properties: what the style sheet asks of a widget, and drawing it anew where that changes."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget


def mark(widget: QWidget, name: str, value: object) -> bool:
    """Set a property that the style sheet knows (None takes it away). Returns whether it changed."""
    if widget.property(name) == value:
        return False
    widget.setProperty(name, value)
    repolish(widget)
    return True


def repolish(*widgets: QWidget) -> None:
    """Let the style sheet look at these again; Qt does not do so by itself when a property changes."""
    for widget in widgets:
        widget.style().unpolish(widget)
        widget.style().polish(widget)
