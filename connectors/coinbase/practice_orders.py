"""Coinbase from the venue's side: accounts, orders, fills, and what an alias product means for the wallets.

The practice exchange keeps one market for a dollar product and its USDC alias, settled in dollars. An order for the alias pays
with USDC: what it may cost is changed into dollars one to one when it is taken, what is left, and what a sale brings, is changed
back. Nobody sees that in the accounts: dollars that belong to such an order are shown as the USDC that they are.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from connectors.coinbase.practice_listings import FIAT, TAKER
from connectors.coinbase.practice_terms import ApiError, from_rfc3339, portfolio, rfc3339
from connectors.coinbase.practice_words import (
    after_fees,
    cancel_word,
    completion,
    number_of,
    status_word,
    tif_word,
    trigger_word,
    type_word,
    uuid_of,
)
from connectors.model import OrderKind, Side, TimeInForce, plain
from connectors.practice.terms import (
    AccountEvent,
    AccountRules,
    ClientIds,
    Execution,
    NewOrder,
    Order,
    OrderChanged,
    Refusal,
    RefusalKind,
    Wallet,
)

if TYPE_CHECKING:
    from connectors.coinbase.practice import CoinbasePractice

_CENT = Decimal("1E-8")
ZERO = Decimal(0)

_REASONS = {
    RefusalKind.FUNDS: ("INSUFFICIENT_FUND", "PREVIEW_INSUFFICIENT_FUND", "Insufficient balance in source account"),
    RefusalKind.PRICE_TICK: ("INVALID_PRICE_PRECISION", "", "price has too much precision"),
    RefusalKind.PRICE_BOUNDS: ("INVALID_LIMIT_PRICE", "", "price is out of bounds"),
    RefusalKind.SIZE_LOT: ("INVALID_SIZE_PRECISION", "", "size has too much precision"),
    RefusalKind.SIZE_MINIMUM: ("", "PREVIEW_INVALID_BASE_SIZE_TOO_SMALL", "size is too small"),
    RefusalKind.SIZE_MAXIMUM: ("", "PREVIEW_INVALID_BASE_SIZE_TOO_LARGE", "size is too large"),
    RefusalKind.NOTIONAL_MINIMUM: ("", "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL", "order value is too small"),
    RefusalKind.POST_ONLY: ("INVALID_LIMIT_PRICE_POST_ONLY", "", "post only order would match"),
    RefusalKind.MARKET_CLOSED: ("ORDER_ENTRY_DISABLED", "", "order entry is disabled for this product"),
    RefusalKind.TOO_MANY_ORDERS: ("", "PREVIEW_TOO_MANY_OPEN_ORDERS", "too many open orders for this product"),
    RefusalKind.UNSUPPORTED: ("UNSUPPORTED_ORDER_CONFIGURATION", "", "unsupported order configuration"),
    RefusalKind.INVALID: ("INVALID_REQUEST", "", "invalid order"),
}
_CANCEL_REASONS = {RefusalKind.UNKNOWN_ORDER: "UNKNOWN_CANCEL_ORDER", RefusalKind.ORDER_ENDED: "UNKNOWN_CANCEL_ORDER"}
_EDIT_REASONS = {
    RefusalKind.UNKNOWN_ORDER: "ORDER_NOT_FOUND",
    RefusalKind.ORDER_ENDED: "ORDER_IS_NOT_OPEN",
    RefusalKind.NOTHING_TO_CHANGE: "NO_CHANGES",
    RefusalKind.SIZE_MINIMUM: "CANNOT_EDIT_TO_BELOW_FILLED_SIZE",
}
# configuration -> (what it has to name, what it may)
_FIELDS = {
    "limit_limit_gtc": ({"base_size", "limit_price"}, {"post_only"}),
    "limit_limit_gtd": ({"base_size", "limit_price", "end_time"}, {"post_only"}),
    "sor_limit_ioc": ({"base_size", "limit_price"}, set()),
    "limit_limit_fok": ({"base_size", "limit_price"}, set()),
    "market_market_ioc": (set(), {"base_size", "quote_size"}),
    "stop_limit_stop_limit_gtc": ({"base_size", "limit_price", "stop_price", "stop_direction"}, set()),
    "stop_limit_stop_limit_gtd": ({"base_size", "limit_price", "stop_price", "stop_direction", "end_time"}, set()),
}


class Placed(Struct):
    """What the venue remembers of an order beside the engine: the request as it was sent, and money changed for it."""

    product: str
    name: str
    terms: dict[str, Any]
    edits: list[dict[str, str]] = []
    paid_in: Decimal = ZERO
    paid_out: Decimal = ZERO


class Refused(Exception):
    """An order that is refused with HTTP 200."""

    def __init__(self, word: str, preview: str, text: str) -> None:
        super().__init__(text)
        self.word, self.preview, self.text = word, preview, text


class Orders:
    """Accounts and orders of every key's owner."""

    def __init__(self, venue: CoinbasePractice) -> None:
        self.venue = venue
        self.exchange = venue.exchange
        self._placed: dict[int, Placed] = {}
        self._answers: dict[tuple[str, str], Any] = {}
        rules = AccountRules(
            client_ids=ClientIds.FREE,
            max_open_orders=500,
            recorded=frozenset({RefusalKind.FOK, RefusalKind.NO_LIQUIDITY}),
        )
        for account in ("trader", "other"):
            self.exchange.open_account(account, rules)
            self.exchange.watch_account(self._settle, account)

    def routes(self) -> dict[tuple[str, str], Callable[[str, Any], Any]]:
        """Paths below the base."""
        return {
            ("GET", "/accounts"): self.accounts,
            ("POST", "/orders"): self.place,
            ("POST", "/orders/preview"): self.preview,
            ("POST", "/orders/batch_cancel"): self.cancel,
            ("POST", "/orders/edit"): self.edit,
            ("GET", "/orders/historical/batch"): self.listed,
            ("GET", "/orders/historical/fills"): self.fills,
        }

    def by_path(self, account: str, path: str) -> Any:
        """/orders/historical/{id}, /accounts/{uuid}."""
        head, _, name = path.rpartition("/")
        if head == "/orders/historical":
            try:
                return {"order": self.row(self.exchange.order(account, number_of(name)))}
            except Refusal:
                raise ApiError(404, "not_found") from None
        if head == "/accounts":
            found = next((row for row in self._wallets(account) if row["uuid"] == name), None)
            if found is not None:
                return {"account": found}
        raise ApiError(404, "not_found")

    # -----------------------------------------------------------------------------------------------------------------
    # Placing

    def place(self, account: str, body: Mapping[str, Any]) -> Any:
        """POST orders. An id that was used answers with what the first order got."""
        client_id = body.get("client_order_id")
        if not isinstance(client_id, str) or not 1 <= len(client_id) <= 128:
            raise ApiError(400, "INVALID_ARGUMENT", "client_order_id is missing or malformed")
        known = self._answers.get((account, client_id))
        if known is not None:
            return known
        configuration = body.get("order_configuration") or {}
        try:
            request, placed = self._request(body, configuration)
            order = self._enter(account, request, placed)
        except Refused as refused:
            return _refusal(refused, configuration)
        answer = {
            "success": True,
            "failure_reason": "UNKNOWN_FAILURE_REASON",
            "order_id": uuid_of(order.id),
            "success_response": {
                "order_id": uuid_of(order.id),
                "product_id": placed.product,
                "side": body["side"],
                "client_order_id": client_id,
                "attached_order_id": "",
            },
            "order_configuration": configuration,
        }
        self._answers[account, client_id] = answer
        return answer

    def preview(self, account: str, body: Mapping[str, Any]) -> Any:
        """POST orders/preview: whether it would be taken, and at which commission."""
        try:
            request, _ = self._request(body, body.get("order_configuration") or {})
            self._test(account, request)
        except Refused as refused:
            return {
                "errs": [refused.preview or refused.word],
                "warning": [],
                "order_total": "0",
                "commission_total": "0",
            }
        price = request.price or self.exchange.ticker(request.key).last
        value = request.quote_amount or price * (request.amount or ZERO)
        return {
            "errs": [],
            "warning": [],
            "order_total": plain(value if request.quote_amount else value * (1 + TAKER)),
            "commission_total": plain(value * TAKER / (1 + TAKER) if request.quote_amount else value * TAKER),
        }

    def _test(self, account: str, request: NewOrder) -> None:
        try:
            self.exchange.test(account, request)
        except Refusal as refusal:
            raise _reason(refusal, request) from None

    def _request(self, body: Mapping[str, Any], configuration: Mapping[str, Any]) -> tuple[NewOrder, Placed]:
        """The engine's order for a body. ApiError for what is malformed, Refused for what is not offered."""
        if body.get("side") not in ("BUY", "SELL"):
            raise ApiError(400, "INVALID_ARGUMENT", "side is missing")
        product = str(body.get("product_id", ""))
        listing = self.venue.products.get(product)
        if listing is None:
            raise Refused("INVALID_PRODUCT_ID", "", "invalid product_id")
        if len(configuration) != 1:
            raise ApiError(400, "INVALID_ARGUMENT", "order_configuration needs exactly one entry")
        name, terms = next(iter(configuration.items()))
        if name not in _FIELDS:
            raise Refused("UNSUPPORTED_ORDER_CONFIGURATION", "", "source is not enabled for trading")
        needed, allowed = _FIELDS[name]
        if not needed <= terms.keys() or not terms.keys() <= needed | allowed | {"reduce_only"}:
            raise ApiError(400, "INVALID_ARGUMENT", f"{name} is not complete")
        side = Side(body["side"].lower())
        amounts = [field for field in ("base_size", "quote_size") if terms.get(field)]
        if len(amounts) != 1:
            raise ApiError(400, "INVALID_ARGUMENT", "exactly one of base_size and quote_size is needed")
        if amounts == ["quote_size"] and side is Side.SELL:
            raise Refused("UNSUPPORTED_ORDER_CONFIGURATION", "", "a sale is sized in base")
        fields: dict[str, Any] = {"amount": _number(terms, "base_size")} if amounts == ["base_size"] else {}
        if amounts == ["quote_size"]:  # the fee is in it
            fields |= {"quote_amount": _number(terms, "quote_size"), "fee_included": True}
            if fields["quote_amount"] % listing.tick:  # which is `quote_increment`, too
                raise Refused("INVALID_SIZE_PRECISION", "", "quote_size has too much precision")
        kind = OrderKind.MARKET if name.startswith("market_") else OrderKind.LIMIT
        if name.startswith("stop_"):
            up = {"STOP_DIRECTION_STOP_UP": True, "STOP_DIRECTION_STOP_DOWN": False}.get(terms["stop_direction"])
            if up is None:
                raise ApiError(400, "INVALID_ARGUMENT", "stop_direction is not known")
            kind = OrderKind.STOP_LIMIT if up is (side is Side.BUY) else OrderKind.TAKE_PROFIT_LIMIT
            fields["trigger"] = _number(terms, "stop_price")
        if kind.has_price:
            fields["price"] = _number(terms, "limit_price")
        if "end_time" in terms:
            fields["expires"] = from_rfc3339(terms["end_time"])
        tif = {"ioc": TimeInForce.IOC, "fok": TimeInForce.FOK}.get(name.rpartition("_")[2], TimeInForce.GTC)
        request = NewOrder(
            key=listing.key,
            side=side,
            kind=kind,
            tif=tif,
            post_only=terms.get("post_only") is True,
            client_id=str(body.get("client_order_id") or uuid.uuid4()),
            **fields,
        )
        return request, Placed(product=product, name=name, terms=dict(terms))

    def _enter(self, account: str, request: NewOrder, placed: Placed) -> Order:
        """Place it; one for an alias is paid for first. Raises Refused with nothing changed."""
        pays = self._alias(placed) and request.side is Side.BUY
        if pays:
            self._change(account, "USDC", "USD", self._cost(request))
            placed.paid_in = self._cost(request)
        following = self.exchange.watch_account(lambda event: self._name(event, request, placed), account)
        try:
            order = self.exchange.place(account, request)
        except Refusal as refusal:
            if pays:
                self._change(account, "USD", "USDC", placed.paid_in)
            raise _reason(refusal, request) from None
        finally:
            following()
        self._placed[order.id] = placed
        self._give_back(order)
        return order

    def _name(self, event: AccountEvent, request: NewOrder, placed: Placed) -> None:
        """Events of an order come while it is being placed: know it by then."""
        if isinstance(event, OrderChanged) and event.order.client_id == request.client_id:
            self._placed.setdefault(event.order.id, placed)

    # -----------------------------------------------------------------------------------------------------------------
    # Alias products

    def _alias(self, placed: Placed) -> bool:
        return placed.product in self.venue.aliases

    def _cost(self, request: NewOrder) -> Decimal:
        """Most that a buy may take, fee included."""
        if request.quote_amount is not None:
            return request.quote_amount
        if request.price is not None:
            value = request.price * (request.amount or ZERO)
        else:
            value, left = ZERO, request.amount or ZERO
            for level in self.exchange.book(request.key).asks:
                taken = min(left, level.size)
                value, left = value + taken * level.price, left - taken
        return (value * (1 + TAKER)).quantize(_CENT, ROUND_UP) + _CENT

    def _change(self, account: str, source: str, target: str, amount: Decimal) -> None:
        """One to one. Raises Refused for money that is not there."""
        if amount <= 0:
            return
        try:
            self.exchange.withdraw(account, source, amount)
        except Refusal as refusal:
            raise _reason(refusal, None) from None
        self.exchange.deposit(account, target, amount)

    def _settle(self, event: AccountEvent) -> None:
        """Give back what an order for an alias does not need any more."""
        if isinstance(event, OrderChanged):
            self._give_back(event.order)

    def _give_back(self, order: Order) -> None:
        placed = self._placed.get(order.id)
        if placed is None or not self._alias(placed):
            return
        order = self.exchange.order(order.account, order.id)  # the newest image: events may be older
        if order.side is Side.SELL:
            due = order.filled_value - order.fee - placed.paid_out
        elif order.status.is_final:
            due = placed.paid_in - order.filled_value - order.fee - placed.paid_out
        else:
            return
        placed.paid_out += due
        self._change(order.account, "USD", "USDC", due)

    def _in_dollars(self, account: str) -> tuple[Decimal, Decimal]:
        """Dollars that are USDC in truth: what open orders for aliases were given, and the part of it that they hold."""
        total = held = ZERO
        for order in self.exchange.open_orders(account):
            placed = self._placed.get(order.id)
            if placed is not None and self._alias(placed) and order.side is Side.BUY:
                total += placed.paid_in - order.filled_value - order.fee
                held += order.held
        return total, held

    # -----------------------------------------------------------------------------------------------------------------
    # Changing and ending

    def cancel(self, account: str, body: Mapping[str, Any]) -> Any:
        """POST orders/batch_cancel."""
        results = []
        for name in body["order_ids"]:
            reason = "UNKNOWN_CANCEL_FAILURE_REASON"
            try:
                self.exchange.cancel(account, number_of(name))
            except (Refusal, ApiError) as error:
                kind = error.kind if isinstance(error, Refusal) else RefusalKind.UNKNOWN_ORDER
                reason = _CANCEL_REASONS.get(kind, "INVALID_CANCEL_REQUEST")
            success = reason == "UNKNOWN_CANCEL_FAILURE_REASON"
            results.append({"success": success, "failure_reason": reason, "order_id": name})
        return {"results": results}

    def edit(self, account: str, body: Mapping[str, Any]) -> Any:
        """POST orders/edit: limit orders until cancelled, price and total size."""
        try:
            number = number_of(str(body.get("order_id", "")))
            order = self.exchange.order(account, number)
            placed = self._placed.get(number)
            if placed is None or placed.name != "limit_limit_gtc":
                return _edit_refusal("ONLY_LIMIT_ORDER_EDITS_SUPPORTED")
            price, amount = _number(body, "price"), _number(body, "size")
            if amount <= order.filled:
                return _edit_refusal("CANNOT_EDIT_TO_BELOW_FILLED_SIZE")
            more = ZERO
            if self._alias(placed) and order.side is Side.BUY:
                worst = (price * (amount - order.filled) * (1 + TAKER)).quantize(_CENT, ROUND_UP) + _CENT
                more = max(ZERO, worst + order.filled_value + order.fee - placed.paid_in)
                self._change(account, "USDC", "USD", more)
            try:
                self.exchange.amend(account, number, price=price, amount=amount)
            except Refusal:
                self._change(account, "USD", "USDC", more)
                raise
            placed.paid_in += more
        except Refusal as refusal:
            word = _EDIT_REASONS.get(refusal.kind)
            return _edit_refusal(word or _edit_word(_reason(refusal, None)))
        except Refused as refused:
            return _edit_refusal(_edit_word(refused))
        except ApiError as error:
            if error.status == 404:
                return _edit_refusal("ORDER_NOT_FOUND")
            raise
        placed.edits.append(
            {"price": plain(price), "size": plain(amount), "replace_accept_timestamp": rfc3339(self.venue.now_ms)}
        )
        return {"success": True, "errors": []}

    # -----------------------------------------------------------------------------------------------------------------
    # Lists

    def listed(self, account: str, query: Mapping[str, list[str]]) -> Any:
        """GET orders/historical/batch, newest first."""
        statuses = set(query.get("order_status", ()))
        if "OPEN" in statuses and len(statuses) > 1:
            raise ApiError(400, "INVALID_ARGUMENT", "OPEN cannot be mixed with other statuses")
        products = set(query.get("product_ids", ()))
        since = from_rfc3339(query["start_date"][0]) if "start_date" in query else 0
        until = from_rfc3339(query["end_date"][0]) if "end_date" in query else 2**53
        orders = [*self.exchange.open_orders(account), *self.exchange.closed_orders(account, limit=10_000)]
        found = []
        for order in sorted(orders, key=lambda order: -order.id):
            if not since <= order.created < until:
                continue
            row = self.row(order)
            if (not statuses or row["status"] in statuses) and (not products or row["product_id"] in products):
                found.append(row)
        limit = min(int(query.get("limit", ["250"])[0]), 1000)
        start = int(query.get("cursor", ["0"])[0] or 0)
        more = len(found) > start + limit
        return {
            "orders": found[start : start + limit],
            "sequence": "0",
            "has_next": more,
            "cursor": str(start + limit) if more else "",
        }

    def fills(self, account: str, query: Mapping[str, list[str]]) -> Any:
        """GET orders/historical/fills, newest first."""
        products, names = set(query.get("product_ids", ())), set(query.get("order_ids", ()))
        since = from_rfc3339(query["start_sequence_timestamp"][0]) if "start_sequence_timestamp" in query else 0
        until = from_rfc3339(query["end_sequence_timestamp"][0]) if "end_sequence_timestamp" in query else 2**53
        found = []
        for fill in reversed(self.exchange.fills(account, limit=10_000)):
            row = self.fill_row(fill)
            wanted = (not products or row["product_id"] in products) and (not names or row["order_id"] in names)
            if wanted and since <= fill.time < until:
                found.append(row)
        limit = min(int(query.get("limit", ["100"])[0]), 1000)
        start = int(query.get("cursor", ["0"])[0] or 0)
        return {
            "fills": found[start : start + limit],
            "cursor": str(start + limit) if len(found) > start + limit else "",
        }

    def fill_row(self, fill: Execution) -> dict[str, Any]:
        """One execution."""
        placed = self._placed.get(fill.order_id)
        mark = f"{fill.key} {fill.trade_id} {fill.order_id}"
        return {
            "entry_id": uuid.uuid5(uuid.NAMESPACE_URL, mark).hex * 2,
            "trade_id": str(uuid.uuid5(uuid.NAMESPACE_OID, mark)),
            "order_id": uuid_of(fill.order_id),
            "trade_time": rfc3339(fill.time),
            "trade_type": "FILL",
            "price": plain(fill.price),
            "size": plain(fill.size),
            "commission": plain(fill.fee),
            "product_id": placed.product if placed else self.exchange.listings[fill.key].symbol,
            "sequence_timestamp": rfc3339(fill.time),
            "liquidity_indicator": "MAKER" if fill.maker else "TAKER",
            "size_in_quote": False,
            "user_id": portfolio(fill.account),
            "side": fill.side.upper(),
        }

    def accounts(self, account: str, query: Mapping[str, list[str]]) -> Any:
        """GET accounts."""
        found = self._wallets(account)
        limit, start = int(query.get("limit", ["49"])[0]), int(query.get("cursor", ["0"])[0] or 0)
        more = len(found) > start + limit
        rows = found[start : start + limit]
        return {"accounts": rows, "has_next": more, "cursor": str(start + limit) if more else "", "size": len(rows)}

    def _wallets(self, account: str) -> list[dict[str, Any]]:
        moved, blocked = self._in_dollars(account)
        rows = []
        for balance in self.exchange.balances(account, Wallet.SPOT):
            sign = {"USD": -1, "USDC": 1}.get(balance.asset, 0)
            held = balance.held + sign * blocked
            free = balance.total + sign * moved - held
            name = balance.asset
            rows.append(
                {
                    "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{account} {name}")),
                    "name": f"{name} Wallet",
                    "currency": name,
                    "available_balance": {"value": plain(free), "currency": name},
                    "default": True,
                    "active": True,
                    "created_at": "2021-05-31T09:59:59Z",
                    "updated_at": rfc3339(self.venue.now_ms),
                    "deleted_at": None,
                    "type": "ACCOUNT_TYPE_FIAT" if name in FIAT else "ACCOUNT_TYPE_CRYPTO",
                    "ready": True,
                    "hold": {"value": plain(held), "currency": name},
                    "retail_portfolio_id": portfolio(account),
                    "platform": "ACCOUNT_PLATFORM_CONSUMER",
                }
            )
        return rows

    # -----------------------------------------------------------------------------------------------------------------
    # Rows

    def product_of(self, order: Order) -> str:
        """The product that an order was sent for."""
        placed = self._placed.get(order.id)
        return placed.product if placed else self.exchange.listings[order.key].symbol

    def number_of_fills(self, order: Order) -> int:
        """Its executions."""
        return (
            len(self.exchange.fills(order.account, order.key, order_id=order.id, limit=10_000)) if order.filled else 0
        )

    def row(self, order: Order) -> dict[str, Any]:
        """An order as REST shows it."""
        placed = self._placed.get(order.id)
        terms: dict[str, Any] = dict(placed.terms) if placed else {}
        if placed and placed.edits:
            terms |= {"base_size": placed.edits[-1]["size"], "limit_price": placed.edits[-1]["price"]}
        status = status_word(order)
        by_money = order.quote_amount is not None
        return {
            "order_id": uuid_of(order.id),
            "product_id": self.product_of(order),
            "user_id": portfolio(order.account),
            "order_configuration": {placed.name: terms} if placed else {},
            "side": order.side.upper(),
            "client_order_id": order.client_id,
            "status": status,
            "time_in_force": tif_word(order),
            "created_time": rfc3339(order.created),
            "completion_percentage": completion(order),
            "filled_size": plain(order.filled),
            "average_filled_price": plain(order.average or ZERO),
            "fee": "",
            "number_of_fills": str(self.number_of_fills(order)),
            "filled_value": plain(order.filled_value),
            "pending_cancel": False,
            "size_in_quote": by_money,
            "total_fees": plain(order.fee),
            "size_inclusive_of_fees": by_money,
            "total_value_after_fees": plain(after_fees(order)),
            "trigger_status": trigger_word(order),
            "order_type": type_word(order).upper().replace(" ", "_"),
            "reject_reason": "REJECT_REASON_UNSPECIFIED",
            "settled": order.status.is_final,
            "product_type": "SPOT",
            "reject_message": order.text if status == "FAILED" else "",
            "cancel_message": cancel_word(order),
            "order_placement_source": "RETAIL_ADVANCED",
            "outstanding_hold_amount": plain(order.held),
            "is_liquidation": False,
            "last_fill_time": rfc3339(order.updated) if order.filled else None,
            "edit_history": list(placed.edits) if placed else [],
            "leverage": "",
            "margin_type": "UNKNOWN_MARGIN_TYPE",
            "retail_portfolio_id": portfolio(order.account),
        }


