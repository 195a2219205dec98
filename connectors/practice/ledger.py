"""Who owns what: accounts, their assets in atoms and their contract positions at cost.

Nothing here appears or vanishes: what leaves one purse enters another in the same call, and a position is kept at the
exact sum of what its trades were worth, so that for every asset the sum of all purses less the cost of all positions
only changes with deposits and withdrawals (`imbalance`).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from connectors.practice.grid import Grid
from connectors.practice.terms import AccountRules, Execution, FundingPayment, Refusal, RefusalKind, Wallet

if TYPE_CHECKING:
    from connectors.practice.orders import LiveOrder

KEPT = 10_000  # ended orders and fills of an account
DEFAULT_LEVERAGE = 10


class Purse:
    """One asset in one wallet: what is owned, and the part of it that open orders block (spot)."""

    __slots__ = ("held", "total")

    def __init__(self) -> None:
        self.total = 0
        self.held = 0


class Holding:
    """One account's position in one contract, with what its open orders could make of it.

    `lots` is signed, `cost` the sum of `Grid.worth` of what it was made of. `buying` and `selling` are the values of
    open orders that are not reduce-only, at their limit prices.
    """

    __slots__ = ("buying", "cost", "grid", "leverage", "lots", "realised", "selling")

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.lots = self.cost = self.realised = 0
        self.buying = self.selling = 0
        self.leverage = min(DEFAULT_LEVERAGE, grid.listing.max_leverage)

    def trade(self, lots: int, ticks: int) -> int:
        """Buy (or sell, negative) and return the profit that this locks in, in atoms."""
        flow = self.grid.worth(ticks, lots)
        if not self.lots or (self.lots > 0) is (lots > 0):
            if not self.lots:
                self.realised = 0
            self.lots += lots
            self.cost += flow
            return 0
        closing = lots if abs(lots) <= abs(self.lots) else -self.lots
        closing_flow = flow if closing == lots else self.grid.worth(ticks, closing)
        released = self.cost * abs(closing) // abs(self.lots)
        profit = -closing_flow - released
        self.lots += closing
        self.cost -= released
        self.realised += profit
        if closing != lots:
            self.lots = lots - closing
            self.cost = flow - closing_flow
            self.realised = 0
        return profit

    def unrealised(self, mark: int) -> int:
        """Profit if closed at `mark`, in atoms."""
        return self.grid.worth(mark, self.lots) - self.cost if self.lots else 0

    def margin(self, mark: int, *, buying: int = 0, selling: int = 0) -> int:
        """Initial margin of the position and its orders, and of `buying` or `selling` on top: the worse way counts."""
        value = self.grid.value(mark, abs(self.lots))
        position = value if self.lots >= 0 else -value
        worst = max(position + self.buying + buying, self.selling + selling - position)
        return -(-worst // self.leverage)

    def position_margin(self, mark: int) -> int:
        """Initial margin of the position alone."""
        return -(-self.grid.value(mark, abs(self.lots)) // self.leverage)

    def maintenance(self, mark: int) -> int:
        """Margin under which the position is liquidated."""
        listing = self.grid.listing
        if listing.maintenance:
            numerator, denominator = listing.maintenance.as_integer_ratio()
        else:
            numerator, denominator = 1, 2 * listing.max_leverage
        return self.grid.value(mark, abs(self.lots)) * numerator // denominator


class Account:
    """One account. `open` holds resting and waiting orders by id, oldest first."""

    __slots__ = (
        "by_client",
        "by_id",
        "closed",
        "counts",
        "fills",
        "funding",
        "holdings",
        "name",
        "open",
        "purses",
        "rules",
        "used_ids",
    )

    def __init__(self, name: str, rules: AccountRules) -> None:
        self.name = name
        self.rules = rules
        self.purses: dict[Wallet, dict[str, Purse]] = {Wallet.SPOT: {}, Wallet.MARGIN: {}}
        self.holdings: dict[str, Holding] = {}
        self.open: dict[int, LiveOrder] = {}
        self.counts: dict[str, int] = {}
        self.by_id: dict[int, LiveOrder] = {}
        self.by_client: dict[str, LiveOrder] = {}
        self.used_ids: set[str] = set()
        self.closed: deque[LiveOrder] = deque()
        self.fills: deque[Execution] = deque(maxlen=KEPT)
        self.funding: deque[FundingPayment] = deque(maxlen=KEPT)

    def purse(self, wallet: Wallet, asset: str) -> Purse:
        """The purse, made if there is none."""
        purses = self.purses[wallet]
        purse = purses.get(asset)
        if purse is None:
            purse = purses[asset] = Purse()
        return purse

    def holding(self, grid: Grid) -> Holding:
        """The position in a contract, made (flat) if there is none."""
        key = grid.listing.key
        holding = self.holdings.get(key)
        if holding is None:
            holding = self.holdings[key] = Holding(grid)
        return holding

    def remember(self, order: LiveOrder) -> None:
        """Keep an ended order for look-ups, the oldest one giving way."""
        self.closed.append(order)
        if len(self.closed) > KEPT:
            oldest = self.closed.popleft()
            del self.by_id[oldest.id]
            if self.by_client.get(oldest.client_id) is oldest:
                del self.by_client[oldest.client_id]


class Ledger:
    """All accounts. `issued` is what was deposited less what was withdrawn, by asset."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self._issued: dict[str, int] = {}

    def open(self, name: str, rules: AccountRules) -> Account:
        """Open an account, or change the rules of one."""
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = Account(name, rules)
        account.rules = rules
        return account

    def account(self, name: str) -> Account:
        """Refused: UNKNOWN_ACCOUNT."""
        account = self.accounts.get(name)
        if account is None:
            raise Refusal(RefusalKind.UNKNOWN_ACCOUNT, f"no account {name}")
        return account

    def deposit(self, account: Account, wallet: Wallet, asset: str, atoms: int) -> None:
        """Issue atoms; negative = withdraw."""
        account.purse(wallet, asset).total += atoms
        self._issued[asset] = self._issued.get(asset, 0) + atoms

    def imbalance(self, asset: str) -> int:
        """Atoms that exist and were never deposited (or the reverse): zero, always."""
        found = -self._issued.get(asset, 0)
        for account in self.accounts.values():
            for purses in account.purses.values():
                if asset in purses:
                    found += purses[asset].total
            for holding in account.holdings.values():
                if holding.grid.listing.settle == asset:
                    found -= holding.cost
        return found
