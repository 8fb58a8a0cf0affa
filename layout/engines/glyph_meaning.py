"""Whether the fonts of a PDF say of their glyphs what these show, and what they should say where they do not.

A font may say of its codes what it likes (ToUnicode), and that is what is searched and copied; what is seen is the
glyph. The glyph's name, by the font's encoding, or the characters that the embedded font itself has it for, tell what
that is. Against them a font is only believed where it may know better: names of embedded fonts are often made up, but
then nearly all of them are. A glyph without ink has no letters; one glyph is no long word.
"""

from __future__ import annotations

import io
import logging
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import pikepdf
from fontTools import agl
from fontTools.ttLib import TTFont

from mm_megacontext.layout.engines.pdf_streams import read_stream
from mm_megacontext.layout.engines.to_unicode import Code, read_map, write_map

# It would warn of tables that are longer than they say, and of dates.
logging.getLogger("fontTools").setLevel(logging.CRITICAL)

_CODECS = {"/WinAnsiEncoding": "cp1252", "/MacRomanEncoding": "mac_roman"}
_OWN_ENCODING = re.compile(r"Symbol|Dingbats|Wingdings|Webdings", re.IGNORECASE)
_TEXT_FONT = re.compile(r"Helvetica|Arial|Times|Courier", re.IGNORECASE)
_SYMBOLIC = 4  # flag of a font whose glyphs are not those of the Latin script
_MOST_LETTERS, _MOST_DIGITS = 3, 2
"""Of one glyph: ``ffi`` is one. Fractions and numbers in circles are told by their signs."""
_NUMBER_SIGN = re.compile(r"\d{1,2}[/\u2044]\d{1,2}|\(?\d{1,2}[.)\u65e5\u6708\u70b9]?")
_UNKNOWN = "\ufffd"
_PAINTS = re.compile(rb"(?:^|[\s\])>])(?:f\*?|F|B\*?|b\*?|S|s|sh|Do|Tj|TJ|'|\"|EI)(?=\s|$)")
_MOST_FONT_BYTES = 32 << 20

Shown = Mapping[Code, frozenset[str]]
"""What the glyphs of codes show, as far as that is known: any of these; an empty text for glyphs without ink."""


def corrected_map(font: pikepdf.Dictionary) -> bytes | None:
    """The ToUnicode map that a font should have, or None where nothing is wrong with its own."""
    data = read_stream(font.get("/ToUnicode"))
    if data is None:
        return None
    told = read_map(data)
    are_named = font.get("/Subtype") != "/Type0"
    codes = {
        code: text
        for code, text in told.items()
        if any(map(_says_much, text)) or (are_named and not text.strip(" \u00a0"))
    }
    shown = _shown(font, codes) if codes else {}
    conflicts = {code for code, text in codes.items() if code in shown and not _agree(text, shown[code])}
    if conflicts and _may_know_better(font) and not _is_believed(shown, told, conflicts):
        conflicts = {code for code in conflicts if shown[code] == {""}}
    wrong = conflicts | {code for code, text in codes.items() if _is_long(text)}
    if not wrong:
        return None
    return write_map({code: _truth(shown.get(code)) if code in wrong else text for code, text in told.items()})


def _truth(shown: frozenset[str] | None) -> str:
    return (min(shown) or " ") if shown else _UNKNOWN


def _says_much(character: str) -> bool:
    """Whether it is a letter or digit as answers are made of: other scripts are told by layers that nobody sees."""
    return character.isascii() and character.isalnum()


def _is_long(text: str) -> bool:
    """Whether a text is more than one glyph can say."""
    letters, digits = sum(map(str.isalpha, filter(str.isascii, text))), sum(map(str.isdigit, text))
    if letters > _MOST_LETTERS:
        return True
    return letters + digits > _MOST_LETTERS or (digits > _MOST_DIGITS and not _NUMBER_SIGN.fullmatch(text))


def _agree(text: str, shown: frozenset[str]) -> bool:
    return any(_plain(text) == _plain(known) for known in shown)