def _number(terms: Mapping[str, Any], name: str) -> Decimal:
    text = terms.get(name)
    if not isinstance(text, str) or not text or any(letter not in "0123456789." for letter in text):
        raise ApiError(400, "INVALID_ARGUMENT", f"{name} is no number")
    return Decimal(text)


def _reason(refusal: Refusal, request: NewOrder | None) -> Refused:
    if refusal.kind is RefusalKind.WOULD_TRIGGER and request is not None:
        rising = (request.side is Side.BUY) is (request.kind is OrderKind.STOP_LIMIT)
        word = "BELOW" if rising else "ABOVE"
        return Refused("", f"PREVIEW_STOP_PRICE_{word}_LAST_TRADE_PRICE", "")
    return Refused(*_REASONS.get(refusal.kind, ("INVALID_REQUEST", "", refusal.text)))


def _refusal(refused: Refused, configuration: Mapping[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {
        "error": refused.word or "UNKNOWN_FAILURE_REASON",
        "message": refused.text,
        "error_details": "",
    }
    if refused.preview:
        response["preview_failure_reason"] = refused.preview
    else:
        response["new_order_failure_reason"] = refused.word
    return {"success": False, "error_response": response, "order_configuration": configuration}


def _edit_word(refused: Refused) -> str:
    return refused.word or refused.preview


def _edit_refusal(word: str) -> dict[str, Any]:
    return {"success": False, "errors": [{"edit_failure_reason": word}]}
