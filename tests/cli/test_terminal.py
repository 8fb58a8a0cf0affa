"""Progress on a terminal and silence elsewhere."""

from __future__ import annotations

import io
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.cli.terminal import ProgressBar, render_progress


@dataclass(frozen=True)
class Event:
    uri: str
    page: int
    n_pages: int
    file: int = 1
    n_files: int = 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@given(st.text(max_size=60), st.integers(0, 20_000), st.integers(0, 20_000), st.integers(60, 100))
def test_progress_fits_on_the_line(uri: str, page: int, n_pages: int, columns: int) -> None:
    line = render_progress(Event(uri, min(page, n_pages), n_pages), columns)
    assert len(line) < columns
    assert line.endswith(f"{min(page, n_pages)}/{n_pages} pages")


def test_bar_is_full_at_the_end_and_empty_at_the_start() -> None:
    assert render_progress(Event("a.pdf", 0, 8), 80) == "a.pdf [........................] 0/8 pages"
    assert render_progress(Event("a.pdf", 8, 8), 80) == "a.pdf [########################] 8/8 pages"


def test_bar_counts_files_where_there_are_several() -> None:
    line = render_progress(Event("a.pdf", 8, 8, file=2, n_files=3), 80)
    assert line == "a.pdf [########################] 8/8 pages (file 2 of 3)"


def test_terminal_line_is_cleared_at_the_end() -> None:
    stream = Terminal()
    with ProgressBar(stream) as bar:
        bar.update(Event("a.pdf", 8, 8))
    assert "8/8 pages" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_nothing_is_drawn_elsewhere() -> None:
    stream = io.StringIO()
    with ProgressBar(stream) as bar:
        bar.update(Event("a.pdf", 8, 8))
    assert stream.getvalue() == ""
