"""The local exchange: listings, accounts, orders, events. Pure: no I/O, no clock of its own, exact, deterministic.

Time is what `advance` was last told. Every public call either returns or raises `Refusal`, in which case nothing was
changed. Events are delivered after the operation that made them is complete, in the order in which things happened;
a listener may call back into the exchange, its events then follow.

One operation tells, in this order: OrderChanged(ACCEPTED); for each match BookChanged, Traded, the maker's Filled and
OrderChanged(FILLED), the taker's Filled and OrderChanged(FILLED); then the rest of the taker (BookChanged where it
rests, or OrderChanged(ENDED)); then what it set off (triggered orders, the same again); then PositionChanged and
BalanceChanged, once for each that changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from connectors.model import EndReason, InstrumentStatus
from connectors.practice.listings import Listing
from connectors.practice.terms import (
    AccountEvent,
    AccountRules,
    AssetBalance,
    Bar,
    BookChanged,
    BookChanges,
    BookImage,
    BookLevel,
    Execution,
    FundingPayment,
    MarketEvent,
    MarkImage,
    NewOrder,
    Order,
    OrderName,
    PositionImage,
    PublicTrade,
    TickerImage,
    Wallet,
)

FEES = "fees"  # the account that fees are paid to
INSURANCE = "insurance"  # the account that takes over what liquidation could not close


class Exchange:
    """See the module. `start_ms` is the time before the first `advance`."""

    listings: Mapping[str, Listing]
    now_ms: int

    def __init__(self, listings: Iterable[Listing], *, start_ms: int) -> None: ...

    # time ------------------------------------------------------------------------------------------------------------

    def advance(self, now_ms: int) -> None:
        """Let time pass: expiries, marks, mark triggers, liquidations, funding. Earlier times are ignored."""

    # listening -------------------------------------------------------------------------------------------------------

    def watch_market(self, listener: Callable[[MarketEvent], None], key: str | None = None) -> Callable[[], None]:
        """Hear book changes and trades of one listing (None: of all). Returns what ends it."""

    def watch_account(self, listener: Callable[[AccountEvent], None], account: str) -> Callable[[], None]:
        """Hear everything that happens to one account. Returns what ends it."""

    # accounts --------------------------------------------------------------------------------------------------------

    def open_account(self, account: str, rules: AccountRules = AccountRules()) -> None:
        """Open an account, or change the rules of one that is open."""

    def accounts(self) -> list[str]:
        """All accounts, house accounts included."""

    def deposit(self, account: str, asset: str, amount: Decimal, wallet: Wallet = Wallet.SPOT) -> None:
        """Create `amount` of an asset in a wallet. At most 16 decimals."""

    def withdraw(self, account: str, asset: str, amount: Decimal, wallet: Wallet = Wallet.SPOT) -> None:
        """Take `amount` out of the exchange. Refused: FUNDS."""

    def transfer(self, account: str, asset: str, amount: Decimal, source: Wallet, target: Wallet) -> None:
        """Move between wallets of one account. Refused: FUNDS."""

    def balances(self, account: str, wallet: Wallet | None = None) -> list[AssetBalance]:
        """Every asset the account ever had, of one wallet or all, by name."""

    def balance(self, account: str, asset: str, wallet: Wallet = Wallet.SPOT) -> AssetBalance:
        """One asset; zeros if the account never had it."""

    def positions(self, account: str) -> list[PositionImage]:
        """Positions that are not flat."""

    def position(self, account: str, key: str) -> PositionImage:
        """The position in one contract, flat or not. Refused: UNSUPPORTED for spot."""

    def set_leverage(self, account: str, key: str, leverage: int) -> None:
        """Leverage of the account in one contract. Refused: LEVERAGE out of range, MARGIN if what is open no longer fits."""

    def leverage(self, account: str, key: str) -> int:
        """Leverage in force; 10 (or the listing's maximum if lower) unless set."""

    def funding(self, account: str, key: str | None = None) -> list[FundingPayment]:
        """Funding paid and received, oldest first."""

    def imbalance(self, asset: str) -> Decimal:
        """Everything owned by all accounts less everything deposited, open contracts at cost: zero, always."""

    # orders ----------------------------------------------------------------------------------------------------------

    def place(self, account: str, request: NewOrder) -> Order:
        """Enter an order and match it. Returns its image afterwards (it may have ended already).

        Refused: everything in RefusalKind that is about an order.
        """

    def test(self, account: str, request: NewOrder) -> None:
        """Check a request as `place` would, without effect. Raises the Refusal that `place` would."""

    def amend(
        self,
        account: str,
        name: OrderName,
        *,
        price: Decimal | None = None,
        amount: Decimal | None = None,
        trigger: Decimal | None = None,
        client_id: str | None = None,
    ) -> Order:
        """Change a resting or waiting order; None = as it is. `amount` is the new total, filled part included.

        Only lowering the amount keeps the place in the queue; anything else (price, more) goes to the end of it and
        may match as taker. Refused like a new order (the old one then stays untouched), NOTHING_TO_CHANGE,
        SIZE_MINIMUM for an amount not above what is filled, UNKNOWN_ORDER, ORDER_ENDED.
        """

    def cancel(self, account: str, name: OrderName, *, reason: EndReason = EndReason.USER) -> Order:
        """Cancel. Refused: UNKNOWN_ORDER, ORDER_ENDED (with the order's last image)."""

    def cancel_all(self, account: str, key: str | None = None, *, reason: EndReason = EndReason.USER) -> list[Order]:
        """Cancel every open and waiting order of an account, of one listing if named. In the order of their ids."""

    def order(self, account: str, name: OrderName) -> Order:
        """An order of the account, open or ended. A client id names its newest bearer. Refused: UNKNOWN_ORDER."""

    def open_orders(self, account: str, key: str | None = None) -> list[Order]:
        """Resting and waiting orders, oldest first."""

    def closed_orders(self, account: str, key: str | None = None, *, limit: int = 500) -> list[Order]:
        """The latest ended orders, oldest first (by id). The last 10,000 of an account are kept."""

    def fills(
        self, account: str, key: str | None = None, *, order_id: int | None = None, limit: int = 500
    ) -> list[Execution]:
        """The account's latest executions, oldest first. The last 10,000 are kept."""

    # markets ---------------------------------------------------------------------------------------------------------

    def status(self, key: str) -> InstrumentStatus:
        """Whether the listing takes orders."""

    def set_status(self, key: str, status: InstrumentStatus) -> None:
        """Open or close a listing. Resting orders stay; CLOSED and CANCEL_ONLY refuse new ones with MARKET_CLOSED."""

    def sequence(self, key: str) -> int:
        """Number of the book's last change."""

    def book(self, key: str, levels: int | None = None) -> BookImage:
        """The book, best first; `levels` a side or all of them."""

    def best(self, key: str) -> tuple[BookLevel | None, BookLevel | None]:
        """Best bid and best ask."""

    def book_changes(self, key: str, after: int) -> BookChanges | None:
        """Changes with numbers above `after`, merged. None if they are no longer all kept (the last 50,000 are)."""

    def book_log(self, key: str, after: int) -> list[BookChanged] | None:
        """The same, change by change (`sequence` of the events is 0 here: the global one is told to listeners only)."""

    def trades(self, key: str, *, limit: int = 100, after: int | None = None) -> list[PublicTrade]:
        """The latest trades with ids above `after`, oldest first. The last 5,000 are kept."""

    def candles(
        self,
        key: str,
        interval_ms: int,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int = 500,
        offset_ms: int = 0,
    ) -> list[Bar]:
        """Bars of a whole number of minutes, oldest first, the last one running.

        Bars open at multiples of `interval_ms` plus `offset_ms` (weeks from Monday: 4 days). `start` and `end` bound
        the opening times, both included; the latest `limit` of them are given, or the first `limit` from `start` on.
        """

    def ticker(self, key: str) -> TickerImage:
        """Best prices and 24 h statistics."""

    def mark(self, key: str) -> MarkImage:
        """Mark price and funding of a contract. Refused: UNSUPPORTED for spot."""
