"""Messages of workers. Oracle: what was sent comes back, and nothing else than it does."""

from __future__ import annotations

import math
import socket
import struct
from dataclasses import dataclass, replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.document import Box, Cell, FormField, Line, Link, Note, Page, Region, Table, Word
from mm_megacontext.workers import frames, wire
from mm_megacontext.workers.answers import check_page
from mm_megacontext.workers.client import pdf_pages
from mm_megacontext.workers.messages import Counted, Failure, PixelRows, ReadPage

finite = st.floats(-1e6, 1e6, allow_nan=False)
boxes = st.tuples(finite, finite, finite, finite).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)
texts = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=9).filter(str.isascii)
words = st.builds(Word, texts, boxes, st.none() | st.tuples(st.integers(0, 99), st.integers(0, 99)), st.none() | finite)
lines = st.builds(Line, st.lists(words, min_size=1, max_size=3).map(tuple))
cells = st.builds(Cell, st.just(0), st.integers(0, 2), boxes, st.lists(lines, max_size=2).map(tuple))
tables = st.builds(Table, st.lists(cells, max_size=3).map(tuple), st.just(1), st.just(3))
regions = st.builds(
    Region,
    st.sampled_from(["text", "table", "figure"]),
    boxes,
    st.lists(lines, max_size=2).map(tuple),
    st.none() | tables,
    st.none() | st.integers(1, 6),
    st.sampled_from([None, "no contrast"]),
)
values = st.lists(texts, max_size=3).map("\n".join)
pages = st.builds(
    Page,
    st.integers(1, 99),
    st.tuples(st.just(612.0), st.just(792.0)),
    st.lists(regions, max_size=3).map(tuple),
    fields=st.lists(st.builds(FormField, texts, st.sampled_from(["text", "radio"]), values, boxes), max_size=2).map(
        tuple
    ),
    notes=st.lists(st.builds(Note, texts, texts, texts, boxes), max_size=2).map(tuple),
    links=st.lists(st.builds(Link, boxes, st.none() | texts, st.none() | st.integers(1, 99)), max_size=2).map(tuple),
)


@given(pages)
def test_pages_come_back_as_they_were(page: Page) -> None:
    assert wire.unpack(wire.pack(page), Page, Failure) == page


def test_requests_come_back_as_they_were(tmp_path: object) -> None:
    request = ReadPage(pdf_pages(__file__, "p\udc80ss\u00e9", "pdfium"), 3, ("/usr/bin/tesseract", "eng"))
    assert wire.unpack(wire.pack(request), ReadPage) == request
    assert request.file.password == "p\udc80ss\u00e9".encode("utf-8", "surrogatepass")


def test_text_loses_what_terminals_and_databases_stumble_over() -> None:
    page = Page(1, (9.0, 9.0), (Region("text", (0, 0, 9, 9), (Line((Word("a\x1b[2J\x00\ud800b", (0, 0, 9, 9)),)),)),))
    assert wire.unpack(wire.pack(page), Page).text == "a[2Jb"


def test_only_values_of_fields_have_lines() -> None:
    field = FormField("a\nb", "text", "two\nlines\x1b", (0, 0, 9, 9))
    (found,) = wire.unpack(wire.pack(Page(1, (9.0, 9.0), (), fields=(field,))), Page).fields
    assert (found.name, found.value) == ("ab", "two\nlines")


