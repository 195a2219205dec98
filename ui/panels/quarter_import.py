"""The dialog that takes in a later quarter's table of exchanges."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.catalogue import Catalogue, ImportFailed


class QuarterImport(QDialog):
    """A later quarter's Markdown table, pasted or from a file. What is wrong is said here, and nothing is lost."""

    imported = Signal(str)

    def __init__(self, catalogue: Catalogue, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Import a quarter's table")
        self.catalogue = catalogue
        self.quarter = QLineEdit()
        self.quarter.setPlaceholderText("Q4 2023")
        self.quarter.setAccessibleName("Quarter")
        self.text = QPlainTextEdit()
        self.text.setAccessibleName("Markdown table")
        self.text.setPlaceholderText(
            "| Exchange | Type | Tier | Maintainer | Signup code |\n| --- | --- | --- | --- | --- |\n| …"
        )
        self.problem = QLabel()
        self.problem.setProperty("role", "problem")
        self.problem.setWordWrap(True)
        file = QPushButton("From a file…")
        file.clicked.connect(self._file)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self._take)
        buttons.rejected.connect(self.reject)
        row = QHBoxLayout()
        row.addWidget(QLabel("Quarter"))
        row.addWidget(self.quarter)
        row.addStretch(1)
        row.addWidget(file)
        column = QVBoxLayout(self)
        column.addLayout(row)
        column.addWidget(self.text)
        column.addWidget(self.problem)
        column.addWidget(buttons)
        self.resize(720, 420)

    def _file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "A Markdown file", "", "Markdown (*.md *.txt);;All files (*)")
        if name:
            try:
                self.text.setPlainText(Path(name).read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                self.problem.setText(f"{name} could not be read: {error}")

    def _take(self) -> None:
        try:
            quarter = self.catalogue.import_markdown(self.text.toPlainText(), self.quarter.text().strip())
        except (ImportFailed, OSError) as error:
            self.problem.setText(str(error))
            return
        self.imported.emit(quarter.quarter)
        self.accept()
