"""Each word is seen by the ink that it leaves itself, where it stands. Oracle: what each page was made to show.

All cases are pages of one file, so that it is opened once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from mm_megacontext.document import Page
from mm_megacontext.layout.engines.protocol import PdfEngine
from mm_megacontext.layout.reader import read
from tests.layout.attack_files import Objects, assemble, stream

OTHER = "BT /F1 12 Tf 72 500 Td (Paid in full) Tj ET"
TEXT = "BT /F1 12 Tf 72 500 Td (Words 312457) Tj ET"
SHADE = "q 60 490 200 30 re W n /Sh sh Q "
DRAWN = "BT /T3 12 Tf 72 500 Td (aaaa) Tj ET"

HIDDEN = {
    "under a shading": f"{TEXT} {SHADE}",
    "under a shading that is written on": f"{TEXT} {SHADE} {OTHER}",
    "under two half inline images": TEXT
    + " ".join(
        f" q 200 0 0 {height} 60 {low} cm BI /W 2 /H 1 /CS /G /BPC 8 ID \xf0\xc0 EI Q"
        for low, height in ((490, 13), (503, 17))
    ),
    "under fat letters": f"{TEXT} q 2 Tr 3 w BT /F1 13 Tf 72 500 Td (MMMMMMMMMMMMM) Tj ET Q",
    "clipped away over text": f"{OTHER} q 0 0 5 5 re W n {TEXT} Q",
    "clipped to a strip": f"q 60 501 200 1 re W n {TEXT} Q",
    "clipped to the hole of a ring": f"q 50 480 220 50 re 62 492 190 26 re W* n {TEXT} Q",
    "in a form with a tiny box, over text": f"{OTHER} /Tiny Do",
    "white in multiply": f"/Multiply gs 1 g {TEXT}",
    "white among scattered letters": f"BT /F1 12 Tf 72 500 Td (A          B          C) Tj ET 1 g {TEXT}",
    "white over many lines": f"1 g {TEXT} 0 G " + " ".join(f"60 {y} m 260 {y} l S" for y in range(490, 520, 3)),
    "drawn letters under a rectangle": f"{DRAWN} 0.9 g 60 490 200 30 re f 0 g {OTHER}",
}

SHOWN = {
    "on a shading": f"{SHADE} {TEXT}",
    "under a highlight": f"{TEXT} /Multiply gs 1 1 0 rg 60 490 200 30 re f",
    "stroked": f"1 Tr 0.4 w {TEXT}",
    "clipped to its place": f"q 60 490 200 30 re W n {TEXT} Q",
    "over a watermark": f"0.85 g BT /F1 160 Tf 60 470 Td (DRAFT) Tj ET 0 g {TEXT}",
    "cut out of a colour": f"q 7 Tr {TEXT} 0 0 1 rg 0 0 612 792 re f Q",
    "struck through": f"{TEXT} 72 504 m 160 504 l S",
    "white on black": f"60 490 200 30 re f 1 g {TEXT}",
}


def file_of(contents: Mapping[str, str], resources: str, more: Objects) -> bytes:
    """A file of one page for each content."""
    first = 40
    kids = " ".join(f"{first + 2 * n} 0 R" for n in range(len(contents)))
    objects: Objects = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        2: f"<</Type/Pages/Count {len(contents)}/Kids[{kids}]>>".encode(),
        3: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        **more,
    }
    for n, content in enumerate(contents.values()):
        page = f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents {first + 2 * n + 1} 0 R"
        objects[first + 2 * n] = f"{page}/Resources<<{resources}>>>>".encode()
        objects[first + 2 * n + 1] = stream(content.encode("latin-1"))
    return assemble(objects)


RESOURCES = (
    "/Font<</F1 3 0 R/T3 6 0 R>>/Shading<</Sh 5 0 R>>/XObject<</Tiny 4 0 R>>/ExtGState<</Multiply<</BM/Multiply>>>>"
)
PARTS: Objects = {
    4: stream(TEXT.encode(), b"/Type/XObject/Subtype/Form/BBox[0 0 10 10]/Resources<</Font<</F1 3 0 R>>>>"),
    5: b"<</ShadingType 2/ColorSpace/DeviceGray/Coords[0 0 612 0]"
    b"/Function<</FunctionType 2/Domain[0 1]/N 1/C0[0.7]/C1[1]>>>>",
    6: b"<</Type/Font/Subtype/Type3/FontBBox[0 0 600 700]/FontMatrix[0.001 0 0 0.001 0 0]/FirstChar 97/LastChar 97"
    b"/Widths[600]/Encoding<</Differences[97/g1]>>/CharProcs<</g1 7 0 R>>/Resources<<>>/ToUnicode 8 0 R>>",
    7: stream(b"600 0 d0 0 g 80 0 440 90 re f 80 0 90 700 re f"),
    8: stream(b"1 beginbfchar <61> <004C> endbfchar"),
}


def pages_of(contents: Mapping[str, str], path: Path, engine: PdfEngine) -> dict[str, Page]:
    path.write_bytes(file_of(contents, RESOURCES, PARTS))
    return dict(zip(contents, read(path, engine=engine.name, ocr="off").pages(), strict=True))


def test_what_leaves_no_ink_of_its_own_is_not_read(tmp_path: Path, engine: PdfEngine) -> None:
    pages = pages_of(HIDDEN, tmp_path / "a.pdf", engine)
    read_all_the_same = {
        way: page.text for way, page in pages.items() if {"Words", "312457", "LLLL"} & set(page.text.split())
    }
    assert read_all_the_same == {}
    assert {page.status for page in pages.values()} == {"ok"}
    others = {way for way, content in HIDDEN.items() if OTHER in content}
    assert {way for way, page in pages.items() if "Paid in full" in page.text} == others


def test_what_leaves_ink_is_read(tmp_path: Path, engine: PdfEngine) -> None:
    pages = pages_of(SHOWN, tmp_path / "a.pdf", engine)
    assert {way: page.text for way, page in pages.items() if not {"Words", "312457"} <= set(page.text.split())} == {}


def test_a_word_is_what_is_seen_of_it(tmp_path: Path, engine: PdfEngine) -> None:
    """A white digit before an amount, an amount whose end is covered, and a word of which one letter is faint."""
    contents = {
        "before": "1 g BT /F1 12 Tf 72 500 Td (9) Tj 0 g (485) Tj ET",
        "behind": "BT /F1 12 Tf 72 500 Td (485) Tj (999) Tj ET 1 g 92.1 490 60 30 re f",
        "faint": "BT /F1 12 Tf 72 500 Td (wor) Tj 0.8 g (d) Tj ET",
    }
    pages = pages_of(contents, tmp_path / "a.pdf", engine)
    assert {way: page.text for way, page in pages.items()} == {"before": "485", "behind": "485", "faint": "word"}
    (hidden,) = [region for region in pages["before"].regions if region.hidden is not None]
    assert (hidden.text, hidden.hidden) == ("9", "no contrast")


def test_what_stands_in_one_place_twice_is_read_once(tmp_path: Path, engine: PdfEngine) -> None:
    page = pages_of({"twice": f"{TEXT} {TEXT}"}, tmp_path / "a.pdf", engine)["twice"]
    assert page.text == "Words 312457"


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_turned_pages_are_looked_at_as_they_are_shown(rotate: int, tmp_path: Path, engine: PdfEngine) -> None:
    contents = {"clipped": f"{OTHER} q 0 0 5 5 re W n {TEXT} Q"}
    data = file_of(contents, RESOURCES, PARTS).replace(
        b"/MediaBox[0 0 612 792]", b"/MediaBox[0 0 612 792]/Rotate %d" % rotate
    )
    path = tmp_path / "a.pdf"
    path.write_bytes(data)
    (page,) = read(path, engine=engine.name, ocr="off").pages()
    assert set(page.text.split()) == {"Paid", "in", "full"}