BAD: dict[str, object] = {
    "no message": b"\xc1",
    "nothing": b"",
    "more than one": msgpack.packb(["Counted", [1]]) + b"\x01",
    "another one": wire.pack(Counted(3)),
    "no name": msgpack.packb([3, [1]]),
    "too many fields": msgpack.packb(["PixelRows", [b"", b""]]),
    "text for bytes": msgpack.packb(["PixelRows", ["rgb"]]),
    "deep": b"\x91" * 100_000,
    "long array": b"\xdd\xff\xff\xff\xff",
    "extension": msgpack.packb(msgpack.ExtType(1, b"x")),
    "map": msgpack.packb({"PixelRows": [b""]}),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_answer_is_refused(name: str) -> None:
    with pytest.raises(wire.BadMessage) as caught:
        wire.unpack(BAD[name], PixelRows, Failure)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 300


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_refused(data: bytes) -> None:
    try:
        found = wire.unpack(data, Page, Failure)
    except wire.BadMessage:
        return
    assert isinstance(found, Page | Failure)


def page_with(bbox: Box = (0.0, 0.0, 9.0, 9.0), table: Table | None = None) -> Page:
    return Page(1, (99.0, 99.0), (Region("table", bbox, table=table),))


@pytest.mark.parametrize("bbox", [(math.nan, 0, 1, 1), (0, 0, math.inf, 1), (5, 0, 1, 1), (0, 9, 1, 1)])
def test_boxes_are_boxes(bbox: Box) -> None:
    with pytest.raises(wire.BadMessage):
        wire.unpack(wire.pack(page_with(bbox)), Page)


BOX: Box = (0.0, 0.0, 9.0, 9.0)
FAR: Box = (0.0, 0.0, 1e30, 9.0)
CELL = Cell(0, 0, (0.0, 0.0, 1.0, 1.0), ())
FIGURE, CAPTION = Region("figure", BOX), Region("caption", BOX, caption_of=0)


@pytest.mark.parametrize(
    "page",
    [
        page_with(table=Table((CELL,), 10**9, 10**9)),
        page_with(table=Table((CELL,), 0, 1)),
        page_with(table=Table((replace(CELL, row=1),), 1, 1)),
        page_with(table=Table((replace(CELL, column=-1),), 1, 1)),
        page_with(table=Table((replace(CELL, column_span=10**9),), 1, 1)),
        page_with(table=Table((replace(CELL, lines=(Line(()),)),), 1, 1)),
        page_with(bbox=(0.0, 0.0, 1e30, 9.0)),
        Page(1, (99.0, 99.0), (Region("heading", (0.0, 0.0, 9.0, 9.0), level=10**18),)),
        Page(1, (99.0, 99.0), (Region("text", (0.0, 0.0, 9.0, 9.0), (Line(()),)),)),
        replace(page_with(), size=(1e6, 99.0)),
        replace(page_with(), number=2),
        replace(page_with(), size=(0.0, 0.0)),
        replace(page_with(), size=(-1.0, 5.0)),
        replace(page_with(), problem="what"),
        replace(page_with(), code="corrupt"),
        Page(1, (99.0, 99.0), 3 * page_with(table=Table((), 1000, 1000)).regions),
        page_with(table=Table((CELL,), 1, 1, id="1.1")),
        page_with(table=Table((CELL,), 1, 1, first_row=1)),
        page_with(table=Table((CELL,), 1, 1, continues=True, first_row=-1)),
        page_with(table=Table((CELL,), 1, 1, continues=True, first_row=2**40)),
        page_with(table=Table((CELL,), 1, 1, n_repeated_rows=10**9)),
        Page(1, (99.0, 99.0), (Region("header", BOX, is_running=True),)),
        Page(1, (99.0, 99.0), (FIGURE, replace(CAPTION, caption_of=2))),
        Page(1, (99.0, 99.0), (FIGURE, replace(CAPTION, caption_of=-2))),
        Page(1, (99.0, 99.0), (FIGURE, replace(CAPTION, caption_of=1))),
        Page(1, (99.0, 99.0), (FIGURE, replace(CAPTION, kind="text"))),
        replace(page_with(), fields=(FormField("n", "text", "v", FAR),)),
        replace(page_with(), notes=(Note("text", "t", "a", FAR),)),
        replace(page_with(), links=(Link(FAR, page=1),)),
        replace(page_with(), links=(Link(BOX, page=0),)),
        replace(page_with(), links=(Link(BOX, page=10**18),)),
    ],
)
def test_pages_that_cannot_be(page: Page) -> None:
    with pytest.raises(wire.BadMessage):
        check_page(page, 1, 10_000)


def test_a_page_that_can_be() -> None:
    marks = {"fields": (FormField("n", "text", "v", BOX),), "notes": (Note("text", "t", "a", BOX),)}
    table = Region("table", BOX, table=Table((CELL,), 1, 1))
    page = Page(1, (99.0, 99.0), (FIGURE, CAPTION, table), links=(Link(BOX, page=7), Link(BOX, uri="x")), **marks)  # type: ignore[arg-type]
    check_page(page, 1, 10_000)


def test_a_field_that_no_message_can_hold_is_a_mistake_of_ours() -> None:
    @dataclass
    class Odd:
        value: set[int]

    with pytest.raises(TypeError, match="cannot be sent"):
        wire.pack(Odd({3}))


def test_frames_have_a_bound_and_a_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames.send(ours, b"hello")
        assert frames.receive(theirs, 5, 1.0) == b"hello"
        with pytest.raises(TimeoutError):
            frames.receive(theirs, 5, 0.05)
        frames.send(ours, b"longer")
        with pytest.raises(frames.FrameTooLong):
            frames.receive(theirs, 5, 1.0)
        assert theirs.recv(9) == b"longer"
        ours.sendall(struct.pack(">I", 9) + b"half")
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError):
            frames.receive(theirs, 9, 1.0)