def _plain(text: str) -> str:
    """Its letters and digits, in lower case and one form: signs are told in many ways."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def _may_know_better(font: pikepdf.Dictionary) -> bool:
    """Whether the names of a font's glyphs may be made up: not where others' glyphs are taken by them."""
    return font.get("/Subtype") in ("/Type0", "/Type3") or _program(font) is not None


def _is_believed(shown: Shown, told: Mapping[Code, str], conflicts: set[Code]) -> bool:
    """Whether names and programs are to be believed against a map: those that are made up agree nowhere."""
    known = [code for code in told if code in shown]
    if 2 * len(conflicts) <= len(known) or all(shown[code] == {""} for code in conflicts):
        return True
    said = {_plain(told[code]) for code in conflicts}
    return said == {_plain(min(shown[code])) for code in conflicts}  # the same letters, in another order


def _shown(font: pikepdf.Dictionary, codes: Mapping[Code, str]) -> Shown:
    kind = str(font.get("/Subtype", ""))
    if kind == "/Type0":
        return _shown_by_program(font, codes)
    by_name = _by_name(font, codes)
    if kind == "/Type3":
        return by_name | _blank_drawings(font, codes)
    return by_name


def _by_name(font: pikepdf.Dictionary, codes: Mapping[Code, str]) -> dict[Code, frozenset[str]]:
    """What the names of a simple font's encoding say."""
    encoding = font.get("/Encoding")
    base = encoding.get("/BaseEncoding") if isinstance(encoding, pikepdf.Dictionary) else encoding
    has_base = base is not None or not (_has_own_encoding(font) or _program(font) or font.get("/Subtype") == "/Type3")
    found: dict[Code, frozenset[str]] = {}
    if has_base and not (_program(font) and _is_symbolic(font)):
        codec = _CODECS.get(str(base), "ascii")
        for code in codes:
            text = bytes([code.value & 255]).decode(codec, errors="ignore")
            if text.isprintable() and text:
                found[code] = frozenset({text})
    if isinstance(encoding, pikepdf.Dictionary):
        for value, name in _differences(encoding):
            text = agl.toUnicode(name) if name in agl.AGL2UV or name.startswith("uni") else ""
            code = Code(value, 1)
            found.pop(code, None)
            if text and code in codes:
                found[code] = frozenset({text})
    return found


def _differences(encoding: pikepdf.Dictionary) -> list[tuple[int, str]]:
    found, value = [], 0
    for item in encoding.get("/Differences", ()):
        if isinstance(item, pikepdf.Name):
            found.append((value, str(item)[1:]))
            value += 1
        elif isinstance(item, int):
            value = item
    return found


def _has_own_encoding(font: pikepdf.Dictionary) -> bool:
    name = str(font.get("/BaseFont", ""))
    return bool(_OWN_ENCODING.search(name)) or (_is_symbolic(font) and not _TEXT_FONT.search(name))


def _is_symbolic(font: pikepdf.Dictionary) -> bool:
    descriptor = font.get("/FontDescriptor")
    flags = descriptor.get("/Flags", 0) if isinstance(descriptor, pikepdf.Dictionary) else 0
    return isinstance(flags, int) and bool(flags & _SYMBOLIC)


def _program(font: pikepdf.Dictionary) -> Any:
    """The embedded font program, None where there is none."""
    descriptor = font.get("/FontDescriptor")
    if not isinstance(descriptor, pikepdf.Dictionary):
        return None
    return next((descriptor[key] for key in ("/FontFile", "/FontFile2", "/FontFile3") if key in descriptor), None)


def _blank_drawings(font: pikepdf.Dictionary, codes: Mapping[Code, str]) -> dict[Code, frozenset[str]]:
    """Glyphs of a font of type 3 whose drawings paint nothing."""
    encoding, drawings = font.get("/Encoding"), font.get("/CharProcs")
    if not isinstance(encoding, pikepdf.Dictionary) or not isinstance(drawings, pikepdf.Dictionary):
        return {}
    found = {}
    for value, name in _differences(encoding):
        code = Code(value, 1)
        data = read_stream(drawings.get(f"/{name}")) if code in codes else None
        if data is not None and not _PAINTS.search(data):
            found[code] = frozenset({""})
    return found


def _shown_by_program(font: pikepdf.Dictionary, codes: Mapping[Code, str]) -> dict[Code, frozenset[str]]:
    """What the embedded TrueType font of a composite font has its glyphs for."""
    descendants = font.get("/DescendantFonts")
    if not isinstance(descendants, pikepdf.Array) or not len(descendants):
        return {}
    below: Any = descendants[0]
    if str(font.get("/Encoding")) not in ("/Identity-H", "/Identity-V") or below.get("/Subtype") != "/CIDFontType2":
        return {}
    data = read_stream(_program(below), _MOST_FONT_BYTES)
    to_glyph = _glyph_numbers(below.get("/CIDToGIDMap"))
    if data is None or to_glyph is None:
        return {}
    try:
        with TTFont(io.BytesIO(data), lazy=True) as program:
            return _of_glyphs(program, {code: to_glyph(code.value) for code in codes})
    except Exception:  # a broken font: fontTools has no class for that
        return {}


def _glyph_numbers(entry: Any) -> Callable[[int], int] | None:
    """From CIDs to numbers of glyphs."""
    if entry is None or entry == "/Identity":
        return int
    data = read_stream(entry)
    return None if data is None else lambda cid: int.from_bytes(data[2 * cid : 2 * cid + 2], "big")


def _of_glyphs(program: TTFont, glyphs: Mapping[Code, int]) -> dict[Code, frozenset[str]]:
    characters: dict[str, set[str]] = {}
    for value, name in (program.getBestCmap() or {}).items() if "cmap" in program else ():
        characters.setdefault(name, set()).add(chr(value))
    order, outlines = program.getGlyphOrder(), program.get("glyf", None)
    found: dict[Code, frozenset[str]] = {}
    for code, number in glyphs.items():
        if not 0 <= number < len(order):
            continue
        if outlines is not None and outlines[order[number]].numberOfContours == 0:
            found[code] = frozenset({""})
        elif order[number] in characters:
            found[code] = frozenset(characters[order[number]])
    return found
