"""One-page PDFs in which a text is hidden, each in its own way, and their like in which it is seen.

Every page says "Total: 485,000". Hidden is "Secret 777999", seen is "Seen 312457"; both are called the words of a case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

VISIBLE = "Total: 485,000"
SECRET, SEEN = "Secret 777999", "Seen 312457"
_Objects = dict[int, bytes]
_RAMP = "/FunctionType 2/Domain[0 1]/N 1"
_STEPS = 40
_LETTERS = b"1 begincodespacerange<00><FF>endcodespacerange"


@dataclass(frozen=True, slots=True)
class Case:
    """A page's content around the words, and what it refers to.

    Attributes:
        content: What is painted; ``{T}`` is where the words are, 12 points high at (72, 500), ``{W}`` the words alone.
        resources: Of the page, beside its font.
        page: More entries of the page's dictionary.
        catalog: More entries of the catalogue's.
        objects: What these refer to, from number 20.
    """

    content: str
    resources: str = ""
    page: str = ""
    catalog: str = ""
    objects: dict[int, bytes] = field(default_factory=dict)


def pdf_of(case: Case, words: str) -> bytes:
    """The file of a case."""
    painted = f"BT /F1 12 Tf 72 500 Td ({words}) Tj ET"

    def filled(text: str) -> str:
        return text.replace("{T}", painted).replace("{W}", words)

    content = f"BT /F1 12 Tf 72 700 Td ({VISIBLE}) Tj ET\n{filled(case.content)}"
    resources = f"/Resources<</Font<</F1 5 0 R{case.resources if case.resources.startswith('/F9') else ''}>>" + (
        "" if case.resources.startswith("/F9") else case.resources
    )
    objects: _Objects = {
        1: f"<</Type/Catalog/Pages 2 0 R{case.catalog}>>".encode(),
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R{resources}>>{case.page}>>".encode(),
        4: stream(content),
        5: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    }
    objects |= {number: _refilled(body, filled) for number, body in case.objects.items()}
    return assemble(objects)


def stream(data: str | bytes, entries: str = "") -> bytes:
    """An object of this content."""
    raw = data.encode("latin-1") if isinstance(data, str) else data
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries.encode(), len(raw), raw)


def _refilled(body: bytes, filled: Callable[[str], str]) -> bytes:
    """An object with the words put in, and its length told anew."""
    if b"{T}" not in body and b"{W}" not in body:
        return body
    text = filled(body.decode("latin-1"))
    if "stream\n" not in text:
        return text.encode("latin-1")
    head, _, rest = text.partition("stream\n")
    data = rest.removesuffix("\nendstream")
    head = head[: head.rindex("/Length ")] + f"/Length {len(data.encode('latin-1'))}>>"
    return f"{head}stream\n{data}\nendstream".encode("latin-1")


def assemble(objects: _Objects) -> bytes:
    """The file."""
    out, offsets = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), {}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start, size = len(out), max(objects) + 1
    out += b"xref\n0 %d\n" % size
    for number in range(size):
        place = b"%010d 00000 n " % offsets[number] if number in offsets else b"%010d 65535 f " % 0
        out += place + b"\n"
    return bytes(out + b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, start))


def _shading(c0: str, c1: str, more: str = "") -> dict[int, bytes]:
    ramp = f"<</ShadingType 2/ColorSpace/DeviceGray/Coords[0 0 612 0]/Extend[true true]{more}"
    return {20: f"{ramp}/Function<<{_RAMP}/C0[{c0}]/C1[{c1}]>>>>".encode()}


def _form(content: str, entries: str = "/BBox[0 0 612 792]") -> dict[int, bytes]:
    return {20: stream(content, f"/Type/XObject/Subtype/Form{entries}/Resources<</Font<</F1 5 0 R>>>>")}


def _annotation(appearance: str, entries: str = "", rect: str = "60 485 260 525") -> dict[int, bytes]:
    return {
        20: f"<</Type/Annot/Subtype/Square/Rect[{rect}]/F 4/AP<</N 21 0 R>>{entries}>>".encode(),
        21: stream(appearance, "/Type/XObject/Subtype/Form/BBox[0 0 200 40]/Resources<</Font<</F1 5 0 R>>>>"),
    }


def _mapped(pairs: dict[str, str], font: str = "/Helvetica/Encoding/WinAnsiEncoding") -> dict[int, bytes]:
    """A font that says of characters what they are to mean."""
    lines = [f"<{ord(shown):02X}> <{meant.encode('utf-16-be').hex()}>".encode() for shown, meant in pairs.items()]
    chunk = b"begincmap " + _LETTERS + b" %d beginbfchar\n%s\nendbfchar endcmap" % (len(lines), b"\n".join(lines))
    return {20: f"<</Type/Font/Subtype/Type1/BaseFont{font}/ToUnicode 21 0 R>>".encode(), 21: stream(chunk)}


def _drawn_font(colour: str, kind: str, meant: str = "") -> dict[int, bytes]:
    """A font of type 3 whose letters are strokes like those of seven-segment displays; ``meant`` is of the letter x."""
    box = f"{colour} 80 0 440 90 re f 80 310 440 90 re f 80 620 440 90 re f 80 0 90 700 re f"
    start = "600 0 d0" if kind == "d0" else "600 0 0 0 600 720 d1"
    drawn = stream(f"{start} {box}")
    codes = sorted(set(SECRET + SEEN) - {" "})
    names = " ".join(f"{ord(c)} /g{ord(c)}" for c in codes)
    drawings = "".join(f"/g{ord(c)} 22 0 R" for c in codes)
    lines = "\n".join(f"<{ord(c):02X}> <{ord(c):04X}>" for c in codes) + "\n<20> <0020>"
    widths = " ".join(["600"] * (ord(codes[-1]) - 31))
    return {
        20: (
            f"<</Type/Font/Subtype/Type3/FontBBox[0 0 600 720]/FontMatrix[0.001 0 0 0.001 0 0]/FirstChar 32"
            f"/LastChar {ord(codes[-1])}/Widths[{widths}]/Encoding<</Type/Encoding/Differences[{names}]>>"
            f"/CharProcs<<{drawings}>>/Resources<<>>/ToUnicode 21 0 R>>"
        ).encode(),
        21: stream(b"begincmap " + _LETTERS + f" {len(codes) + 1} beginbfchar\n{lines}\nendbfchar endcmap".encode()),
        22: drawn if not meant else stream(f"{start} {meant}"),
    }


def _image(grey: str, entries: str = "") -> dict[int, bytes]:
    data = bytes.fromhex(grey)
    size = f"/Width {len(data)}/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8"
    return {20: stream(data, f"/Type/XObject/Subtype/Image{size}{entries}")}


_STATE = "/ExtGState<</G {}>>"
_SHADE, _FORM, _ANNOTATION = "/Shading<</Sh 20 0 R>>", "/XObject<</Fm 20 0 R>>", "/Annots[20 0 R]"
_PAPER, _RAMPED = "1 g 60 490 200 30 re f ", "q 60 490 200 30 re W n /Sh sh Q "
_IMAGE, _DRAWN, _FONT = "/XObject<</Im 20 0 R>>", "BT /F9 12 Tf 72 500 Td ({W}) Tj ET", "/F9 20 0 R"
_LAYER = "/OCProperties<</OCGs[30 0 R]/D<</OFF[30 0 R]>>>>"
_OFF = {30: b"<</Type/OCG/Name(a)>>"}
_OTHER = "BT /F1 12 Tf 72 500 Td (Paid in full) Tj ET"
_TILES = {
    20: stream(
        "0.9 g 0 0 4 4 re f 0.7 g 0 0 2 2 re f",
        "/Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 4 4]/XStep 4/YStep 4/Resources<<>>",
    )
}
_MASK = "<</Type/ExtGState/SMask<</Type/Mask/S/Luminosity/G 20 0 R>>>>"


def _masked(grey: str) -> dict[int, bytes]:
    group = "/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Group<</S/Transparency/CS/DeviceGray>>/Resources<<>>"
    return {20: stream(f"{grey} g 0 0 612 792 re f", group)}


def _on_ramp(shift: float) -> str:
    """The words letter by letter, each as grey as a ramp from 0.2 to 1 is where it stands, or so much darker."""
    letters = []
    for n in range(13):
        grey = max(0.0, 0.2 + 0.8 * (75 + 7 * n) / 612 - shift)
        letters.append(f"{grey:.3f} g BT /F1 12 Tf {72 + 7 * n} 500 Td ({{L{n}}}) Tj ET")
    return _RAMPED + " ".join(letters)


HIDDEN: dict[str, Case] = {
    "white": Case("1 g {T}"),
    "almost white": Case("0.97 g {T}"),
    "not painted": Case("3 Tr {T}"),
    "transparent": Case("/G gs {T}", _STATE.format("<</ca 0>>")),
    "nearly transparent": Case("/G gs {T}", _STATE.format("<</ca 0.03>>")),
    "under a rectangle": Case("{T} 1 g 60 490 200 30 re f"),
    "under a rectangle that is written on": Case("{T} 1 g 60 490 200 30 re f 0 g " + _OTHER),
    "under two half rectangles": Case("{T} 0.9 g 60 490 200 13 re f 0.8 g 60 503 200 17 re f"),
    "under many strips": Case("{T} " + " ".join(f"{0.8 + n % 2 / 9} g 60 {496 + n} 200 1.2 re f" for n in range(18))),
    "under an axial shading": Case("{T} q 60 490 200 30 re W n /Sh sh Q", _SHADE, objects=_shading("0.7", "1")),
    "under a shading that is written on": Case(
        "{T} q 60 490 200 30 re W n /Sh sh Q " + _OTHER, _SHADE, objects=_shading("0.7", "1")
    ),
    "under a radial shading": Case(
        "{T} q 60 490 200 30 re W n /Sh sh Q",
        _SHADE,
        objects={
            20: (
                "<</ShadingType 3/ColorSpace/DeviceGray/Coords[150 500 0 150 500 200]/Extend[true true]"
                f"/Function<<{_RAMP}/C0[1]/C1[0.5]>>>>"
            ).encode()
        },
    ),
    "under a pattern": Case("{T} /Pattern cs /P scn 60 490 200 30 re f", "/Pattern<</P 20 0 R>>", objects=_TILES),
    "under a pattern that is written on": Case(
        "{T} /Pattern cs /P scn 60 490 200 30 re f 0 g " + _OTHER, "/Pattern<</P 20 0 R>>", objects=_TILES
    ),
    "under an image": Case("{T} q 200 0 0 30 60 490 cm /Im Do Q", _IMAGE, objects=_image("f0e0d0c0")),
    "under an inline image": Case("{T} q 200 0 0 30 60 490 cm BI /W 4 /H 1 /CS /G /BPC 8 ID \xf0\xe0\xd0\xc0 EI Q"),
    "under two half inline images": Case(
        "{T} "
        + " ".join(
            f"q 200 0 0 {height} 60 {low} cm BI /W 4 /H 1 /CS /G /BPC 8 ID \xf0\xe0\xd0\xc0 EI Q"
            for low, height in ((490, 13), (503, 17))
        )
    ),
    "under images side by side": Case(
        "{T} " + " ".join(f"q 10 0 0 30 {x} 490 cm /Im Do Q" for x in range(60, 260, 10)),
        _IMAGE,
        objects=_image("f0c0"),
    ),
    "under fat letters": Case("{T} q 2 Tr 3 w BT /F1 13 Tf 72 500 Td (MMMMMMMMMMMMMM) Tj ET Q"),
    "under letters as fat as a bar": Case("{T} q 2 Tr 8 w BT /F1 12 Tf 72 500 Td (HHHHHHHHHHHH) Tj ET Q"),
    "under an annotation": Case("{T}", page=_ANNOTATION, objects=_annotation("1 g 0 0 200 40 re f")),
    "under an annotation that is written on": Case(
        "{T}",
        page=_ANNOTATION,
        objects=_annotation("1 g 0 0 200 40 re f 0 g BT /F1 12 Tf 12 15 Td (Paid in full) Tj ET"),
    ),
    "under a form": Case("{T} /Fm Do", _FORM, objects=_form("1 g 60 490 200 30 re f")),
    "clipped away": Case("q 0 0 5 5 re W n {T} Q"),
    "clipped away over text": Case(_OTHER + " q 0 0 5 5 re W n {T} Q"),
    "clipped away below text": Case("q 0 0 5 5 re W n {T} Q " + _OTHER),
    "clipped to a strip": Case("q 60 501 200 1 re W n {T} Q"),
    "clipped to a thin column": Case("q 73 490 1 30 re W n {T} Q"),
    "clipped to what is outside": Case("q 0 0 612 792 re 60 490 200 30 re W* n {T} Q"),
    "clipped to a hole in a ring": Case("q 50 480 220 50 re 62 492 190 26 re W* n {T} Q"),
    "clipped by two clips": Case("q 60 490 200 30 re W n 300 490 50 30 re W n {T} Q"),
    "clipped by text": Case("q 7 Tr BT /F1 12 Tf 72 300 Td (x) Tj ET 0 Tr {T} Q"),
    "in a form with a tiny box": Case("/Fm Do", _FORM, objects=_form("{T}", "/BBox[0 0 10 10]")),
    "in a form with a tiny box, over text": Case(_OTHER + " /Fm Do", _FORM, objects=_form("{T}", "/BBox[0 0 10 10]")),
    "in a form with a flat box": Case("/Fm Do", _FORM, objects=_form("{T}", "/BBox[0 501 612 502]")),
    "in a form, transparent": Case("/G gs /Fm Do", _FORM + _STATE.format("<</ca 0/CA 0>>"), objects=_form("{T}")),
    "below a mask": Case("/G gs {T}", _STATE.format(_MASK), objects=_masked("0")),
    "white in multiply": Case("/G gs 1 g {T}", _STATE.format("<</BM/Multiply>>")),
    "black in screen": Case(_PAPER + "/G gs 0 g {T}", _STATE.format("<</BM/Screen>>")),
    "black in lighten": Case(_PAPER + "/G gs 0 g {T}", _STATE.format("<</BM/Lighten>>")),
    "black in difference": Case(_PAPER + "/G gs 0 g {T}", _STATE.format("<</BM/Difference>>")),
    "white in darken": Case("/G gs 1 g {T}", _STATE.format("<</BM/Darken>>")),
    "black in colour dodge": Case(_PAPER + "/G gs 0 g {T}", _STATE.format("<</BM/ColorDodge>>")),
    "under white in luminosity": Case("{T} /G gs 1 g 60 490 200 30 re f", _STATE.format("<</BM/Luminosity>>")),
    "white type 3": Case(_DRAWN, _FONT, objects=_drawn_font("1 g", "d0")),
    "type 3 under a rectangle": Case(_DRAWN + " 0.9 g 60 490 200 30 re f", _FONT, objects=_drawn_font("0 g", "d0")),
    "type 3 under a rectangle that is written on": Case(
        _DRAWN + " 1 g 60 490 200 30 re f 0 g " + _OTHER, _FONT, objects=_drawn_font("0 g", "d0")
    ),
    "masked type 3 under a rectangle": Case(_DRAWN + " 0.9 g 60 490 200 30 re f", _FONT, objects=_drawn_font("", "d1")),
    "type 3 without drawings": Case(_DRAWN, _FONT, objects=_drawn_font("", "d0", " ")),
    "type 3 clipped away": Case("q 0 0 5 5 re W n " + _DRAWN + " Q", _FONT, objects=_drawn_font("0 g", "d0")),
    "a space that means it": Case("BT /F9 12 Tf 72 500 Td (a b) Tj ET", _FONT, objects=_mapped({" ": "{W}"})),
    "a bullet that means it": Case("BT /F9 12 Tf 72 500 Td (\x95 one) Tj ET", _FONT, objects=_mapped({"\x95": "{W}"})),
    "a full stop that means it": Case("BT /F9 12 Tf 72 500 Td (.) Tj ET", _FONT, objects=_mapped({".": "{W}"})),
    "a letter that means it": Case("BT /F9 12 Tf 72 500 Td (x) Tj ET", _FONT, objects=_mapped({"x": "{W}"})),
    "digits that mean others": Case(
        "BT /F9 12 Tf 72 500 Td (888111) Tj ET", _FONT, objects=_mapped({"8": "7", "1": "9"})
    ),
    "letters that mean others": Case(
        "BT /F9 12 Tf 72 500 Td (abcdef) Tj ET", _FONT, objects=_mapped(dict(zip("abcdef", "Secret", strict=True)))
    ),
    "a font named by its names": Case(
        "BT /F9 12 Tf 72 500 Td (ab) Tj ET",
        _FONT,
        objects=_mapped({"a": "7", "b": "777999"}, "/Helvetica/Encoding<</Differences[97/one/two]>>"),
    ),
    "in a layer that is off": Case("/OC /L BDC {T} EMC", "/Properties<</L 30 0 R>>", catalog=_LAYER, objects=_OFF),
    "an annotation in a layer that is off": Case(
        "",
        page=_ANNOTATION,
        catalog=_LAYER,
        objects=_annotation("BT /F1 12 Tf 12 15 Td ({W}) Tj ET", "/OC 30 0 R") | _OFF,
    ),
    "a hidden annotation": Case("", page=_ANNOTATION, objects=_annotation("BT /F1 12 Tf 12 15 Td ({W}) Tj ET", "/F 2")),
    "only for printing of none": Case(
        "", page=_ANNOTATION, objects=_annotation("1 g BT /F1 12 Tf 12 15 Td ({W}) Tj ET")
    ),
    "as grey as a steep ramp": Case(_on_ramp(0.0), _SHADE, objects=_shading("0.2", "1")),
    "white among scattered letters": Case("BT /F1 12 Tf 72 500 Td (A          B          C) Tj ET 1 g {T}"),
    "white over struck-through": Case("1 g {T} 0 G 72 504 m 160 504 l S"),
    "white over many lines": Case("1 g {T} 0 G " + " ".join(f"60 {y} m 260 {y} l S" for y in range(490, 520, 3))),
    "tiny": Case("BT /F1 0.5 Tf 72 500 Td ({W}) Tj ET"),
    "squeezed": Case("BT /F1 12 Tf 1 Tz 72 500 Td ({W}) Tj ET"),
    "outside": Case("BT /F1 12 Tf 72 900 Td ({W}) Tj ET"),
}

SHOWN: dict[str, Case] = {
    "plain": Case("{T}"),
    "light grey": Case("0.85 g {T}"),
    "white on black": Case("60 490 200 30 re f 1 g {T}"),
    "white on a dark image": Case("q 200 0 0 30 60 490 cm /Im Do Q 1 g {T}", _IMAGE, objects=_image("10203040")),
    "on an inline image": Case("q 200 0 0 30 60 490 cm BI /W 4 /H 1 /CS /G /BPC 8 ID \xf0\xe0\xd0\xc0 EI Q 0 g {T}"),
    "on a ramp": Case(_RAMPED + "0 g {T}", _SHADE, objects=_shading("0.3", "1")),
    "a little darker than a ramp": Case(_on_ramp(0.2), _SHADE, objects=_shading("0.2", "1")),
    "on a pattern": Case("/Pattern cs /P scn 60 490 200 30 re f 0 g {T}", "/Pattern<</P 20 0 R>>", objects=_TILES),
    "under a transparent rectangle": Case("{T} /G gs 1 1 0 rg 60 490 200 30 re f", _STATE.format("<</ca 0.4>>")),
    "under a highlight": Case("{T} /G gs 1 1 0 rg 60 490 200 30 re f", _STATE.format("<</BM/Multiply>>")),
    "black in multiply": Case("/G gs 0 g {T}", _STATE.format("<</BM/Multiply>>")),
    "white in difference on white": Case(_PAPER + "/G gs 1 g {T}", _STATE.format("<</BM/Difference>>")),
    "half transparent": Case("/G gs {T}", _STATE.format("<</ca 0.4>>")),
    "below a mask that lets it through": Case("/G gs {T}", _STATE.format(_MASK), objects=_masked("1")),
    "an outline": Case("1 Tr 0.4 w {T}"),
    "filled and stroked": Case("2 Tr 0.6 w 1 0 0 RG {T}"),
    "clipped to its place": Case("q 60 490 200 30 re W n {T} Q"),
    "clipped to a ring around a hole elsewhere": Case("q 0 0 612 792 re 300 300 50 50 re W* n {T} Q"),
    "in a form": Case("/Fm Do", _FORM, objects=_form("{T}")),
    "in a form with a box around it": Case("/Fm Do", _FORM, objects=_form("{T}", "/BBox[70 495 200 515]")),
    "type 3": Case(_DRAWN, _FONT, objects=_drawn_font("0 g", "d0")),
    "coloured type 3": Case(_DRAWN, _FONT, objects=_drawn_font("1 0 0 rg", "d0")),
    "white type 3 on black": Case("60 490 200 30 re f " + _DRAWN, _FONT, objects=_drawn_font("1 g", "d0")),
    "masked type 3": Case(_DRAWN, _FONT, objects=_drawn_font("", "d1")),
    "masked type 3 in colour": Case("0 0.3 1 rg " + _DRAWN, _FONT, objects=_drawn_font("", "d1")),
    "in an annotation": Case("", page=_ANNOTATION, objects=_annotation("BT /F1 12 Tf 12 15 Td ({W}) Tj ET")),
    "under an empty annotation": Case("{T}", page=_ANNOTATION, objects=_annotation("1 0 0 RG 1 1 198 38 re S")),
    "in a layer that is on": Case(
        "/OC /L BDC {T} EMC",
        "/Properties<</L 30 0 R>>",
        catalog="/OCProperties<</OCGs[30 0 R]/D<<>>>>",
        objects={30: b"<</Type/OCG/Name(a)>>"},
    ),
    "over a watermark": Case("0.85 g BT /F1 160 Tf 60 470 Td (DRAFT) Tj ET 0 g {T}"),
    "under a light watermark": Case(
        "{T} /G gs 0.5 g BT /F1 160 Tf 60 470 Td (DRAFT) Tj ET", _STATE.format("<</ca 0.3>>")
    ),
    "struck through": Case("{T} 72 504 m 160 504 l S"),
    "underlined and boxed": Case("{T} 72 498 m 160 498 l S 70 495 100 18 re S"),
    "twice, a little apart": Case("{T} BT /F1 12 Tf 72.3 500 Td ({W}) Tj ET"),
    "with a shadow": Case("0.8 g BT /F1 12 Tf 73 499 Td ({W}) Tj ET 0 g {T}"),
    "on a rule of a table": Case("{T} 60 499 m 260 499 l S 60 512 m 260 512 l S 70 490 m 70 520 l S"),
    "cut out of a colour": Case("q 7 Tr {T} 0 0 1 rg 0 0 612 792 re f Q"),
    "cut out of an image": Case("q 7 Tr {T} 612 0 0 792 0 0 cm /Im Do Q", _IMAGE, objects=_image("10203040")),
    "small and yellow": Case("1 1 0 rg BT /F1 8 Tf 72 500 Td ({W}) Tj ET"),
    "a font that says what it shows": Case(
        "BT /F9 12 Tf 72 500 Td ({W}) Tj ET", _FONT, objects=_mapped({c: c for c in "Seen312457 "})
    ),
    "a font of ligatures": Case(
        "BT /F9 12 Tf 72 500 Td ({W} \x01) Tj ET",
        _FONT,
        objects=_mapped({"\x01": "ffi"}, "/Helvetica/Encoding<</BaseEncoding/WinAnsiEncoding/Differences[1/ffi]>>"),
    ),
    "turned": Case("BT /F1 12 Tf 0 1 -1 0 300 400 Tm ({W}) Tj ET"),
    "slanted": Case("BT /F1 12 Tf 1 0.05 -0.05 1 72 500 Tm ({W}) Tj ET"),
    "in large letters": Case("BT /F1 60 Tf 72 500 Td ({W}) Tj ET"),
    "in small letters": Case("BT /F1 4 Tf 72 500 Td ({W}) Tj ET"),
}


def lettered(case: Case, words: str) -> Case:
    """A case with the words' letters put in one by one, where it has places for them."""
    content = case.content
    for n, letter in enumerate(words.ljust(13)):
        content = content.replace(f"{{L{n}}}", letter)
    return Case(content, case.resources, case.page, case.catalog, case.objects)
