"""The command line for people and scripts. Results go to stdout, everything else to stderr; errors end with status 2."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from connectors import catalogue as connectors
from connectors.catalogue import VenueUnknown
from connectors.model import Market


class _Parser(argparse.ArgumentParser):
    """Errors in one sentence that says what to do."""

    def error(self, message: str) -> Any:
        self.exit(2, f"fathom: {message}. Try: fathom --help\n")


def parse(words: list[str]) -> argparse.Namespace:
    """The arguments; exits with status 2 on what can't be understood."""
    parser = _Parser(
        prog="fathom", description="A trading terminal: live depth, point-and-click trading, 23 exchanges."
    )
    parser.add_argument("--replay", metavar="FILE", help="show a recording instead of connecting anywhere")
    parser.add_argument("--venue", metavar="SLUG", help="whose recording it is, if the file does not tell")
    parser.add_argument("--speed", type=_speed, default=1.0, help="times as fast as recorded, or max")
    parser.add_argument("--screenshot", metavar="FILE", help="save a picture of the window and end")
    parser.add_argument("--after", type=_seconds, default=6.0, metavar="SECONDS", help="before the picture")
    parser.add_argument("--workspace", default="", help="for the picture")
    commands = parser.add_subparsers(dest="command", parser_class=_Parser)
    venues = commands.add_parser("venues", help="the catalogue, and what is implemented")
    venues.add_argument("--json", action="store_true", help="everything that is known of each, as JSON")
    practice = commands.add_parser("practice", help="serve a practice exchange")
    practice.add_argument("venue", metavar="VENUE")
    practice.add_argument("--port", type=_port, default=0, help="first port; any free ones if left out")
    practice.add_argument("--json", action="store_true", help="one line of JSON: hosts and credentials")
    practice.add_argument("--seed", type=int, default=None, help="a number that makes the same crowd again")
    practice.add_argument("--until-stdin-ends", action="store_true", help="end when the standard input does")
    replay = commands.add_parser("replay", help="play a recording, in the window or headless")
    replay.add_argument("replay", metavar="FILE")
    replay.add_argument("--venue", metavar="SLUG", default="", help="whose recording it is, if the file does not tell")
    replay.add_argument("--headless", action="store_true", help="print what became of each book, without a window")
    replay.add_argument("--json", action="store_true", help="the same as JSON, with --headless")
    replay.add_argument("--speed", type=_speed, default=1.0, help="in the window: times as fast as recorded, or max")
    decode = commands.add_parser(
        "decode", help="read frames from stdin", description='JSON lines in, {"frame": "..."}; JSON lines out.'
    )
    decode.add_argument("venue", metavar="VENUE")
    decode.add_argument("--market", choices=["spot", "perp", "future"], help="if the venue has several")
    sign = commands.add_parser(
        "sign", help="show what would be sent", description="Calls in plain words in, signed requests out; JSON lines."
    )
    sign.add_argument("venue", metavar="VENUE")
    doctor = commands.add_parser("doctor", help="what Fathom finds on this machine")
    doctor.add_argument("--json", action="store_true", help="the same as JSON")
    return parser.parse_args(words)


def _speed(text: str) -> float:
    if text == "max":
        return 1e9
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed; give a number or max") from None
    if not value > 0:
        raise argparse.ArgumentTypeError("a speed is above zero")
    return min(value, 1e9)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to 86400")
    return value


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 1 to 65535, or 0 for any free ones")
    return int(text)


def run_command(arguments: argparse.Namespace) -> int:
    """Run a command that needs no window."""
    try:
        match arguments.command:
            case "venues":
                return _venues(as_json=arguments.json)
            case "practice":
                from connectors.practice.command import run

                return run(
                    arguments.venue,
                    port=arguments.port,
                    as_json=arguments.json,
                    seed=arguments.seed,
                    until_stdin_ends=arguments.until_stdin_ends,
                )
            case "replay":
                return _replay(Path(arguments.replay), arguments.venue, as_json=arguments.json)
            case "decode":
                from connectors.decode import decode_line

                venue, market = connectors.load(arguments.venue), arguments.market
                return _answer_lines(lambda line, number: decode_line(venue, line, number, market and Market(market)))
            case "sign":
                from connectors.tools import sign_line

                venue = connectors.load(arguments.venue)
                return _answer_lines(lambda line, number: sign_line(venue, line, number))
            case _:
                from app.doctor import examine

                return examine(as_json=arguments.json)
    except BrokenPipeError:
        return 0  # whoever read our output has seen enough
    except (VenueUnknown, LookupError, OSError, ValueError) as error:
        sys.stderr.write(f"fathom: {error}\n")
        return 2


