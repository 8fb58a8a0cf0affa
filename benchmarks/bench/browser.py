"""A browser as the judge of what is seen on an HTML page: it sets the page, and every text is looked for in the pixels.

The page is drawn once as it is and once with some of its texts made to leave no ink (by the CSS Custom Highlight API,
which moves nothing). Where that changes no pixel, the text is not seen, for whatever reason. The page stays without
scripts, network and files: scripts are off, every request but the one for the page itself is refused, and it is shown
under an address that leads nowhere.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import sync_playwright

from mm_megacontext.document import Box
from mm_megacontext.layout.page.visibility import MIN_CONTRAST, MIN_SIZE_PT

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""What the browser may be called on the path of programs, where Playwright has none of its own."""

_ADDRESS = "http://document.invalid/"
_WIDTH, _HEIGHT = 1280, 800
_MAX_HEIGHT = 20_000  # pixels of a page that are looked at
_MAX_TURNS = 40  # drawings of one page: texts over one another are looked for one by one
_PX_PER_PT = 4 / 3
_TIMEOUT_MS = 20_000
_ARGUMENTS = (
    "--disable-gpu", "--disable-extensions", "--disable-background-networking", "--disable-sync", "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-remote-fonts-from-network", "--force-color-profile=srgb",
    "--hide-scrollbars", "--disable-dev-shm-usage",
)  # fmt: skip

_COLLECT = (Path(__file__).with_name("browser_texts.js")).read_text()


@dataclass(frozen=True, slots=True)
class SeenText:
    """A text of the page, and whether it is seen."""

    text: str
    is_seen: bool


class Browser:
    """A running browser."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    def judge(self, data: bytes) -> list[SeenText]:
        """Set a page and say which of its texts are seen, in order."""
        context = self._browser.new_context(
            java_script_enabled=False,
            viewport={"width": _WIDTH, "height": _HEIGHT},
            service_workers="block",
            accept_downloads=False,
            color_scheme="light",
        )
        try:
            return _judged(context.new_page(), data)
        finally:
            context.close()


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser for as long as the block lasts. Needs Playwright, and a browser of it or on the path of programs."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_program(),
            args=list(_ARGUMENTS),
            chromium_sandbox=os.geteuid() != 0,  # Chromium has no sandbox for root
        )
        try:
            yield Browser(browser)
        finally:
            browser.close()


def _program() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name)) is not None), None)


def _judged(page: Any, data: bytes) -> list[SeenText]:
    def answer(route: Any) -> None:
        if route.request.url == _ADDRESS and route.request.is_navigation_request():
            route.fulfill(status=200, body=data, headers={"content-type": "text/html"})
        else:
            route.abort()

    page.route("**/*", answer)
    page.goto(_ADDRESS, wait_until="load", timeout=_TIMEOUT_MS)
    found = page.evaluate(_COLLECT)
    seen = _seen(page, found["texts"], min(_MAX_HEIGHT, found["height"]))
    return [SeenText(t["text"], is_seen) for t, is_seen in zip(found["texts"], seen, strict=True)]


def _seen(page: Any, texts: list[Any], height: int) -> list[bool]:
    """Which texts leave ink."""
    boxes = [[b for b in text["boxes"] if _is_on(b, height) and _is_large(b)] for text in texts]
    seen = [False] * len(texts)
    plain = _drawn(page, height)
    again = _drawn(page, height)
    steady = np.abs(plain - again).max(axis=2) < MIN_CONTRAST  # what moves by itself proves nothing
    waiting = [i for i, found in enumerate(boxes) if found and not texts[i]["masked"]]
    for _ in range(_MAX_TURNS):
        if not waiting:
            break
        turn = _apart(waiting, boxes)
        page.evaluate("turn => window.mmctx.blank(turn)", turn)
        ink = (np.abs(_drawn(page, height) - plain).max(axis=2) >= MIN_CONTRAST) & steady
        for i in turn:
            seen[i] = any(_has_ink(ink, box) for box in boxes[i])
        waiting = [i for i in waiting if i not in set(turn)]
    page.evaluate("() => window.mmctx.blank([])")
    return seen


def _is_on(box: Box, height: int) -> bool:
    return box[2] > 0 and box[3] > 0 and box[0] < _WIDTH * 2 and box[1] < height


def _is_large(box: Box) -> bool:
    """Whether a line of text can be read, by its height, which is a little more than the size of its letters."""
    return box[3] - box[1] >= MIN_SIZE_PT * _PX_PER_PT * 1.1 and box[2] - box[0] >= 1


def _apart(waiting: list[int], boxes: list[list[Box]]) -> list[int]:
    """As many of the texts as stand apart from each other."""
    turn: list[int] = []
    taken: dict[tuple[int, int], list[Box]] = {}
    for i in waiting:
        if not any(_meet(box, other) for box in boxes[i] for place in _places(box) for other in taken.get(place, ())):
            turn.append(i)
            for box in boxes[i]:
                for place in _places(box):
                    taken.setdefault(place, []).append(box)
    return turn


def _places(box: Box) -> Iterator[tuple[int, int]]:
    for x in range(int(box[0]) // 128, min(int(box[2]), 4 * _WIDTH) // 128 + 1):
        for y in range(int(box[1]) // 64, min(int(box[3]), _MAX_HEIGHT) // 64 + 1):
            yield x, y


def _meet(a: Box, b: Box) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > 1 and min(a[3], b[3]) - max(a[1], b[1]) > 1


def _has_ink(ink: npt.NDArray[np.bool_], box: Box) -> bool:
    x0, y0, x1, y1 = (max(0, int(edge)) for edge in (box[0], box[1], box[2] + 1, box[3] + 1))
    found = ink[y0:y1, x0:x1]
    return bool(found.size) and int(found.any(axis=1).sum()) >= 2 and int(found.any(axis=0).sum()) >= 2


def _drawn(page: Any, height: int) -> npt.NDArray[np.int16]:
    data = page.screenshot(
        clip={"x": 0, "y": 0, "width": 2 * _WIDTH, "height": height},
        full_page=True,
        animations="disabled",
        caret="hide",
        timeout=_TIMEOUT_MS,
    )
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int16)
