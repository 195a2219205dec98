"""What can go wrong at a venue, by kind.

A connector maps every refusal of its venue to one of these; the desk decides by the kind alone. `code` and `text` are
the venue's own words, shown to the trader beside ours. No error ever carries a key, a secret or a signature.

The one distinction that matters most: `Refused` and its children mean *certainly not executed*; `OutcomeUnknown` means
the venue may or may not have acted. Nothing else may be concluded from an error about an order.
"""

from __future__ import annotations


class VenueError(Exception):
    """Anything that a venue, or the way to it, answers instead of what was asked for."""

    def __init__(self, text: str = "", *, code: str = "", status: int | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.status = status

    def __str__(self) -> str:
        return f"{self.text} ({self.code})" if self.code else self.text


class Refused(VenueError):
    """The venue said no. Certainly not executed."""


class InvalidOrder(Refused):
    """Breaks a rule of the instrument; the children say which."""


class BadPrice(InvalidOrder):
    """Off the tick, out of bounds, or outside the venue's price band."""


class BadSize(InvalidOrder):
    """Off the lot, too small or too large."""


class BadNotional(InvalidOrder):
    """Value below the minimum or above the maximum."""


class WouldTake(InvalidOrder):
    """A post-only order that would have matched at once."""


class WouldTrigger(InvalidOrder):
    """A stop whose trigger is already passed."""


class NotFillable(InvalidOrder):
    """Fill-or-kill that could not be filled whole."""


class ReduceOnlyRefused(InvalidOrder):
    """A reduce-only order that would open or increase a position."""


class InsufficientFunds(Refused):
    """Not enough balance or margin."""


class DuplicateOrder(Refused):
    """The client id is taken. For a repeated request this proves that the first one arrived."""


class OrderNotFound(Refused):
    """The venue does not know this order, or no longer as an open one: it may have been filled or cancelled."""


class NothingToChange(Refused):
    """An amend that changes nothing, a cancel-all without orders: harmless."""


class TooManyOrders(Refused):
    """The venue's limit of open orders or of position size is reached."""


class InstrumentUnknown(Refused):
    """No such instrument at this venue."""


class NotPrepared(Refused):
    """Certainly not executed, for want of facts about the account that can be asked for (`Trading.prepare`)."""


class MarketClosed(Refused):
    """The instrument does not trade now."""


class NotSupported(Refused):
    """The venue or this account does not offer what was asked for."""


class RateLimited(Refused):
    """Too many requests. `retry_after` in seconds, None if not told; `banned`: everything from here is cut off."""

    def __init__(
        self,
        text: str = "",
        *,
        code: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        banned: bool = False,
    ) -> None:
        super().__init__(text, code=code, status=status)
        self.retry_after = retry_after
        self.banned = banned


class AuthenticationFailed(Refused):
    """Key, signature or login refused."""


class PermissionDenied(AuthenticationFailed):
    """The key is genuine but may not do this, or not from this address."""


class NoSuchAccount(AuthenticationFailed):
    """The key is genuine, but there is no account of this family behind it (not opened, or of another generation)."""


class ClockSkewed(AuthenticationFailed):
    """The timestamp was outside of the venue's window. Not executed: correct the clock and sign anew."""


class NonceTooLow(AuthenticationFailed):
    """The nonce was not above the last one seen. Not executed."""


class SessionExpired(AuthenticationFailed):
    """Listen key, token or login is over: make a new one."""


PASSING = (RateLimited, ClockSkewed, NonceTooLow, SessionExpired)
"""Refusals that say nothing against the request itself: the same one may be taken a little later."""


class VenueUnavailable(VenueError):
    """The request certainly had no effect: it never left, or the venue says so (overload, maintenance)."""


class NotSent(VenueUnavailable):
    """The request never left this machine."""


class OutcomeUnknown(VenueError):
    """The request left and the venue gave no verdict. It may have been executed."""


class Unintelligible(VenueError):
    """The answer could not be read. For a request that changes something the runtime turns it into OutcomeUnknown."""
