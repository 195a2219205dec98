"""The one style sheet, made from tokens: windows, splitters, scroll bars, headers, line edits, menus, tool tips, docks."""

from __future__ import annotations

from ui.theme import Theme


def style_sheet(theme: Theme) -> str:
    """Qt style sheet of the theme in force."""
    tokens = theme.tokens
    names = {
        "gutter": tokens.surface_gutter,
        "panel": tokens.surface_panel,
        "raised": tokens.surface_raised,
        "control": tokens.surface_control,
        "selected": tokens.surface_selected,
        "popover": tokens.surface_popover,
        "subtle": tokens.line_subtle,
        "strong": tokens.line_strong,
        "primary": tokens.text_primary,
        "secondary": tokens.text_secondary,
        "tertiary": tokens.text_tertiary,
        "disabled": tokens.text_disabled,
        "danger": tokens.danger,
        "accent": theme.accents.accent,
        "accent_text": theme.accents.text,
        "strip": theme.accents.strip,
        "selection": theme.accents.selection,
        "on": theme.accents.on,
    }
    values = {name: colour.name() for name, colour in names.items()}
    values["strip_px"] = str(theme.px("strip"))
    values["field"] = str(theme.px("control"))
    sheet = _SHEET
    for name, value in values.items():
        sheet = sheet.replace(f"@{name}@", value)
    return sheet


_SHEET = """
QMainWindow, QDialog, #fathomWindow { background: @gutter@; color: @primary@; }
QWidget { color: @primary@; }
QLabel { background: transparent; }
QToolTip { background: @popover@; color: @primary@; border: 1px solid @strong@; padding: 4px 6px; }
QMenu { background: @popover@; color: @primary@; border: 1px solid @strong@; border-radius: 4px; padding: 4px; }
QMenu::item { padding: 6px 24px 6px 12px; border-radius: 3px; }
QMenu::item:selected { background: @selected@; }
QMenu::item:disabled { color: @disabled@; }
QMenu::separator { height: 1px; background: @subtle@; margin: 4px 8px; }
QLineEdit, QPlainTextEdit, QTextEdit {
    background: @raised@; color: @primary@; border: 1px solid @strong@; border-radius: 4px; padding: 0 8px;
    selection-background-color: @accent@; selection-color: @on@; placeholder-text-color: @tertiary@;
}
QPlainTextEdit, QTextEdit { padding: 6px 8px; }
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus { border: 2px solid @accent@; padding: 0 7px; }
QPlainTextEdit:focus, QTextEdit:focus { padding: 5px 7px; }
QLineEdit:disabled { color: @disabled@; border-color: @subtle@; }
QLineEdit[error="true"] { border: 1px solid @danger@; }
QScrollArea, QAbstractScrollArea { border: none; background: transparent; }
QScrollBar:vertical { background: transparent; width: 8px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 8px; margin: 0; }
QScrollBar::handle:vertical { background: @strong@; border-radius: 2px; min-height: 32px; margin: 0 2px; }
QScrollBar::handle:horizontal { background: @strong@; border-radius: 2px; min-width: 32px; margin: 2px 0; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QTableView, QTreeView, QListView { background: @panel@; border: none; outline: none; gridline-color: transparent; }
QHeaderView { background: @panel@; border: none; }
QHeaderView::section { background: @panel@; border: none; }
QTableCornerButton::section { background: @panel@; border: none; }
QSplitter::handle { background: @gutter@; }
ads--CDockContainerWidget { background: @gutter@; }
ads--CDockContainerWidget > QSplitter { padding: 0; }
ads--CDockSplitter::handle { background: @gutter@; }
ads--CDockAreaWidget { background: @panel@; border: none; }
ads--CDockWidget { background: @panel@; border: none; }
ads--CDockAreaTitleBar { background: @raised@; border: none; border-top: 2px solid @raised@; padding: 0; }
ads--CDockAreaTitleBar[trading="true"] { background: @strip@; border-top: 2px solid @accent@; }
#tabsContainerWidget, ads--CDockAreaTabBar { background: transparent; border: none; }
ads--CDockWidgetTab { background: transparent; border: none; padding: 0 8px; }
ads--CDockWidgetTab[activeTab="true"][several="true"] { background: @panel@; }
ads--CDockWidgetTab QLabel { color: @secondary@; font-weight: 500; background: transparent; }
ads--CDockWidgetTab[activeTab="true"] QLabel { color: @primary@; font-weight: 600; }
ads--CTitleBarButton { background: transparent; border: none; }
ads--CFloatingDockContainer { background: @gutter@; }
"""
