"""A process that trades on paper until it is killed: places, amends and cancels at random, as fast as it may."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from decimal import Decimal

from app.desk import GuardRefused
from app.guard import Limits
from app.orders import Draft, OrderState
from app.settings import Settings
from app.terminal import Terminal
from connectors.contract import Environment
from connectors.model import OrderKind, Side

ACCOUNT = "binance:paper"
LIMITS = Limits(orders_per_second=None, repeat_seconds=None, max_open_orders=None)


def say(word: str) -> None:
    """One line for whoever started us."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


async def trade(hosts: dict[str, str], keys: list[str], seed: int) -> None:
    """Say "ready" when the first order may leave and "fill" at each execution; go on for ever."""
    chance = random.Random(seed)
    settings = Settings()
    settings.preferences.accounts = [ACCOUNT]
    settings.preferences.limits[ACCOUNT] = LIMITS
    terminal = Terminal(settings=settings)
    terminal.accounts.hosts["binance"] = hosts
    await terminal.start()
    desk, account = terminal.desk, terminal.accounts.accounts[ACCOUNT]
    feeds = [feed for key in keys if (feed := terminal.markets.open(key, Environment.PAPER)) is not None]
    while desk._not_ready(account) or not all(feed.sync.live for feed in feeds):  # noqa: ASYNC110 - many conditions
        await asyncio.sleep(0.02)
    desk.fill_added.connect(lambda _: say("fill"))
    say("ready")
    while True:
        await asyncio.sleep(chance.uniform(0.0, 0.01))
        feed = chance.choice(feeds)
        mid = feed.book.mid
        working = [
            order for order in desk.orders.values() if order.state in (OrderState.OPEN, OrderState.PARTLY_FILLED)
        ]
        try:
            if mid is None:
                continue
            price = Decimal(round(mid) + chance.randint(-6, 6))
            draw = chance.random()
            if draw < 0.5 or not working:
                kind = OrderKind.MARKET if chance.random() < 0.3 else OrderKind.LIMIT
                desk.place(
                    Draft(
                        account=ACCOUNT,
                        instrument=feed.instrument,
                        side=chance.choice([Side.BUY, Side.SELL]),
                        kind=kind,
                        amount=Decimal(chance.randint(1, 40)) / 1000,
                        price=price if kind is OrderKind.LIMIT else None,
                    )
                )
            elif draw < 0.75:
                desk.amend(chance.choice(working).id, price=price)
            else:
                desk.cancel(chance.choice(working).id)
        except GuardRefused:
            continue


if __name__ == "__main__":
    told = json.loads(sys.stdin.readline())
    asyncio.run(trade(told["hosts"], told["keys"], told["seed"]))
