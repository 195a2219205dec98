"""The ticket: an order as it is made up; what it would cost and what the venue would refuse, before it is sent."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QMenu, QPushButton

from app.desk import Draft, GuardRefused
from app.guard import round_amount, round_price
from connectors.errors import VenueError
from connectors.model import Market, OrderKind, Side, TimeInForce, Unit
from ui.panels.ticket_form import KINDS, PLAIN, TicketForm
from ui.panels.ticket_words import (
    available_table,
    equals_words,
    estimate_words,
    fee_label,
    fix_words,
    least_hint,
    problem_words,
    send_words,
    tick_hint,
)
from ui.theme import Theme
from ui.widgets.figures import DASH, figure, size_figure, size_unit
from ui.widgets.style import mark

if TYPE_CHECKING:
    from app.desk import Desk, Problem
    from app.markets import Feed

HOLD_MS = 1000
NO_NUMBER = "not a number; write 1000 or 1000.5"


class Ticket(TicketForm):
    """`sent(order id)` after an order left for the desk."""

    panel_id = "ticket"
    title = "Ticket"
    follows = True
    every = 6  # its estimate walks the book: ten times a second is as fast as anybody reads
    trading = True
    sent = Signal(str)

    def __init__(self, theme: Theme, desk: Desk) -> None:
        super().__init__(theme)
        self.desk = desk
        self.side = Side.BUY
        self.kind = OrderKind.LIMIT
        self.unit = "base"  # base, quote or %
        self._seen: tuple[object, ...] = ()
        self._problems: list[Problem] = []
        self._hold = QTimer(self)
        self._hold.setInterval(HOLD_MS)
        self._hold.setSingleShot(True)
        self._hold.timeout.connect(self._held)
        self._wire()
        self.set_feed(None)
        desk.armed_changed.connect(lambda _: self.refresh())

    def _wire(self) -> None:
        self.edited.connect(self.refresh)
        self.price_asked.connect(self._use)
        self.side_asked.connect(self.set_side)
        self.kind_asked.connect(self.set_kind)
        self.conditional_asked.connect(self._choose_conditional)
        self.unit_asked.connect(self._set_unit)
        self.slider.valueChanged.connect(self._slid)
        self.amount.edited.connect(self._forget_part)
        self.leverage.editingFinished.connect(self._set_leverage)
        self.send.pressed.connect(self._pressed)
        self.send.released.connect(self._hold.stop)
        self.fix.clicked.connect(self._take_fix)
        self.sides.button(list(Side).index(self.side)).setChecked(True)
        self.kinds.button(PLAIN.index(self.kind)).setChecked(True)

    def _offered(self) -> list[tuple[str, OrderKind]]:
        """The kinds that the instrument in use has."""
        if self.feed is None:
            return []
        able = self.feed.account.venue.family(self.feed.instrument.family).capabilities
        return [(name, kind) for name, kind in KINDS if kind in able.kinds and kind in self.feed.instrument.kinds]

    def _choose_conditional(self) -> None:
        """A menu, unless there is only one."""
        conditional = [(name, kind) for name, kind in self._offered() if kind not in PLAIN]
        self.set_kind(self.kind)  # what is checked stays until something was chosen
        if len(conditional) == 1:
            self.set_kind(conditional[0][1])
            return
        menu = QMenu(self)
        for name, kind in conditional:
            menu.addAction(name, lambda kind=kind: self.set_kind(kind))
        menu.popup(self.more.mapToGlobal(self.more.rect().bottomLeft()))

    # what it shows

    def set_feed(self, feed: Feed | None) -> None:
        """Another instrument: prices are forgotten, the side stays."""
        super().set_feed(feed)
        self.setEnabled(feed is not None)
        if feed is None:
            self._show_nothing()
            return
        instrument = feed.instrument
        able = feed.account.venue.family(instrument.family).capabilities
        offered = [kind for _, kind in self._offered()]
        for kind, button in zip(PLAIN, self.kinds.buttons(), strict=False):
            button.setVisible(kind in offered)
        self.more.setVisible(any(kind not in PLAIN for kind in offered))
        self.set_kind(self.kind if self.kind in offered else OrderKind.LIMIT)
        chosen = self.tif.currentText()
        self.tif.blockSignals(True)
        self.tif.clear()
        self.tif.addItems([tif.value.upper() for tif in TimeInForce if tif.value in able.tifs])
        self.tif.setCurrentIndex(max(0, self.tif.findText(chosen)))
        self.tif.blockSignals(False)
        contract = instrument.market is not Market.SPOT
        self.reduce_only.setVisible(able.reduce_only and contract)
        self.leverage.setVisible(able.leverage and contract)
        self.post_only.setVisible(able.post_only)
        if instrument.max_leverage is not None:
            self.leverage.setMaximum(max(1, int(instrument.max_leverage)))
        self.leverage.setValue(int(feed.account.leverage(instrument) or 0))
        self.price.step = self.trigger.step = instrument.tick
        self.price.digits = self.trigger.digits = instrument.price_digits
        self.amount.step = instrument.size.step or Decimal(1)
        self.amount.digits = None
        self.price.unit.setText(instrument.quote)
        self.trigger.unit.setText(instrument.quote)
        buttons = self.units.buttons()
        buttons[0].setText(instrument.base if instrument.unit is Unit.BASE else "Contracts")
        buttons[1].setText(instrument.quote)
        buttons[0].setVisible(True)
        buttons[1].setVisible(instrument.unit is Unit.BASE)
        self._set_unit("base")
        self.price.set(None)
        self.trigger.set(None)
        self.amount.set(None)
        self._forget_part()
        self._seen = ()
        self.refresh()

    def _show_nothing(self) -> None:
        """No instrument: the form stands there empty."""
        self._show_fields()
        for name, button in self.best.items():
            button.setText(f"{name.capitalize()}\n{DASH}")
        for widget in (self.leverage, self.reduce_only, *self.units.buttons()):
            widget.setVisible(False)
        for field in (self.price, self.trigger, self.amount):
            field.set(None)
            field.unit.setText("")
        self.send.setText("No instrument")
        self.words.setText("")
        self.available.setText("")
        for _, value in self.lines.values():
            value.setText(DASH)

    def frame(self, now: float) -> None:
        """Keep quotes and estimate current."""
        feed = self.feed
        if feed is None:
            return
        seen = (
            feed.book.best_bid,
            feed.book.best_ask,
            feed.sync.state,
            feed.account.version,
            int(now * 4),
            self.isEnabled(),
        )
        if seen == self._seen:
            return
        self._seen = seen
        untouched = not self.price.edit.text() and not self.price.edit.hasFocus()  # who empties it wants to type
        if untouched and feed.book.best_bid and feed.sync.live:
            self._use("bid" if self.side is Side.BUY else "ask")
            return
        self.refresh()

    def set_side(self, side: Side) -> None:
        """Buy or sell."""
        self.side = side
        self.sides.button(list(Side).index(side)).setChecked(True)
        self.refresh()

    def set_kind(self, kind: OrderKind) -> None:
        """Limit, market, stop."""
        self.kind = kind
        plain = kind in PLAIN
        self.kinds.button(PLAIN.index(kind) if plain else len(PLAIN)).setChecked(True)
        self.more.setText((next(name for name, found in KINDS if found is kind) if not plain else "Stop") + " ▾")
        self.refresh()

    def set_price(self, price: Decimal, side: Side) -> None:
        """From a click in the ladder or the depth chart."""
        if not self.kind.has_price:
            self.set_kind(OrderKind.LIMIT)
        self.set_side(side)
        self.price.set(price)
        self.refresh()

    def draft(self) -> Draft | None:
        """The order as it stands in the fields."""
        feed = self.feed
        if feed is None:
            return None
        amount, quote = self.amount.value, None
        if self.unit == "quote" and amount is not None:
            able = feed.account.venue.family(feed.instrument.family).capabilities
            if self.kind is OrderKind.MARKET and able.market_buy_in_quote:
                amount, quote = None, amount
            else:
                price = self._worth()
                amount = self._on_lot(amount / price) if price else None
        return Draft(
            account=feed.account.id,
            instrument=feed.instrument,
            side=self.side,
            kind=self.kind,
            amount=amount,
            quote_amount=quote,
            price=self.price.value if self.kind.has_price else None,
            trigger=self.trigger.value if self.kind.has_trigger else None,
            tif=TimeInForce(self.tif.currentText().lower()) if self.kind.has_price else TimeInForce.GTC,
            post_only=self.post_only.isChecked() and self.kind is OrderKind.LIMIT and self.post_only.isVisibleTo(self),
            reduce_only=self.reduce_only.isChecked() and self.reduce_only.isVisibleTo(self),
        )

    def refresh(self) -> None:
        """Check and estimate what stands in the fields."""
        feed, draft = self.feed, self.draft()
        if feed is None or draft is None:
            return
        self._show_fields()
        if not self.leverage.hasFocus():
            self.leverage.setValue(int(feed.account.leverage(feed.instrument) or 0))
        self._show_quotes(feed)
        self._problems = self.desk.check(draft)
        self._show_problems()
        self._show_estimate(feed, draft)
        self._show_send(feed, draft)

    def _show_fields(self) -> None:
        priced, triggered = self.kind.has_price, self.kind.has_trigger
        for widget in (self.price_label, self.price_hint, self.price, self.shortcuts):
            widget.setVisible(priced)
        for widget in (self.trigger_label, self.trigger_hint, self.trigger):
            widget.setVisible(triggered)
        self.tif.setEnabled(priced)
        self.post_only.setEnabled(self.kind is OrderKind.LIMIT)

    def _show_quotes(self, feed: Feed) -> None:
        digits = feed.instrument.price_digits
        sizes = min(3, feed.instrument.size_digits)
        for name, best in (("bid", feed.book.best_bid), ("ask", feed.book.best_ask)):
            price = figure(best[0], digits) if best else DASH
            size = size_figure(best[1], sizes) if best else DASH
            self.best[name].setText(f"{name.capitalize()}  {size}\n{price}")

    def _show_problems(self) -> None:
        rules = {
            field: [row for row in self._problems if row.field == field] for field in ("price", "trigger", "amount")
        }
        instrument = self.feed.instrument if self.feed else None
        hints = {
            "price": tick_hint(instrument) if instrument else "",
            "trigger": tick_hint(instrument) if instrument else "",
            "amount": least_hint(instrument) if instrument else "",
        }
        for name, hint, field in (
            ("price", self.price_hint, self.price),
            ("trigger", self.trigger_hint, self.trigger),
            ("amount", self.amount_hint, self.amount),
        ):
            wrong = rules[name][0] if rules[name] else None
            empty = not field.edit.text()
            shown = wrong is not None and not empty
            field.set_problem(shown)
            said = NO_NUMBER if field.value is None else wrong.text if wrong is not None else ""
            hint.setText(said if shown else hints[name])
            mark(hint, "role", "problem" if shown else "caption")
        fixable = next((row for row in self._problems if row.fix is not None and row.field in rules), None)
        typed = fixable is not None and bool(getattr(self, fixable.field).edit.text())
        self.fix.setVisible(typed)
        if fixable is not None and fixable.fix is not None:
            self.fix.setText(fix_words(fixable.field, fixable.fix, self.kind))

    def _take_fix(self) -> None:
        for row in self._problems:
            fix = row.fix
            if fix is None or row.field not in ("price", "trigger", "amount"):
                continue
            if fix.kind is not self.kind:
                self.set_kind(fix.kind)
                self.tif.setCurrentText(fix.tif.upper())
            self.price.set(fix.price)
            self.trigger.set(fix.trigger)
            if row.field == "amount":
                self._set_unit("base" if fix.quote_amount is None else "quote")
                self.amount.set(fix.amount if fix.quote_amount is None else fix.quote_amount)
            break
        self.refresh()

    def _show_estimate(self, feed: Feed, draft: Draft) -> None:
        said = self.desk.estimate(draft)
        for name, value in estimate_words(said, feed.instrument).items():
            self.lines[name][1].setText(value)
        self.lines["Fee"][0].setText(fee_label(said))
        price = self._worth() or draft.trigger
        self.equal.setText(equals_words(draft, said.notional, in_quote=self.unit == "quote", price=price))
        self.available.setText(available_table(feed.instrument, feed.account.available(feed.instrument)))

    def _show_send(self, feed: Feed, draft: Draft) -> None:
        armed = self.desk.armed(feed.environment)
        large = self._is_large(draft)
        self.send.setText(send_words(draft) if armed else "Arm to send")
        mark(self.send, "send", self.side.value if armed else None)
        blocking = [row for row in self._problems if row.rule != "armed"]
        self.send.setEnabled(not armed or not blocking)
        if blocking:
            self.words.setText(problem_words(blocking))
        elif not armed:
            self.words.setText("Disarmed: nothing is sent by a click.")
        elif large:
            self.words.setText("A large order: hold the button for a second.")
        else:
            self.words.setText("Armed: one click sends")

    def _is_large(self, draft: Draft) -> bool:
        limit = self.desk.limits(draft.account).confirm_notional
        value = self.desk.estimate(draft).notional
        return limit is not None and value is not None and value > limit

    # what the trader does

    def _pressed(self) -> None:
        feed, draft = self.feed, self.draft()
        if feed is None or draft is None:
            return
        if not self.desk.armed(feed.environment):
            self.desk.arm(feed.environment)
            self.refresh()
        elif self._is_large(draft):
            self.words.setText("Keep holding …")
            self._hold.start()
        else:
            self._send(draft)

    def _held(self) -> None:
        draft = self.draft()
        if draft is not None and self.send.isDown():
            self._send(draft)

    def _send(self, draft: Draft) -> None:
        try:
            order_id = self.desk.place(draft)
        except GuardRefused as refused:
            self.words.setText(refused.problems[0].text)
        else:
            self.words.setText("Sent.")
            self.sent.emit(order_id)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter in a price or an amount sends, when armed and nothing stands against it; on a button it is that button's."""
        focus = self.focusWidget()
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and isinstance(focus, QPushButton):
            focus.click()
            return
        if enter and self.feed is not None and focus in (self.price.edit, self.trigger.edit, self.amount.edit):
            draft = self.draft()
            if draft is not None and self.desk.armed(self.feed.environment) and not self._is_large(draft):
                self._send(draft)
            return
        super().keyPressEvent(event)

    def _use(self, name: str) -> None:
        feed = self.feed
        if feed is None:
            return
        best = feed.book.best_bid if name == "bid" else feed.book.best_ask
        raw = feed.book.mid if name == "mid" else best[0] if best else None
        if raw is not None:
            self.price.set(round_price(Decimal(repr(raw)), feed.instrument, self.side))
        self.refresh()

    def _set_unit(self, name: str) -> None:
        self.unit = name
        self.units.button(0 if name == "base" else 1).setChecked(True)
        if self.feed is not None:
            instrument = self.feed.instrument
            self.amount.step = instrument.size.step if name == "base" else Decimal(10)
            own = size_unit(instrument) if instrument.unit is Unit.BASE else ""
            self.amount.unit.setText(own if name == "base" else instrument.quote)
        self.refresh()

    def _worth(self) -> Decimal | None:
        if self.kind.has_price:
            return self.price.value
        mid = self.feed.book.mid if self.feed is not None else None
        return Decimal(repr(mid)) if mid else self.trigger.value

    def _on_lot(self, amount: Decimal) -> Decimal:
        if self.feed is None:
            return amount
        return round_amount(amount, self.feed.instrument.size)

    def _forget_part(self) -> None:
        """The amount is no part of what is available any more: the slider does not say so."""
        self.slider.blockSignals(True)
        self.slider.setValue(0)
        self.slider.blockSignals(False)

    def _slid(self, value: int) -> None:
        """Percent of what is available."""
        feed = self.feed
        if feed is None:
            return
        instrument = feed.instrument
        available = feed.account.available(instrument)
        price = self._worth()
        if instrument.market is Market.SPOT and self.side is Side.SELL:
            most = available.get(instrument.base, Decimal(0))
        elif price:
            spot = instrument.market is Market.SPOT
            money = available.get(instrument.quote if spot else instrument.settle, Decimal(0))
            leverage = (
                Decimal(max(1, self.leverage.value())) if not spot and self.leverage.isVisibleTo(self) else Decimal(1)
            )
            each = instrument.notional(price, Decimal(1))  # what one unit costs, in what it is paid with
            most = money * leverage / each if each else Decimal(0)
        else:
            return
        self._set_unit("base")
        self.amount.set(self._on_lot(most * value / 100))
        self.refresh()

    def _set_leverage(self) -> None:
        """Only another one than the account has: who leaves the field as it was changes nothing."""
        feed, wanted = self.feed, self.leverage.value()
        if feed is None or not self.leverage.isVisible() or feed.account.session is None:
            return
        if wanted in (0, feed.account.leverage(feed.instrument)):
            return

        async def change() -> None:
            symbol = feed.instrument.symbol
            try:
                await feed.account.set_leverage(feed.instrument, wanted)
                self.desk.tell("info", f"Leverage of {symbol} is {wanted}×.")
            except VenueError as error:
                self.desk.tell("warn", f"Leverage of {symbol} was not changed: {error}")
                if self.feed is feed:
                    self.leverage.setValue(int(feed.account.leverage(feed.instrument) or 0))

        self.desk.run(change(), "leverage")
