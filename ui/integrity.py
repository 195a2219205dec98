"""How far a book can be trusted, in a word, a form, a colour and a sentence; the same wherever it is shown."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.contract import Proof
from connectors.sync import BookState, BookSync

PROOFS = {
    Proof.NUMBERED: ("Numbered", "every update carries a number, and none is missing"),
    Proof.CHECKSUM: ("Checksum", "the exchange's checksum was equal to ours"),
    Proof.COMPARED: ("Compared", "compared with snapshots of the exchange from time to time"),
    Proof.TRANSPORT: (
        "Unnumbered",
        "the exchange sends neither numbers nor checksums: whole as long as the connection holds",
    ),
}


@dataclass(frozen=True, slots=True)
class Integrity:
    """`shape` and `colour` are a state glyph and a theme token; `sentence` says why."""

    word: str
    shape: str
    colour: str
    sentence: str


def integrity(sync: BookSync, now: float) -> Integrity:
    """What may be said of a book at `now` (monotonic seconds). Green only if it is live and something proves it."""
    for_s = sync.lasting(now)
    match sync.state:
        case BookState.STALE:
            return Integrity(f"Stale {for_s:.0f} s", "clock", "warn", sync.reason)
        case BookState.RESYNCING:
            return Integrity(f"Repairing {for_s:.0f} s", "half", "warn", sync.reason)
        case BookState.SYNCING:
            return Integrity("Syncing", "half", "warn", sync.reason)
    word, sentence = PROOFS[sync.rule.proof]
    if sync.rule.proof is Proof.CHECKSUM and sync.last_checksum is None:
        return Integrity("Not checked yet", "ring", "text.tertiary", "no checksum of the exchange has come so far")
    if sync.rule.proof is Proof.TRANSPORT:
        return Integrity(word, "ring", "text.tertiary", sentence)
    return Integrity(word, "disc", "buy", sentence)


def evidence(sync: BookSync, now: float) -> list[tuple[str, str]]:
    """The proof in figures: label and value."""
    counters = sync.counters
    rows = [
        ("Last update", f"{sync.last_id}" if sync.last_id is not None else "no numbers"),
        ("Updates", f"{counters.applied} applied, {counters.dropped} old, {counters.duplicates} twice"),
        ("Gaps", f"{counters.gaps}, repaired {counters.resyncs} times"),
    ]
    if sync.rule.checksum is not None:
        last = "none yet" if sync.last_checksum is None else f"{sync.last_checksum}, {now - sync.checked_at:.0f} s ago"
        rows.append(("Checksum", last))
        rows.append(("Checked", f"{counters.checksums_ok} equal, {counters.checksums_failed} not"))
    return rows
