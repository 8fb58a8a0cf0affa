"""The process that opens PDFs and images for another one: reads pages, renders parts of them, and is expendable.

It is a copy of ``worker_origin`` and answers the requests of ``pdf_messages`` on a socket, all of them about one file.
The kernel ends it when a request takes too long or too much: what a hostile file can do to it ends with it.
"""

from __future__ import annotations

import math
import os
import resource
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from mm_megacontext.document import Page, SourceKind
from mm_megacontext.errors import IngestError, MissingExtra
from mm_megacontext.layout.engines.protocol import OpenPdf, load_engine
from mm_megacontext.layout.image_messages import Identified, ImageFile, ImageRequest, PixelsOpened, ReadImage
from mm_megacontext.layout.image_worker import ImageReader
from mm_megacontext.layout.ocr import TIMEOUT_SECONDS, NoOcr, Ocr, Tesseract
from mm_megacontext.layout.page.from_pdf import MOST_LETTERS, first_words, read_page
from mm_megacontext.workers import frames, wire
from mm_megacontext.workers.messages import (
    EXIT_NO_MEMORY,
    MOST_REQUEST_BYTES,
    RENDERER,
    REQUESTS,
    Count,
    Counted,
    Failure,
    Measure,
    Measured,
    PdfFile,
    PdfRequest,
    Pixels,
    ReadPage,
    Request,
    most_bytes,
)

if TYPE_CHECKING:
    from mm_megacontext.layout.engines.pdfium_raster import RasterFile

_OPEN_FILES = 128
_OCR_SHARE = 0.8  # of the time for a page: what OCR did not finish shall leave time to keep the page as a picture


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker may use; see ``IngestLimits``.

    Attributes:
        seconds: Wall clock for a request.
        cpu_seconds: Processor time for a request.
        memory_bytes: Address space.
        file_bytes: The longest file that it may write: none, but to decode an image that has no tiles.
    """

    seconds: float
    cpu_seconds: float
    memory_bytes: int
    file_bytes: int
    max_decoded_pixels: int


@runtime_checkable
class PageReader(Protocol):
    """A file whose pages come with their regions: it says itself what is a heading or a table."""

    @property
    def n_pages(self) -> int: ...

    def read_page(self, number: int) -> Page: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Held:
    """A file that is held open, by whom, and what that calls itself."""

    file: PdfFile | ImageFile
    reader: OpenPdf | RasterFile | PageReader | ImageReader
    engine: str
    kind: SourceKind = "pdf"


class Worker:
    """Answers requests one after the other; holds the last file open."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._held: _Held | None = None

    def answer(self, request: Request) -> Answer | Failure:
        """The answer; what is wrong with the file or the page is one too."""
        try:
            return self._answer(request)
        except IngestError as e:
            return Failure("ingest", e.code, e.reason.removeprefix(f"page {e.page}: ")[:MOST_LETTERS])
        except MissingExtra as e:
            return Failure("missing extra", "missing_extra", str(e))
        except MemoryError:
            raise
        except Exception as e:  # engines raise anything on damaged files
            what = "image" if isinstance(request.file, ImageFile) else "file"
            return Failure("ingest", "corrupt", f"the {what} cannot be read ({first_words(e)}): export it anew")

    def close(self) -> None:
        """Let go of the file, and of what was decoded of it to disk."""
        held, self._held = self._held, None
        if held is not None:
            held.reader.close()

    def _answer(self, request: Request) -> Answer:
        if isinstance(request, ImageRequest):
            images = cast("ImageReader", self._open(request.file).reader)
            return images.answer(request, self._ocr(request) if isinstance(request, ReadImage) else None)
        return self._answer_of_pdf(request)

    def _answer_of_pdf(self, request: PdfRequest) -> Counted | Page | Measured | Pixels:
        held = self._open(request.file)
        if isinstance(request, Count):
            return Counted(cast("OpenPdf | RasterFile | PageReader", held.reader).n_pages, held.kind)
        if isinstance(request, ReadPage):
            if isinstance(held.reader, PageReader):
                return held.reader.read_page(request.number)
            pdf = cast("OpenPdf", held.reader)  # pages are asked of engines, pixels of the renderer
            return read_page(pdf, held.engine, request.number, self._ocr(request), self._settings.max_decoded_pixels)
        raster = cast("RasterFile", held.reader)
        if isinstance(request, Measure):
            return Measured(*raster.measure(request.number))
        return Pixels(raster.render(request.number, request.rect, request.px_per_pt))

    def _open(self, file: PdfFile | ImageFile) -> _Held:
        if self._held is None or self._held.file != file:
            self.close()
            self._held = self._opened(file)
        return self._held

    def _opened(self, file: PdfFile | ImageFile) -> _Held:
        if isinstance(file, ImageFile):
            return _Held(file, ImageReader(file), file.engine)
        if file.format == "pdf":
            return _Held(file, *_reader(file))
        from mm_megacontext.layout.flow.open_document import open_document  # not for those who only read PDFs

        opened = open_document(Path(os.fsdecode(file.path)), file.format, self._settings.max_decoded_pixels)
        return _Held(file, opened.reader, "pymupdf", opened.kind)

    def _ocr(self, request: ReadPage | ReadImage) -> Ocr | None:
        if request.ocr is None:
            return None
        executable, languages = request.ocr
        seconds = min(TIMEOUT_SECONDS, _OCR_SHARE * self._settings.seconds)
        return Tesseract(executable, languages, seconds) if executable else NoOcr()


