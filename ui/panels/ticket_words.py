"""What the ticket says: hints beside its fields, the offered step, the estimate, the button that sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from connectors.model import Instrument, OrderKind, Side, TimeInForce, Unit, plain
from ui.widgets.figures import DASH, THIN, figure, percent, size_unit

if TYPE_CHECKING:
    from app.guard import Estimate, Problem
    from app.orders import Draft

ESTIMATED = ("Average fill", "Worst price", "Slippage", "Fee", "Notional", "Left after")
_WHOLE = ("account", "book", "kind", "tif")  # fields whose problems are of the order as a whole


def tick_hint(instrument: Instrument) -> str:
    """Beside a price."""
    return f"tick {instrument.tick.normalize():f}"


def least_hint(instrument: Instrument) -> str:
    """The smallest order, beside the amount."""
    if instrument.min_notional:
        return f"min {instrument.min_notional.normalize():f} {instrument.quote}"
    unit = size_unit(instrument)
    if instrument.size.minimum:
        return f"min {instrument.size.minimum.normalize():f} {unit}"
    return f"lot {instrument.size.step.normalize():f} {unit}" if instrument.size.step else ""


def fix_words(field: str, fix: Draft, kind: OrderKind) -> str:
    """What the offered step changes in an order of this kind."""
    if fix.kind is not kind and fix.price is not None:
        return f"Limit it at {fix.price.normalize():f}, {fix.tif.upper()}"
    value = getattr(fix, field) if field != "amount" else fix.amount or fix.quote_amount
    if value is None:
        return "Mend it"
    digits = fix.instrument.size_digits if field == "amount" and fix.amount is not None else fix.instrument.price_digits
    text = plain(value)
    return f"Use {field} {value:.{digits}f}" if len(text.partition(".")[2]) <= digits else f"Use {field} {text}"


def problem_words(problems: Sequence[Problem]) -> str:
    """What stands against the order: what concerns all of it first, else the first field."""
    told = next((row for row in problems if row.field in _WHOLE), problems[0])
    return told.text if told.field in _WHOLE else f"{told.field.capitalize()}: {told.text}"


def estimate_words(said: Estimate, instrument: Instrument) -> dict[str, str]:
    """The values of ESTIMATED."""
    digits, quote = instrument.price_digits, instrument.quote
    return {
        "Average fill": _known(said.average, digits, quote),
        "Worst price": _known(said.worst, digits, quote),
        "Slippage": percent(said.slippage, 4) if said.slippage is not None else DASH,
        "Fee": _known(said.fee, 6, said.fee_asset),
        "Notional": _known(said.notional, 2, quote),
        "Left after": _known(said.left, 2 if said.left_asset == quote else 6, said.left_asset),
    }


def _known(value: Decimal | None, digits: int, unit: str) -> str:
    return f"{figure(value, digits)} {unit}" if value is not None else DASH


def fee_label(said: Estimate) -> str:
    """With the rate, where it is known."""
    return "Fee" + (f", {percent(said.fee_rate, 3, sign=False)}" if said.fee_rate is not None else "")


def available_table(instrument: Instrument, available: Mapping[str, Decimal]) -> str:
    """What can be spent here, as rich text."""
    shown = [asset for asset in (instrument.quote, instrument.base) if asset in available] or [instrument.settle]
    rows = "".join(
        f"<tr><td>{asset} available</td><td align=right>&nbsp;{figure(available.get(asset), 4)}</td></tr>"
        for asset in shown
    )
    return f"<table width='100%'>{rows}</table>"


def equals_words(draft: Draft, notional: Decimal | None, *, in_quote: bool, price: Decimal | None) -> str:
    """What the amount is in the other units; `in_quote` if it was entered in quote."""
    instrument, amount = draft.instrument, draft.amount
    if notional is None or amount is None:
        return ""
    if instrument.unit is Unit.BASE:
        if in_quote:
            return f"= {figure(amount, instrument.size_digits)} {instrument.base}"
        return f"= {figure(notional, 2)} {instrument.quote}"
    base = instrument.base_amount(amount, price) if price and instrument.unit is not Unit.QUANTO else None
    parts = [f"{figure(notional, 2)} {instrument.quote}"]
    parts += [f"{figure(base, 6)} {instrument.base}"] if base is not None else []
    return "= " + ", ".join(parts)


def send_words(draft: Draft) -> str:
    """The order in two lines, for the button that sends it."""
    instrument = draft.instrument
    if draft.amount is not None:
        amount = f"{_grouped(draft.amount)} {size_unit(instrument)}"
    elif draft.quote_amount is not None:
        amount = f"{_grouped(draft.quote_amount)} {instrument.quote}"
    else:
        amount = instrument.base if instrument.unit is Unit.BASE else instrument.symbol
    prices = "".join(f" {_grouped(value)}" for value in (draft.trigger, draft.price) if value is not None)
    terms = f", {draft.tif.upper()}" if draft.kind.has_price and draft.tif is not TimeInForce.GTC else ""
    terms += ", post only" if draft.post_only else ""
    name = "Buy" if draft.side is Side.BUY else "Sell"
    return f"{name} {amount}\n{draft.kind.value.replace('_', ' ')}{prices}{terms}"


def _grouped(value: Decimal) -> str:
    return f"{value:,f}".replace(",", THIN)