def _answer_lines(answer: Callable[[bytes, int], bytes]) -> int:
    """One line out for each line in, at once, until the end. Status 2 where not one of them was a JSON object."""
    number, readable = 0, False
    for number, line in enumerate(sys.stdin.buffer, 1):
        sys.stdout.buffer.write(answer(line, number) + b"\n")
        sys.stdout.buffer.flush()
        readable = readable or _is_object(line)
    if number and not readable:
        raise ValueError(
            "nothing that came in is a JSON object on a line of its own; the README shows what is read here"
        )
    return 0


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _venues(*, as_json: bool) -> int:
    from app.catalogue import Catalogue
    from app.settings import Settings

    catalogue = Catalogue(Settings().quarters)
    sys.stderr.write("".join(f"fathom: {problem}\n" for problem in catalogue.problems))
    rows: list[dict[str, Any]] = []
    for entry in catalogue.entries():
        row = entry.row
        able = {
            name: {
                "kinds": sorted(part.kinds),
                "time_in_force": sorted(part.tifs),
                "post_only": part.post_only,
                "reduce_only": part.reduce_only,
                "leverage": part.leverage,
                "amend": part.amend.value,
                "dead_man": part.dead_man,
                "orders_over_socket": part.orders_over_socket,
                "candles": list(part.intervals),
                "channels": sorted(part.channels),
            }
            for name, part in entry.capabilities.items()
        }
        rows.append(
            {
                "slug": row.slug,
                "name": row.name,
                "type": row.type,
                "tier": row.tier,
                "maintainer": row.maintainer or None,
                "signup": [
                    {"code": part.code or None, "label": part.label or None, "url": part.url} for part in row.signup
                ],
                "status": {"state": entry.today.status, "since": entry.today.since or None, "as_of": catalogue.as_of},
                "markets": [part.strip().lower() for part in entry.today.markets.split(",") if part.strip()],
                "capabilities": able,
                "implemented": entry.implemented,
            }
        )
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return 0
    sys.stdout.write(f"{'Exchange':14}{'Type':6}{'Tier':8}{'Maintainer':24}{'Today':26}{'Connector'}\n")
    for row in rows:
        since = row["status"]["since"]
        state = f"{row['status']['state']} {since}" if since else row["status"]["state"]
        here = "yes" if row["implemented"] else "not in this build"
        sys.stdout.write(
            f"{row['name']:14}{row['type']:6}{row['tier']:8}{row['maintainer'] or '–':24}{state:26}{here}\n"
        )
    return 0


def _replay(path: Path, slug: str, *, as_json: bool) -> int:
    from app.terminal import venue_of
    from connectors.runtime.replay import replay

    if not path.is_file():
        raise OSError(f"there is no file {path}")
    report = replay(path, connectors.load(slug or venue_of(path)))
    status = 2 if report.problem else 0
    if report.problem:
        sys.stderr.write(f"fathom: {path.name}: {report.problem}\n")
    if as_json:
        sys.stdout.write(json.dumps(report.as_dict(), indent=2) + "\n")
        return status
    sys.stdout.write(
        f"{report.rows} rows, {report.not_understood} frames not understood, {report.unmatched} of other hosts\n"
    )
    for key, book in report.books.items():
        facts = asdict(book)
        facts.pop("symbol")
        sys.stdout.write(
            f"{key}\n" + "".join(f"  {name.replace('_', ' '):18}{value}\n" for name, value in facts.items())
        )
    return status
