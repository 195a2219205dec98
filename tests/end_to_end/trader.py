"""A trading process without a window: the app floor as it is, told what to do on stdin, telling what it knows on stdout.

It is started by tests that kill it. One JSON object a line, in both directions. The first line in says where to trade, and may say
in how many seconds (`patience`) a request arrives at the latest, where the venue's own time is only waited for.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from app.desk import Draft, GuardRefused, Order
from app.guard import Limits
from app.orders import OrderState
from app.settings import Settings
from app.terminal import Terminal
from connectors import sync
from connectors.catalogue import load
from connectors.contract import Environment
from connectors.model import OrderKind, Side, TimeInForce

WORKING = (OrderState.OPEN, OrderState.PARTLY_FILLED, OrderState.UNTRIGGERED)
LIMITS = Limits(orders_per_second=None, repeat_seconds=None, max_open_orders=1000, confirm_notional=None)


def say(**words: Any) -> None:
    """One line for whoever started us."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def image(order: Order) -> dict[str, Any]:
    """What the trader would see of an order."""
    return {
        "id": order.id,
        "client_id": order.client_id,
        "venue_id": order.venue_id,
        "state": order.state.value,
        "filled": str(order.filled),
        "amount": str(order.amount) if order.amount is not None else "",
        "price": str(order.price) if order.price is not None else "",
        "external": order.external,
        "text": order.text,
        "instrument": order.instrument.key,
    }