Answer = Counted | Page | Measured | Pixels | Identified | PixelsOpened


def _reader(file: PdfFile) -> tuple[OpenPdf | RasterFile, str]:
    """The file as its engine opens it, and what the engine calls itself. Raises IngestError, MissingExtra."""
    path = Path(os.fsdecode(file.path))
    password = None if file.password is None else file.password.decode("utf-8", "surrogatepass")
    if file.engine == RENDERER:
        from mm_megacontext.layout.engines.pdfium_raster import (
            RasterFile,  # PDFium: not for those who only read with another
        )

        return RasterFile(str(path), password), RENDERER
    try:
        chosen = load_engine(file.engine)
    except MissingExtra:
        raise
    except Exception as e:
        raise IngestError(
            f"the layout engine {file.engine} cannot be loaded ({first_words(e)})",
            source=str(path),
            code="engine_crash",
        ) from e
    return chosen.open(path, password), chosen.name


def serve(end: socket.socket, settings: WorkerSettings) -> None:
    """Answer what comes until the other end closes. The clocks run while a request is worked on, and only then."""
    worker = Worker(settings)
    while True:
        try:
            request = wire.unpack(frames.receive(end, MOST_REQUEST_BYTES), *REQUESTS)
        except EOFError:
            worker.close()
            return
        _start_clocks(settings)
        answer = worker.answer(request)
        data = wire.pack(answer)
        if len(data) > most_bytes(request):
            data = wire.pack(Failure("ingest", "limit_size", f"what was read of it takes {len(data)} bytes: split it"))
        signal.setitimer(signal.ITIMER_REAL, 0)
        frames.send(end, data)


def _start_clocks(settings: WorkerSettings) -> None:
    """The kernel ends this process when a clock runs out; no code of ours or an engine's needs to be able to run."""
    signal.setitimer(signal.ITIMER_REAL, settings.seconds)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = math.ceil(usage.ru_utime + usage.ru_stime + settings.cpu_seconds)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds if hard == resource.RLIM_INFINITY else min(seconds, hard), hard))


def _confine(settings: WorkerSettings) -> None:
    for number in (signal.SIGALRM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    _lower(resource.RLIMIT_AS, settings.memory_bytes)
    _lower(resource.RLIMIT_FSIZE, settings.file_bytes)  # of Tesseract, too
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, _OPEN_FILES)


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))


def run(end: socket.socket, settings: WorkerSettings) -> int:
    """Answer on ``end`` until it closes, within the limits of ``settings``; the exit code."""
    _confine(settings)
    try:
        serve(end, settings)
    except MemoryError:
        return EXIT_NO_MEMORY
    except OSError:
        return 0  # the other end is gone
    return 0
