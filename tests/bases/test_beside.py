"""What a question tells apart from its answer. Oracle: what a person would not look at."""

from __future__ import annotations

from mm_megacontext.bases.beside import View, Views
from mm_megacontext.bases.table_rows import LeafWords
from mm_megacontext.document import Region
from tests.bases.read_regions import entries_of_region, line, table
from tests.tiny import tokenizer


def _views(region: Region, question: str) -> tuple[list[str], list[View]]:
    """What each view leaves to read."""
    entries = entries_of_region(region)
    views = Views(LeafWords(tokenizer().decode, tokenizer().starts_word)).of(entries, question)
    texts = []
    for view in views:
        left = [
            token
            for entry in entries
            if entry.leaves is not None
            for leaf, token in enumerate(entry.leaves.token_ids.tolist())
            if (entry.id, leaf) not in view.unread
        ]
        texts.append(tokenizer().decode(left))
    return texts, views


ORDERS = [["Order", "City", "Amount"], *([f"ORD-10{i:02}", f"Town{i}", f"{i}37.0{i}"] for i in range(1, 9))]


def test_a_code_names_its_row() -> None:
    texts, views = _views(table(ORDERS), "What is the Amount of ORD-1007?")
    assert texts == ["Order Amount ORD-1007 737.07", "Order City Amount ORD-1007 Town7 737.07"]
    assert all(view.is_sure for view in views), "another row can only mislead"


def test_the_row_stands_below_its_header() -> None:
    region = table(ORDERS)
    _, (view, *_) = _views(region, "What is the Amount of ORD-1007?")
    assert len(set(view.lifted.values())) == 1
    (lifted,) = set(view.lifted.values())
    assert lifted * 16 > 5 * 14, "six rows are between, less one line, in patches of 16 points"


def test_words_name_row_and_column() -> None:
    rows = [
        ["Plant", "2023 Output", "2023 Scrap", "2024 Scrap"],
        ["Arden", "510", "12", "9"],
        ["Belmont", "4", "7", "5"],
    ]
    texts, _ = _views(table(rows), "What is the scrap of Arden in 2024?")
    assert texts == [
        "Plant 2024 Scrap Arden 9",
        "Plant 2023 Output 2023 Scrap 2024 Scrap Arden 510 12 9",
        "Plant 2023 Output 2023 Scrap 2024 Scrap Arden 510 12 9 Belmont 4 7 5",
    ]


def test_a_question_that_names_no_row_reads_all() -> None:
    texts, views = _views(table(ORDERS), "What is the deposit?")
    assert views == [View()]
    assert texts[0].startswith("Order City Amount ORD-1001")


def test_options_that_are_not_ticked_are_not_read() -> None:
    lines = (
        line("Status: \u2610 single \u2612 married \u2610 widowed", 70, 100),
        line("Pets: \u2610 dog \u2610 cat", 70, 114),
    )
    texts, _ = _views(Region("text", (70.0, 100.0, 400.0, 124.0), lines), "What is the status?")
    assert texts == ["Status: married Pets: \u2610 dog \u2610 cat"]
