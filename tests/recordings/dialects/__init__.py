"""Readers of protocols that are gone, for recordings of them: `<venue>.py` has `VENUE`, the venue with such a reader as its stream."""
