"""The pages of a stored document as images, and the quad-trees of the figures on them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import TracebackType

from mm_megacontext.document import Box, Page, Region, SourceKind
from mm_megacontext.limits import IngestLimits
from mm_megacontext.tree.nodes import NodeRow
from mm_megacontext.vision.gists.tile_gister import Gist, TileGister
from mm_megacontext.vision.quadtree.build import build_image_nodes, build_thumbnail_row
from mm_megacontext.vision.sources.frame import IMAGE_FRAME, PDF_FRAME, Frame
from mm_megacontext.vision.sources.isolated import IsolatedImage
from mm_megacontext.vision.sources.pdf import CELL_PX, PdfPageSource, PdfRenderer
from mm_megacontext.vision.sources.source import ImageSource, crop

MAX_THUMBNAIL_PX = 2 * CELL_PX
"""On a side of the page: what is at hand after its figures were read (A2 at 144 dpi)."""
_OPEN_PAGES = 2
"""Pages kept at hand; figures of one page are read one after the other."""


def has_pixels(kind: SourceKind) -> bool:
    """Whether pages of such a source can be looked at: all but text, which has no pages of its own."""
    return kind not in ("text", "markdown")


class PageImages:
    """Opens the pages of a document or image when they are asked for and keeps the last few.

    Args:
        uri: Path of the file.
        kind: "image", or of a document whose pages can be rendered.
        password: For encrypted PDFs.
        limits: What is refused; of PDF pages, those with more than ``max_decoded_pixels``. And what rendering may take.

    Raises:
        ValueError: Documents of this kind have no pixels.
    """

    def __init__(
        self, uri: str, kind: SourceKind, *, password: str | None = None, limits: IngestLimits | None = None
    ) -> None:
        if not has_pixels(kind):
            raise ValueError(f"only pages and images have pixels, {uri} is of kind {kind!r}")
        self._uri, self._kind, self._password, self._limits = uri, kind, password, limits or IngestLimits()
        self._renderer: PdfRenderer | None = None
        self._pages: OrderedDict[int, ImageSource] = OrderedDict()

    @property
    def frame(self) -> Frame:
        """Frame of a whole page."""
        return IMAGE_FRAME if self._kind == "image" else PDF_FRAME

    def page(self, number: int) -> ImageSource:
        """A whole page, from 1; what ``read_leaf_pixels`` takes. Raises IngestError."""
        if number not in self._pages:
            if len(self._pages) == _OPEN_PAGES:
                self._pages.popitem(last=False)
            self._pages[number] = self._open(number)
        self._pages.move_to_end(number)
        return self._pages[number]

    def region(self, number: int, bbox: Box) -> tuple[ImageSource, Frame] | None:
        """A rectangle of a page, grown to whole pixels, and where it lies; None if it holds no pixel of the page.

        Raises:
            IngestError: The page cannot be opened.
        """
        page = self.page(number)
        rect = self.frame.pixels_in(bbox, page.size)
        if rect is None:
            return None
        return crop(page, rect), replace(self.frame, origin_px=rect[:2])

    def close(self) -> None:
        """Let go of the file."""
        for source in self._pages.values():
            if isinstance(source, IsolatedImage):
                source.close()
        self._pages.clear()
        self._renderer = None

    def __enter__(self) -> PageImages:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _open(self, number: int) -> ImageSource:
        if self._kind == "image":
            return IsolatedImage(self._uri, self._limits, page=number)
        if self._renderer is None:
            self._renderer = PdfRenderer(self._uri, self._password, self._limits, self._kind)
        return PdfPageSource(self._uri, number, self._renderer)


class PageFigures:
    """Quad-trees of figures and scans, as the tree builder asks for them.

    Args:
        images: The pages of the document.
        tile_gister: Makes the gists; one for all documents recognises what repeats between them.
    """

    def __init__(self, images: PageImages, tile_gister: TileGister) -> None:
        self._images, self._tile_gister = images, tile_gister

    def open(self, number: int) -> None:
        """Make sure that a page can be opened. Raises IngestError."""
        self._images.page(number)

    def rows(
        self, page: Page, region: Region, *, t: int, index_start: int, done: Sequence[NodeRow] = ()
    ) -> Iterator[NodeRow]:
        """Rows of a region in post-order, root last; none for a region outside its page. Raises IngestError.

        Args:
            done: Roots of the subtrees that were made before: see ``build_image_nodes``.
        """
        found = self._images.region(page.number, region.bbox)
        if found is not None:
            source, frame = found
            yield from build_image_nodes(
                source, self._tile_gister, page=page.number, frame=frame, t=t, index_start=index_start, done=done
            )

    def thumbnail(self, page: Page, *, t: int, index: int) -> NodeRow | None:
        """The whole page as one tile; None for a page so large that it would be rendered once more for it.

        Raises:
            IngestError: It cannot be rendered.
        """
        source = self._images.page(page.number)
        if max(source.size) > MAX_THUMBNAIL_PX:
            return None
        return build_thumbnail_row(
            source, self._tile_gister, page=page.number, frame=self._images.frame, t=t, index=index
        )

    def of_gists(self, gists: Sequence[Gist], n_leaves: Sequence[int]) -> Gist:
        """The gist of figures that stand together: of four and four of them, as in a quad-tree, until one is left."""
        while len(gists) > 1:
            fours = [slice(i, i + 4) for i in range(0, len(gists), 4)]
            gists = [self._tile_gister.gister.of_gists(gists[four], n_leaves[four]) for four in fours]
            n_leaves = [sum(n_leaves[four]) for four in fours]
        return gists[0]
