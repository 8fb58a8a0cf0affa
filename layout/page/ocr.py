"""Scanned pages as words, through Tesseract: an open-source program (Apache 2.0) that is used where it is installed.

Source: Smith (2007), An overview of the Tesseract OCR engine; its TSV output has words with boxes and confidence.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mm_megacontext.document import Box, clean_text
from mm_megacontext.errors import ErrorCode, MissingExtra
from mm_megacontext.layout.engines.protocol import RawWord

DPI = 300
"""Resolution at which pages are rendered for it; what Tesseract's models were made for."""
MIN_CONFIDENCE = 0.3
"""Words below it are specks and lines taken for letters, unless there is nothing but such."""
TIMEOUT_SECONDS = 120.0
"""For one page."""

_LINE, _WORD = "4", "5"  # levels of the TSV output
_INSTALL = "install Tesseract (Debian and Ubuntu: apt install tesseract-ocr), or read with ocr off"


class OcrFailed(Exception):
    """A page could not be read; the message says why, ``code`` says so to programs."""

    def __init__(self, message: str, code: ErrorCode = "ocr_failed") -> None:
        super().__init__(message)
        self.code = code


class Ocr(Protocol):
    """Reads images of pages."""

    def words(self, grey: npt.NDArray[np.uint8]) -> list[RawWord]:
        """The words of an image (height, width), their boxes in pixels; also those it is not sure of.

        Raises:
            OcrFailed: It cannot be read.
        """
        ...


class NoOcr:
    """Stands where OCR is wanted and not installed, so that scans are not left out in silence."""

    def words(self, grey: npt.NDArray[np.uint8]) -> list[RawWord]:
        raise OcrFailed(f"a scan, and nothing to read it with: {_INSTALL}", "ocr_unavailable")


@dataclass(frozen=True, slots=True)
class Tesseract:
    """Reads grey images.

    Attributes:
        executable: Path of the program.
        languages: Of the texts, as Tesseract names them, joined by "+".
        timeout_seconds: For one page.
    """

    executable: str
    languages: str = "eng"
    timeout_seconds: float = TIMEOUT_SECONDS

    def words(self, grey: npt.NDArray[np.uint8]) -> list[RawWord]:
        """See ``Ocr.words``; also fails where Tesseract takes too long."""
        from PIL import Image  # for those who have scans

        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, format="PNG", compress_level=1)
        rows = csv.DictReader(io.StringIO(self._run(buffer.getvalue())), delimiter="\t", quoting=csv.QUOTE_NONE)
        return list(_words(rows))

    def _run(self, png: bytes) -> str:
        command = [self.executable, "stdin", "stdout", "-l", self.languages, "--dpi", str(DPI), "--psm", "3", "tsv"]
        # On pages, its threads wait for each other longer than they work.
        environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
        try:
            done = subprocess.run(
                command, input=png, capture_output=True, timeout=self.timeout_seconds, env=environment, check=False
            )
        except subprocess.TimeoutExpired as e:
            raise OcrFailed(f"Tesseract took more than {self.timeout_seconds:g} s") from e
        except OSError as e:
            raise OcrFailed(f"Tesseract cannot be started ({e.strerror or e})") from e
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise OcrFailed(f"Tesseract failed ({said[-1] if said else f'exit code {done.returncode}'})")
        return done.stdout.decode(errors="replace")


def find_ocr(wanted: str) -> Ocr | None:
    """What reads scans.

    Args:
        wanted: ``"auto"``: Tesseract in English, if it is installed; ``"off"``: nothing, scans stay pictures; or
            Tesseract's languages, such as ``"eng+deu"``.

    Raises:
        MissingExtra: Languages were named and Tesseract or one of them is not installed.
    """
    if wanted == "off":
        return None
    executable = shutil.which("tesseract")
    if wanted == "auto":
        return Tesseract(executable) if executable is not None and "eng" in _installed(executable) else NoOcr()
    if executable is None:
        raise MissingExtra(f"OCR in {wanted} is not there: {_INSTALL}")
    missing = set(wanted.split("+")) - _installed(executable)
    if missing:
        names = ", ".join(sorted(missing))
        have = ", ".join(sorted(_installed(executable))) or "none"
        raise MissingExtra(f"Tesseract has no language {names} (it has: {have}): install tesseract-ocr-{min(missing)}")
    return Tesseract(executable, wanted)


@cache
def _installed(executable: str) -> frozenset[str]:
    """The languages that Tesseract has."""
    try:
        done = subprocess.run([executable, "--list-langs"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    return frozenset(done.stdout.decode(errors="replace").split("\n")[1:]) - {""}


def without_specks(words: Iterable[RawWord]) -> list[RawWord]:
    """Words without those that are specks and lines taken for letters."""
    return [word for word in words if (word.confidence or 0.0) >= MIN_CONFIDENCE]


def _words(rows: csv.DictReader[str]) -> Iterator[RawWord]:
    line, size, upright = -1, 0.0, True
    for row in rows:
        box = _box(row)
        if row["level"] == _LINE:
            width, height = box[2] - box[0], box[3] - box[1]
            line, size, upright = line + 1, min(width, height), width >= height
        text = clean_text(row["text"] or "").strip()
        confidence = float(row["conf"]) / 100
        if row["level"] == _WORD and text:
            yield RawWord(*box, text, size, False, upright, line, confidence=confidence)


def _box(row: dict[str, str]) -> Box:
    left, top, width, height = (float(row[name]) for name in ("left", "top", "width", "height"))
    return (left, top, left + width, top + height)
