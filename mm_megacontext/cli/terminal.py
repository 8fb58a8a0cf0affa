"""What the commands print: results on stdout, and on stderr warnings and a progress bar."""

from __future__ import annotations

import json
import shutil
import sys
import time
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

_BAR_CELLS = 24
_REDRAW_SECONDS = 0.1
_CLEAR_LINE = "\r\x1b[K"


class Progress(Protocol):
    """How far an ingest is."""

    @property
    def uri(self) -> str: ...

    @property
    def file(self) -> int:
        """From 1."""
        ...

    @property
    def n_files(self) -> int: ...

    @property
    def page(self) -> int:
        """From 1."""
        ...

    @property
    def n_pages(self) -> int: ...


class ProgressBar:
    """Draws ingest progress on one line of stderr, and nothing at all where stderr is not a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._is_live = self._stream.isatty()
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._write("")

    def update(self, event: Progress) -> None:
        """Show ``event``, unless the line was drawn a moment ago."""
        now = time.monotonic()
        if event.page < event.n_pages and now - self._drawn_at < _REDRAW_SECONDS:
            return
        self._drawn_at = now
        self._write(render_progress(event, shutil.get_terminal_size().columns))

    def _write(self, line: str) -> None:
        if self._is_live:
            self._stream.write(_CLEAR_LINE + line)
            self._stream.flush()


def render_progress(event: Progress, columns: int) -> str:
    """One line of at most ``columns`` characters; a long name loses its beginning."""
    n_pages = max(event.n_pages, 1)
    n_full = min(_BAR_CELLS, _BAR_CELLS * event.page // n_pages)
    bar = f" [{'#' * n_full}{'.' * (_BAR_CELLS - n_full)}] {event.page}/{event.n_pages} pages"
    if event.n_files > 1:
        bar += f" (file {event.file} of {event.n_files})"
    room = max(columns - len(bar) - 1, 8)
    uri = printable(event.uri)
    name = uri if len(uri) <= room else "…" + uri[1 - room :]
    return name + bar


def print_json(value: dict[str, Any]) -> None:
    """Print a JSON object on stdout, readable by people too; what a terminal would obey or not encode is escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    print("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def note(text: str) -> None:
    """Print a line on stderr for whoever waits at a terminal; nothing elsewhere."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)


def warn(text: str) -> None:
    """Print a one-line warning on stderr."""
    print(f"mmctx: warning: {printable(' '.join(text.split()))}", file=sys.stderr)


def print_error(text: str) -> None:
    """Print a one-line error on stderr."""
    print(f"mmctx: error: {printable(text)}", file=sys.stderr)


def printable(text: str) -> str:
    r"""``text`` with escapes for what a terminal would obey: a file may be called anything.

    Example:
        >>> printable("rent\x1b[2J.pdf")
        'rent\\x1b[2J.pdf'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
