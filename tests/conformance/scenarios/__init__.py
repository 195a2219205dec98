"""The list. Order here is the order of the table."""

from tests.conformance.scenarios import books, accounts, orders, refusals, trouble  # noqa: I001 - the table's order
from tests.conformance.scenarios.list import SCENARIOS

__all__ = ["SCENARIOS", "accounts", "books", "orders", "refusals", "trouble"]
