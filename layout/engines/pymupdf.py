"""The PyMuPDF engine: fast, tolerant of broken files; PyMuPDF is AGPL or commercial, hence an extra."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from mm_megacontext.document import HiddenReason
from mm_megacontext.errors import IngestError, first_line
from mm_megacontext.layout.engines.corrections import Correction, find_corrections
from mm_megacontext.layout.engines.passwords import spellings, wrong_password
from mm_megacontext.layout.engines.protocol import (
    NO_MARKS,
    ModelRegion,
    OpenPdf,
    RawPage,
    RawWord,
)
from mm_megacontext.layout.engines.pymupdf_frame import PageFrame
from mm_megacontext.layout.engines.pymupdf_ink import PyMuPdfInk
from mm_megacontext.layout.engines.pymupdf_layers import settle_memberships
from mm_megacontext.layout.engines.pymupdf_library import pymupdf
from mm_megacontext.layout.engines.pymupdf_marks import read_marks
from mm_megacontext.layout.engines.pymupdf_tree import reveal_pages
from mm_megacontext.layout.engines.pymupdf_vectors import paint_order, raster, read_images, read_vectors
from mm_megacontext.layout.engines.pymupdf_words import Block, plain_words, read_text, told_words, words_of
from mm_megacontext.layout.engines.unshown import not_shown

_TYPE_3 = "Unnamed-T3"  # of such fonts MuPDF paints letters in colours of their own one by one, as drawings
_PAGES_PER_SHRINK = 64  # MuPDF's cache would grow to 256 MiB; emptying it more often re-reads fonts

_OFF: HiddenReason = "in a layer that is off"
_TOLD_ONLY: HiddenReason = "only in ActualText"


class PyMuPdfEngine:
    """Opens PDF files with PyMuPDF."""

    name = "pymupdf"

    def open(self, path: Path, password: str | None) -> OpenPdf:
        """Open a PDF. Raises IngestError."""
        return open_pdf(path, password)


Model = Callable[[Any], list[ModelRegion]]
"""What looks at a page of PyMuPDF and says what it is made of."""


def open_pdf(path: Path, password: str | None, model: Model | None = None) -> OpenPdf:
    """Open a PDF whose pages are looked at by ``model``, if there is one. Raises IngestError."""
    try:
        pdf = pymupdf.open(path, filetype="pdf")
        if not _is_unlocked(pdf, password):
            pdf.close()
            raise wrong_password(str(path), password)
        n_pages = reveal_pages(pdf)
        settle_memberships(pdf)
        corrections = find_corrections(path, password)
        _correct(pdf, corrections)
    except IngestError:
        raise
    except Exception as e:
        raise IngestError(f"PyMuPDF cannot open it as a PDF ({first_line(e)}): export it anew", source=str(path)) from e
    return PyMuPdfFile(pdf, n_pages, model, partial(_open_again, path, password, corrections))


def _is_unlocked(pdf: Any, password: str | None) -> bool:
    return not pdf.needs_pass or any(map(pdf.authenticate, spellings(password or "")))


def _open_again(path: Path, password: str | None, corrections: list[Correction]) -> Any:
    """A file that could be opened with this password before."""
    pdf = pymupdf.open(path, filetype="pdf")
    _is_unlocked(pdf, password)
    reveal_pages(pdf)
    _correct(pdf, corrections)
    return pdf


def _correct(pdf: Any, corrections: list[Correction]) -> None:
    """Put fonts of the open document, not of the file, right."""
    for number, keys, data in corrections:
        to_unicode = pdf.get_new_xref()
        pdf.update_object(to_unicode, "<<>>")
        pdf.update_stream(to_unicode, data, new=True)
        pdf.xref_set_key(number, "/".join(key[1:] for key in (*keys, "/ToUnicode")), f"{to_unicode} 0 R")


class PyMuPdfFile:
    """A document that PyMuPDF holds open, of any kind that has pages.

    Args:
        pdf: The open document.
        n_pages: How many pages it has.
        model: What looks at its pages, if anything does.
        reopen: Opens the same PDF once more; None for other kinds, which have no layers and no ActualText.
    """

    def __init__(
        self, pdf: Any, n_pages: int, model: Model | None = None, reopen: Callable[[], Any] | None = None
    ) -> None:
        self._pdf = pdf
        self.n_pages = n_pages
        self._model = model
        self._reopen = reopen
        self._unlayered: Any = None
        self._undrawn: Any = None

    def page(self, number: int) -> RawPage:
        if number % _PAGES_PER_SHRINK == 0:
            pymupdf.TOOLS.store_shrink(100)
            pymupdf.TOOLS.reset_mupdf_warnings()
        page = self._pdf.load_page(number - 1)
        frame = PageFrame.of(page)
        text = read_text(page)
        words = words_of(text, frame)
        words += self._unshown(page, words, frame)
        rules, drawings = read_vectors(page, text.blocks, frame)
        images = read_images(page, frame) if not words or page.get_images() else []
        ink = PyMuPdfInk(page, self._without_drawn_letters(page.number) if _draws_letters(text.blocks) else None)
        marks, error = NO_MARKS, None
        try:
            marks = read_marks(page, lambda rect: frame.clipped(tuple(rect)), frame.size)
        except Exception as e:
            error = e.with_traceback(None)
        look = None if self._model is None else partial(self._model, page)
        return RawPage(
            number,
            frame.size,
            words,
            rules,
            images,
            drawings,
            raster=partial(raster, page),
            colours=ink.colours,
            letters=ink,
            paint_order=partial(paint_order, page, frame),
            marks=marks,
            marks_error=error,
            model_regions=look,
        )

    def _unshown(self, page: Any, words: list[RawWord], frame: PageFrame) -> list[RawWord]:
        """What layers that are off would paint, and what stands in ActualText alone."""
        found: list[RawWord] = []
        if self._reopen is None:
            return found
        if self._has_layers:
            found += not_shown(words, plain_words(self._all_layers(self._reopen, page.number), frame), _OFF)
        if (told := told_words(page, frame)) is not None:
            found += not_shown(words, told, _TOLD_ONLY)
        return found

    @cached_property
    def _has_layers(self) -> bool:
        kind, _ = self._pdf.xref_get_key(self._pdf.pdf_catalog(), "OCProperties")
        return bool(kind != "null")

    def _all_layers(self, reopen: Callable[[], Any], index: int) -> Any:
        """A page of the same file as if it had no layers: all that could be switched on is painted."""
        if self._unlayered is None:
            self._unlayered = reopen()
            self._unlayered.xref_set_key(self._unlayered.pdf_catalog(), "OCProperties", "null")
        return self._unlayered.load_page(index)

    def _without_drawn_letters(self, index: int) -> Callable[[], Any] | None:
        """A page of the same file whose fonts of type 3 have no letters: nothing else tells these from drawings."""
        return None if self._reopen is None else partial(self._load_undrawn, self._reopen, index)

    def _load_undrawn(self, reopen: Callable[[], Any], index: int) -> Any:
        if self._undrawn is None:
            self._undrawn = reopen()
            settle_memberships(self._undrawn)
            for number in range(1, self._undrawn.xref_length()):
                if _is_type_3(self._undrawn, number):
                    self._undrawn.xref_set_key(number, "CharProcs", "<<>>")
        return self._undrawn.load_page(index)

    def close(self) -> None:
        self._pdf.close()
        for copy in (self._unlayered, self._undrawn):
            if copy is not None:
                copy.close()
        pymupdf.TOOLS.store_shrink(100)
        pymupdf.TOOLS.reset_mupdf_warnings()


def _draws_letters(blocks: list[Block]) -> bool:
    """Whether text of a page is in a font whose letters are drawn by the file."""
    spans = (span for block in blocks for line in block.get("lines", ()) for span in line["spans"])
    return any(span["font"].startswith(_TYPE_3) for span in spans)


def _is_type_3(pdf: Any, number: int) -> bool:
    try:
        return bool(pdf.xref_get_key(number, "Subtype") == ("name", "/Type3"))
    except Exception:  # MuPDF's errors have no class in common with those of its binding
        return False


def create() -> PyMuPdfEngine:
    """The engine, for the registry."""
    return PyMuPdfEngine()
