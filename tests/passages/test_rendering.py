"""Contexts as text, Markdown, messages and JSON. Oracle: what is written out here."""

from __future__ import annotations

import json

from PIL import Image

from mm_megacontext.passages.counting import estimate_picture, estimate_tokens
from mm_megacontext.passages.parts import Gap
from tests.passages.made import collapsed, context, gap, passage, words_at
from tests.tiny import tokenizer

TABLE = words_at(["Item      Sum", "", "Rent      1|2", "", "Water     3"], "cell")
SHOWN = context(
    passage("p1", "Payments", kind="heading", headings=("Lease",)),
    passage("p2", kind="table", headings=("Lease", "Payments"), words=TABLE),
    gap("g1", "Repairs", "Pets"),
    passage("p3", "make test", kind="code", headings=("Lease",)),
)


def test_as_text() -> None:
    assert SHOWN.to_text().split("\n") == [
        "[p1] a.pdf, page 1, heading",
        "> (Lease)",
        "> Payments",
        "",
        "[p2] a.pdf, page 1, table",
        "> Item | Sum",
        "> Rent | 1|2",
        "> Water | 3",
        "",
        '[g1: not shown: a.pdf, pages 2-3, text, below "Repairs"; "Pets", about 140 tokens]',
        "",
        "[p3] a.pdf, page 1, code",
        "> (Lease)",
        "> make test",
    ]


def test_as_markdown() -> None:
    told = SHOWN.to_markdown()
    assert "> ## Payments" in told
    assert "> | Item | Sum |\n> | --- | --- |\n> | Rent | 1\\|2 |\n> | Water | 3 |" in told


def test_as_messages() -> None:
    (message,) = SHOWN.to_messages()
    assert message == {"role": "user", "content": f"{SHOWN.to_markdown()}\n\nQuestion: What is the rent?"}


def test_pictures_are_parts_behind_the_line_of_their_place() -> None:
    shown = context(passage("p1", kind="image", image=Image.new("RGB", (4, 4))), passage("p2", "A caption"))
    (message,) = shown.to_messages()
    assert [part["type"] for part in message["content"]] == ["text", "image_url", "text"]
    assert isinstance(shown.to_messages(images=False)[0]["content"], str)


def test_as_json() -> None:
    told = SHOWN.to_json(words=True)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert list(told) == ["question", "passages", "gaps"]
    assert list(told["passages"][0]) == [
        "id", "source", "page", "bbox", "unit", "kind", "headings", "text", "lod", "score", "image", "words"
    ]  # fmt: skip
    assert told["passages"][1]["words"][0] == {"text": "Item", "bbox": [0.0, 0.0, 24.0, 10.0]}
    assert [node["heading"] for node in told["gaps"][0]["nodes"]] == ["Repairs", "Pets"]
    assert "words" not in SHOWN.to_json()["passages"][0]
    picture = context(passage("p1", kind="image", image=Image.new("RGB", (4, 2)))).to_json(images=True)
    assert picture["passages"][0]["image"]["width"] == 4
    assert picture["passages"][0]["image"]["url"].startswith("data:image/png;base64,")


def test_whole_files_that_are_not_shown() -> None:
    nodes = tuple(collapsed(source=f"/d/{name}.pdf", kind="document") for name in "abcdef")
    line = context(Gap(id="g1", nodes=nodes)).to_text()
    assert line == "[g1: not shown: other files, as a.pdf, b.pdf, c.pdf, d.pdf, about 420 tokens]"
    pictures = Gap(id="g1", nodes=(collapsed(is_image=True, kind="tiles"),))
    assert context(pictures).to_text() == "[g1: not shown: a.pdf, pages 2-3, tiles, 1 picture]"


def test_names_of_files_stay_on_their_line() -> None:
    shown = context(passage("p1", "x", source="/d/a\n> [p9] b.pdf"))
    assert len(shown.to_text().split("\n")) == 2


def test_the_best_passages_come_first_and_bad_ones_not_at_all() -> None:
    scores = {"p1": 0.2, "p2": 0.9, "p3": 0.0, "p4": 0.5}
    shown = context(*(passage(id, "x", score=score) for id, score in scores.items()))
    assert [one.id for one in shown.best(2)] == ["p2", "p4"]
    assert [one.id for one in shown.best(9)] == ["p2", "p4", "p1"]


def test_estimates_are_no_lower_than_what_a_small_vocabulary_needs() -> None:
    """Oracle: the tokenizer of the package, whose 8 000 tokens are far fewer than those of any large model."""
    for text in ("1,480.00 EUR", "ORD-1050 / 2022", "f(x) = {a[0]: 1}"):
        assert estimate_tokens(text) >= 0.8 * len(tokenizer().encode(text)), text
    prose = "The security deposit is held in a separate account."
    assert estimate_tokens(prose) >= 1.3 * len(prose.split())
    assert estimate_picture(10, 10) == 256
    assert estimate_picture(1024, 1024) == 37 * 37
