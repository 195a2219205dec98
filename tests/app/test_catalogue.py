"""The catalogue: the quarter's table exactly, and later quarters by Markdown."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.catalogue import Catalogue, ImportFailed

NAMES = [
    "Binance", "Kucoin", "Gate.io", "AscendEx", "AltMarkets", "Binance US", "Bitfinex", "Bitget", "Bit.com", "Bitmart", "Bitmex",
    "Bittrex", "BTC Markets", "Bybit", "Coinbase", "HitBTC", "Hotbit", "Huobi", "Kraken", "MEXC", "NDAX", "OKX", "Phemex",
]  # fmt: skip
CODES = {
    "kucoin": ("272KvRf", "https://www.kucoin.com/ucenter/signup?rcode=272KvRf"),
    "gate_io": ("5868285", "https://www.gate.io/signup/5868285"),
    "ascend_ex": ("UEIXNXKW", "https://ascendex.com/register?inviteCode=UEIXNXKW"),
    "bitmart": ("UM6fQV", "https://www.bitmart.com/en?r=UM6fQV"),
    "huobi": (
        "en9k2223",
        "https://www.huobi.com/en-us/v/register/double-invite/?inviter_id=25530615&invite_code=en9k2223",
    ),
    "okx": ("1931920", "https://www.okx.com/join/1931920"),
}


def test_the_third_quarter_of_2023_is_the_table_itself(tmp_path: Path) -> None:
    rows = Catalogue(tmp_path).rows("Q3 2023")
    assert [row.name for row in rows] == NAMES
    assert {row.type for row in rows} == {"CLOB"}
    tiers = {row.slug: row.tier for row in rows}
    assert tiers["binance"] == "Gold"
    assert [slug for slug, tier in tiers.items() if tier == "Silver"] == ["kucoin", "gate_io", "ascend_ex"]
    assert sum(tier == "Bronze" for tier in tiers.values()) == 19
    for row in rows:
        expected = "Hummingbot Foundation" if row.tier != "Bronze" else "CoinAlpha" if row.slug == "ndax" else ""
        assert row.maintainer == expected
    assert next(row for row in rows if row.slug == "ndax").maintainer_url == "https://coinalpha.com"
    binance = rows[0].signup
    assert [part.url for part in binance] == [
        "https://www.binance.com/en/register?ref=FQQNNGCD",
        "https://www.binance.com/en/futures/ref?code=hummingbot",
    ]
    found = {row.slug: (row.signup[0].code, row.signup[0].url) for row in rows[1:] if row.signup}
    assert found == CODES


def test_what_is_known_today_stands_beside_it_with_its_source(tmp_path: Path) -> None:
    entries = {entry.row.slug: entry for entry in Catalogue(tmp_path).entries()}
    assert sum(entry.closed for entry in entries.values()) == 7
    assert entries["bittrex"].today.since == "4 December 2023"
    assert all(entry.today.source for entry in entries.values())
    assert entries["binance"].implemented
    assert entries["binance"].capabilities["usdm"].leverage


TABLE = """
Some words.

| Exchange | Type | Tier | Maintainer | Signup code |
|----------|:----:|------|------------|-------------|
| **Binance** | CLOB | 🥇 Gold | [Hummingbot Foundation](https://hummingbot.org) | [ABC123](https://www.binance.com/x?ref=ABC123) |
| KuCoin | CLOB | Silver | Hummingbot Foundation | [Sign up](https://www.kucoin.com/r) |
| New Place | CLOB | Bronze | - | - |
"""


def test_a_later_quarter_is_imported_kept_and_read_again(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.import_markdown(TABLE, "Q4 2023")
    again = Catalogue(tmp_path)
    assert again.current == "Q4 2023"
    rows = again.rows()
    assert [(row.slug, row.tier) for row in rows] == [
        ("binance", "Gold"),
        ("kucoin", "Silver"),
        ("new_place", "Bronze"),
    ]
    assert (rows[0].signup[0].code, rows[0].maintainer_url) == ("ABC123", "https://hummingbot.org")
    assert (rows[1].signup[0].label, rows[1].signup[0].url) == ("Sign up", "https://www.kucoin.com/r")
    assert not again.entry(rows[2]).implemented
    assert [row.name for row in again.rows("Q3 2023")] == NAMES


@pytest.mark.parametrize(
    ("text", "quarter", "words"),
    [
        (TABLE, "2023 Q4", "written like"),
        ("no table here", "Q4 2023", "no table"),
        (TABLE.replace("Silver", "Platinum"), "Q4 2023", "line 7: KuCoin has the tier"),
        (TABLE.replace("| New Place |", "|  |"), "Q4 2023", "line 8: no name"),
        (
            TABLE.replace("| New Place | CLOB | Bronze | - | - |", "| New Place | CLOB |"),
            "Q4 2023",
            "line 8: 2 columns",
        ),
        (TABLE.replace("New Place", "KuCoin"), "Q4 2023", "named twice"),
        (TABLE, "Q3 2023", "part of Fathom"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_the_line(tmp_path: Path, text: str, quarter: str, words: str) -> None:
    catalogue = Catalogue(tmp_path)
    with pytest.raises(ImportFailed, match=words):
        catalogue.import_markdown(text, quarter)
    assert catalogue.quarters == ["Q3 2023"]
    assert not list(tmp_path.glob("*"))


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe not text",
        b"quarter = ",
        b'quarter = "Q4 2023"\nexchange = []\n',
        b'quarter = "later"\n[[exchange]]\nslug = "a"\nname = "A"\ntype = "CLOB"\ntier = "Gold"\n',
        b'quarter = "Q4 2023"\n[[exchange]]\nslug = "a"\nname = "A"\ntype = "CLOB"\ntier = "Platinum"\n',
    ],
)
def test_an_imported_file_that_was_spoilt_is_told_and_the_others_are_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "2023-Q4.toml").write_bytes(content)
    catalogue = Catalogue(tmp_path)
    assert (catalogue.quarters, len(catalogue.problems)) == (["Q3 2023"], 1)
    assert "2023-Q4.toml" in catalogue.problems[0]


def test_an_exchange_of_which_nothing_is_known_is_neither_live_nor_closed(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.import_markdown(TABLE, "Q4 2023")
    binance, _, unknown = catalogue.entries()
    assert (binance.live, binance.closed) == (True, False)
    assert (unknown.live, unknown.closed) == (False, False)
