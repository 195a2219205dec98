"""Reading an answer: what may be concluded when the connector itself does not understand it."""

from __future__ import annotations

import logging
from typing import Any

from connectors.contract import UNREADABLE, Call, Step
from connectors.errors import OutcomeUnknown, Unintelligible

_log = logging.getLogger(__name__)


def verdict(step: Step, answer: Any) -> Any:
    """`step.read(answer)`. An answer of unknown shape says nothing about an order.

    Raises the VenueError that `read` raises; Unintelligible for what can't be read and changes nothing, OutcomeUnknown for
    what can't be read and may have changed something.
    """
    kind = Unintelligible if step.effect.repeatable else OutcomeUnknown
    name = step.path if isinstance(step, Call) else step.endpoint
    try:
        return step.read(answer)
    except Unintelligible as error:
        raise kind(f"the answer could not be read: {error}") from None
    except (StopIteration, *UNREADABLE) as error:  # the first would end the flow that waits for this
        _log.warning("unexpected answer from %s (%s)", name, type(error).__name__)
        raise kind(f"an answer of unexpected shape from {name}") from error
