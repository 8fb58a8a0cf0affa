"""What is wrong in a PDF so that every engine would read what nobody sees, and how the open document is put right.

The file stays as it is. Looked for are fonts that lie about their glyphs, see ``glyph_meaning``, and annotations in
layers that are off, which PDFium paints all the same.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pikepdf

from mm_megacontext.layout.engines.glyph_meaning import corrected_map
from mm_megacontext.layout.engines.passwords import spellings

_MAX_DEPTH = 8  # of dictionaries in one object, down to fonts that are not objects of their own
_HIDDEN = 2  # flag of an annotation


class Correction(NamedTuple):
    """The ToUnicode map of a font: the number of the object that it is in, the keys that lead to it from there."""

    number: int
    keys: tuple[str, ...]
    to_unicode: bytes


def find_corrections(path: Path, password: str | None) -> list[Correction]:
    """The maps that are to be put right; none in a file that pikepdf cannot open."""
    pdf = _open(path, password)
    if pdf is None:
        return []
    with pdf:
        return list(_corrections(pdf))


def corrected_copy(path: Path, password: str | None) -> bytes | None:
    """The file with all put right and without encryption, None where nothing is to be."""
    pdf = _open(path, password)
    if pdf is None:
        return None
    with pdf:
        found = list(_corrections(pdf))
        for number, keys, data in found:
            font: Any = pdf.get_object(number, 0)
            for key in keys:
                font = font[key]
            font["/ToUnicode"] = pdf.make_stream(data)
        if not _hide_in_layers(pdf) and not found:
            return None
        copy = io.BytesIO()
        pdf.save(copy, encryption=False)
        return copy.getvalue()


def _open(path: Path, password: str | None) -> pikepdf.Pdf | None:
    for spelling in spellings(password or ""):
        with suppress(pikepdf.PasswordError, pikepdf.PdfError, RuntimeError, ValueError, OSError):
            return pikepdf.open(path, password=spelling, suppress_warnings=True)
    return None


def _corrections(pdf: pikepdf.Pdf) -> Iterator[Correction]:
    for item in pdf.objects:
        if not isinstance(item, pikepdf.Dictionary | pikepdf.Stream):
            continue
        for keys, font in _fonts(item, ()):
            with suppress(pikepdf.PdfError, RuntimeError, ValueError, TypeError, KeyError, AttributeError):
                data = corrected_map(font)
                if data is not None:
                    yield Correction(item.objgen[0], keys, data)


def _fonts(item: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], pikepdf.Dictionary]]:
    """The fonts with maps in one object, those in what it holds without reference too."""
    if "/ToUnicode" in item:
        yield keys, item
    if len(keys) >= _MAX_DEPTH:
        return
    for key in item.keys() if not keys or not isinstance(item, pikepdf.Stream) else ():
        if key not in ("/Parent", "/ToUnicode"):
            value = item.get(key)
            if isinstance(value, pikepdf.Dictionary) and not value.is_indirect:
                yield from _fonts(value, (*keys, key))


def _hide_in_layers(pdf: pikepdf.Pdf) -> bool:
    """Hide the annotations in layers that are off; whether there are any."""
    off = _layers_off(pdf)
    changed = False
    for item in pdf.objects if off else ():
        if isinstance(item, pikepdf.Dictionary) and "/Rect" in item and _objgen(item.get("/OC")) in off:
            item["/F"] = int(item.get("/F", 0)) | _HIDDEN
            changed = True
    return changed


def _layers_off(pdf: pikepdf.Pdf) -> set[tuple[int, int]]:
    """The layers that are off by the file's own configuration."""
    layers: Any = pdf.Root.get("/OCProperties")
    chosen: Any = layers.get("/D") if isinstance(layers, pikepdf.Dictionary) else None
    if not isinstance(chosen, pikepdf.Dictionary):
        return set()
    off = {_objgen(layer) for layer in chosen.get("/OFF", ())}
    if chosen.get("/BaseState") == "/OFF":
        on = {_objgen(layer) for layer in chosen.get("/ON", ())}
        off |= {_objgen(layer) for layer in layers.get("/OCGs", ())} - on
    return off - {(0, 0)}


def _objgen(item: Any) -> tuple[int, int]:
    return item.objgen if isinstance(item, pikepdf.Object) else (0, 0)