class Trader:
    """One account at one practice exchange that runs elsewhere."""

    def __init__(self, told: dict[str, Any]) -> None:
        if "patience" in told:
            for family in load(told["venue"]).families:
                object.__setattr__(family, "ids", replace(family.ids, patience=told["patience"]))
        settings = Settings()
        self.account_id = f"{told['venue']}:{Environment.PRACTICE}"
        settings.preferences.accounts = [self.account_id]
        settings.preferences.limits[self.account_id] = LIMITS
        settings.preferences.dead_man[self.account_id] = float(told.get("dead_man", 0))
        self.terminal = Terminal(settings=settings)
        self.terminal.accounts.served[told["venue"]] = (told["hosts"], told["credentials"])
        self.desk = self.terminal.desk
        self.symbols: list[str] = told["instruments"]
        self.gates: dict[str, asyncio.Event] = {}
        self.mischief: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and be ready when the journal was compared and every book is live."""
        await self.terminal.start()
        account = self.terminal.accounts.accounts[self.account_id]
        if account.session is None:
            say(failed=account.text)
            return
        feeds = [self.terminal.markets.open(key, Environment.PRACTICE) for key in self.symbols]
        while not (self.ready() and all(feed is not None and feed.sync.live for feed in feeds)):  # noqa: ASYNC110 - many
            await asyncio.sleep(0.02)
        self._gate("place")
        self._gate("cancel")
        say(ready=True)

    def ready(self) -> bool:
        """Whether orders may leave."""
        return self.account_id in self.desk._inquiry.reconciled

    def _gate(self, name: str) -> None:
        """With a gate, the session stops right before a request leaves and says so."""
        session: Any = self.terminal.accounts.accounts[self.account_id].session
        real: Callable[..., Any] = getattr(session, name)

        async def gated(*arguments: Any) -> Any:
            gate = self.gates.get(name)
            if gate is not None:
                say(gate=name)
                await gate.wait()
            return await real(*arguments)

        setattr(session, name, gated)

    def draft(self, told: dict[str, Any]) -> Draft:
        """What a line asks to place."""
        account = self.terminal.accounts.accounts[self.account_id]
        return Draft(
            account=self.account_id,
            instrument=account.instruments[told["instrument"]],
            side=Side(told["side"]),
            kind=OrderKind(told.get("kind", "limit")),
            amount=Decimal(told["amount"]),
            price=Decimal(told["price"]) if "price" in told else None,
            tif=TimeInForce(told.get("tif", "gtc")),
            post_only=told.get("post_only", False),
        )

    async def hear(self, told: dict[str, Any]) -> None:
        """Do what a line asks for."""
        match told.pop("do"):
            case "place":
                try:
                    say(placed=self.desk.place(self.draft(told)))
                except GuardRefused as refused:
                    say(refused=str(refused))
            case "cancel":
                self.desk.cancel(told["id"])
            case "amend":
                price = Decimal(told["price"]) if "price" in told else None
                amount = Decimal(told["amount"]) if "amount" in told else None
                self.desk.amend(told["id"], price=price, amount=amount)
            case "kill":
                report = await self.desk.kill()
                say(killed=report)
            case "shut":
                self.gates[told["gate"]] = asyncio.Event()
            case "open":
                self.gates.pop(told["gate"]).set()
            case "trade":
                self.mischief = asyncio.ensure_future(self.trade(told["seed"], told["actions"]))
            case "rest":
                if self.mischief is not None:
                    self.mischief.cancel()
            case "state":
                await self.desk.journal.flush()
                account = self.terminal.accounts.accounts[self.account_id]
                balances = {
                    f"{family} {asset}": str(row.total)
                    for (family, asset), row in account.balances.items()
                    if row.total
                }
                say(
                    orders=[image(order) for order in self.desk.orders.values()],
                    fills=[fill.fill.id for fill in self.desk.fills],
                    ready=self.ready() and account.can_trade,
                    balances=balances,
                )

    async def trade(self, seed: int, actions: float) -> None:
        """Place, change and cancel at random, so many times a second."""
        chance = random.Random(seed)
        while True:
            await asyncio.sleep(chance.expovariate(actions))
            try:
                self._act(chance)
            except GuardRefused:
                continue  # a book that is being repaired, or funds that are held

    def _act(self, chance: random.Random) -> None:
        working = [order for order in self.desk.orders.values() if order.state in WORKING]
        what = chance.random()
        if working and what < 0.2:
            self.desk.cancel(chance.choice(working).id)
        elif working and what < 0.35:
            order = chance.choice(working)
            if order.price is not None and order.amount is not None and order.instrument.tick:
                self.desk.amend(order.id, price=order.price + order.instrument.tick * chance.randint(-5, 5))
        elif working and what < 0.42:
            order = chance.choice(working)
            if order.amount is not None:
                self.desk.amend(order.id, amount=order.amount - order.instrument.size.step * chance.randint(-3, 3))
        elif what < 0.44:
            self.desk.cancel_all()
        else:
            self._place(chance)

    def _place(self, chance: random.Random) -> None:
        account = self.terminal.accounts.accounts[self.account_id]
        instrument = account.instruments[chance.choice(self.symbols)]
        sync = account.sync(instrument)
        mid = sync.book.mid if sync is not None else None
        if mid is None:
            return
        side = chance.choice(list(Side))
        tick, step = instrument.tick, instrument.size.step or Decimal(1)
        away = Decimal(repr(mid)) * Decimal(chance.randint(-5, 30)) / 10_000  # some cross the spread
        price = Decimal(repr(mid)) - away if side is Side.BUY else Decimal(repr(mid)) + away
        least = max(instrument.size.minimum, step)
        if instrument.min_notional:
            least = max(least, instrument.min_notional * 2 / Decimal(repr(mid)) / (instrument.multiplier or 1))
        amount = (least * chance.randint(1, 5) / step).to_integral_value() * step + step
        market = chance.random() < 0.1
        self.desk.place(
            Draft(
                account=self.account_id,
                instrument=instrument,
                side=side,
                kind=OrderKind.MARKET if market else OrderKind.LIMIT,
                amount=amount,
                price=None if market else (price / tick).to_integral_value() * tick,
                tif=TimeInForce.IOC if not market and chance.random() < 0.15 else TimeInForce.GTC,
            )
        )


async def starting(trader: Trader) -> None:
    """Start, and say what went wrong."""
    try:
        await trader.start()
    except Exception as error:
        say(failed=repr(error))
        raise


async def main() -> None:
    """Hear lines until there are none."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    trader = Trader(json.loads(await reader.readline()))
    tasks = {asyncio.ensure_future(starting(trader))}  # whoever started us may be gone before that is done
    while line := await reader.readline():
        told = json.loads(line)
        if told["do"] == "stop":
            await trader.terminal.stop()
            say(stopped=True)
            return
        task = asyncio.ensure_future(trader.hear(told))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    sync._FIRST_DELTA_WAIT = 0.0  # a market that stands still tells of no change
    began = time.monotonic()
    asyncio.run(main())
