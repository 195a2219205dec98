"""An amend that gives an order another id: to whoever listens it stays one order, and no cancel of the old id ends it."""

from __future__ import annotations

from decimal import Decimal

from msgspec import UNSET

from connectors.model import OrderStatus, OrderUpdate
from connectors.runtime.amends import KEPT, Amends

D = Decimal


def update(venue_id: str, status: OrderStatus = OrderStatus.OPEN, **fields: object) -> OrderUpdate:
    return OrderUpdate(wire="BTC-USDT", venue_id=venue_id, status=status, **fields)  # ty: ignore[invalid-argument-type] - as each test says


def answered(amends: Amends, old: str, new: str, filled: str = "0", amount: str = "1") -> OrderUpdate:
    found = update(new, previous_id=old, filled=D(filled), amount=D(amount))
    amends.done(found)
    amends.complete(found)
    return found


def test_the_old_orders_end_is_never_told() -> None:
    amends = Amends()
    amends.begin("old")
    assert not amends.told(update("old", OrderStatus.CANCELLED))  # before the answer
    assert amends.told(update("new"))
    answered(amends, "old", "new")
    assert not amends.told(update("old", OrderStatus.CANCELLED))  # and after it
    assert amends.told(update("new", OrderStatus.FILLED))


def test_what_was_held_back_is_told_after_a_refusal() -> None:
    amends = Amends()
    amends.begin("old")
    cancelled = update("old", OrderStatus.CANCELLED)
    assert not amends.told(cancelled)
    assert amends.refused("old") == [cancelled]
    assert amends.told(update("old", OrderStatus.CANCELLED))


def test_amounts_of_the_new_order_include_what_the_old_one_had_filled() -> None:
    amends = Amends()
    amends.begin("old")
    found = answered(amends, "old", "new", filled="0.4", amount="0.6")
    assert (found.amount, found.filled) == (D("1.0"), D("0.4"))
    news = update("new", filled=D("0.1"), amount=D("0.6"))
    assert amends.told(news)
    assert (news.amount, news.filled) == (D("1.0"), D("0.5"))
    sparse = update("new")
    assert amends.told(sparse)
    assert (sparse.amount, sparse.filled) == (UNSET, UNSET)


def test_news_of_the_new_order_before_the_answer_goes_on_from_the_old_one() -> None:
    """given a change that fills at once, when the stream is quicker than the answer, then the order has not shrunk."""
    amends = Amends()
    amends.begin("old", "c1")
    assert not amends.told(update("old", OrderStatus.CANCELLED, client_id="c1", filled=D("0.3"), amount=D("0.5")))
    early = update("new", OrderStatus.FILLED, client_id="c1", filled=D("0.6"), amount=D("0.6"))
    assert amends.told(early)
    assert (early.amount, early.filled) == (D("0.9"), D("0.9"))
    found = answered(amends, "old", "new", filled="0.3", amount="0.6")
    assert (found.amount, found.filled) == (D("0.9"), D("0.3"))
    other = update("new", client_id="c1", filled=D("0.1"), amount=D("0.6"))
    assert amends.told(other)
    assert other.amount == D("0.9")


def test_a_second_amend_carries_on() -> None:
    amends = Amends()
    amends.begin("a")
    answered(amends, "a", "b", filled="0.25", amount="0.75")
    assert amends.carried("b") == D("0.25")
    amends.begin("b")
    found = answered(amends, "b", "c", filled="0.25", amount="0.5")
    assert (found.amount, found.filled) == (D("1.00"), D("0.50"))


def test_without_a_verdict_the_stream_proves_nothing_until_a_look_up_does() -> None:
    amends = Amends()
    amends.begin("old")
    assert not amends.told(update("old", OrderStatus.CANCELLED))
    amends.unknown("old")
    assert not amends.told(update("old", OrderStatus.CANCELLED))
    amends.complete(update("old", OrderStatus.CANCELLED))  # looked up, and over: it may have been replaced
    assert not amends.told(update("old", OrderStatus.CANCELLED))
    amends.complete(update("old", OrderStatus.OPEN))  # it stands: the amend never happened
    assert amends.told(update("old", OrderStatus.CANCELLED))


def test_an_amend_that_keeps_the_id_changes_nothing() -> None:
    amends = Amends()
    amends.begin("same")
    found = answered(amends, "same", "same", filled="0.3")
    assert found.filled == D("0.3")
    assert amends.told(update("same", OrderStatus.CANCELLED))


def test_memory_is_bounded() -> None:
    amends = Amends()
    for number in range(KEPT + 10):
        amends.begin(str(number))
        answered(amends, str(number), f"new {number}", filled="1")
    assert len(amends._left) == len(amends._carried) == KEPT
