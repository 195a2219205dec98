"""Sliding windows, against a plain count of what happened."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.runtime.pace import Pace

WINDOWS = st.lists(st.tuples(st.integers(1, 5), st.floats(0.5, 20)), min_size=1, max_size=3)


@given(WINDOWS, st.lists(st.floats(0, 3), max_size=60))
def test_no_window_is_ever_exceeded_and_nobody_waits_longer_than_needed(
    windows: list[tuple[int, float]], gaps: list[float]
) -> None:
    pace, now, times = Pace(windows), 0.0, list[float]()
    for gap in gaps:
        now += gap
        pause = pace.wait(now)
        now += pause
        if pause:  # a little earlier would have been too early for one of the windows
            early = now - min(pause, 1e-3)
            assert any(sum(early - seconds < then for then in times) >= count for count, seconds in windows)
        assert pace.wait(now + 1e-9) == 0
        pace.count(now)
        times.append(now)
        assert all(sum(now - seconds + 1e-6 < then for then in times) <= count for count, seconds in windows)


def test_no_window_means_no_wait() -> None:
    pace = Pace(())
    pace.count(1.0)
    assert pace.wait(1.0) == 0
