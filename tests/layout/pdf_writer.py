"""A small PDF writer, so that the tests know exactly where everything stands. Coordinates: origin top-left, points."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

FONTS = {"Helvetica": "F1", "Helvetica-Bold": "F2", "Times-Roman": "F3"}
_PAD = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")
_ID = b"0123456789abcdef"


@dataclass
class PdfPage:
    """One page; ``size`` and all coordinates are those before rotation."""

    size: tuple[float, float] = (612.0, 792.0)
    rotate: int = 0
    crop: tuple[float, float, float, float] | None = None
    ops: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    """Entries of annotation dictionaries, without their place."""

    def mark(self, x0: float, y0: float, x1: float, y1: float, entries: str) -> None:
        """An annotation: a widget of a form, a note, or a link."""
        h = self.size[1]
        self.marks.append(f"/Type /Annot /Rect [{x0} {h - y1} {x1} {h - y0}] {entries}")

    def text(self, x: float, baseline: float, text: str, size: float = 10.0, font: str = "Helvetica") -> None:
        escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        self.ops.append(f"BT /{FONTS[font]} {size} Tf {x} {self.size[1] - baseline} Td ({escaped}) Tj ET")

    def runs(self, x: float, baseline: float, runs: list[tuple[str, float, float]]) -> None:
        """Text, size and rise of what follows on one line."""
        shown = " ".join(f"/F1 {size} Tf {rise} Ts ({text}) Tj" for text, size, rise in runs)
        self.ops.append(f"BT {x} {self.size[1] - baseline} Td {shown} 0 Ts ET")

    def turned_text(self, x: float, baseline: float, text: str, size: float = 10.0) -> None:
        """Text that runs up the page."""
        self.ops.append(f"BT /F1 {size} Tf 0 1 -1 0 {x} {self.size[1] - baseline} Tm ({text}) Tj ET")

    def line(self, x0: float, y0: float, x1: float, y1: float, width: float = 0.5) -> None:
        h = self.size[1]
        self.ops.append(f"{width} w {x0} {h - y0} m {x1} {h - y1} l S")

    def grid(self, xs: list[float], ys: list[float]) -> None:
        for y in ys:
            self.line(xs[0], y, xs[-1], y)
        for x in xs:
            self.line(x, ys[0], x, ys[-1])

    def image(self, x0: float, y0: float, x1: float, y1: float) -> None:
        self.ops.append(f"q {x1 - x0} 0 0 {y1 - y0} {x0} {self.size[1] - y1} cm /Im Do Q")


def pdf_bytes(pages: list[PdfPage], *, password: str | None = None, metadata: str = "") -> bytes:
    """The file, encrypted with 40-bit RC4 where a password is given.

    ``metadata`` is its title, stands in its XMP, and is what a program keeps for itself of each page.
    """
    key, encrypt = (b"", b"") if password is None else _encryption(password)
    n_fixed = 4 + len(FONTS)
    layer = n_fixed + 2 * len(pages)  # switched off
    layers = f"/OCProperties << /OCGs [{layer} 0 R] /D << /OFF [{layer} 0 R] >> >>"
    mark_numbers = iter(range(layer + 1, layer + 1 + sum(len(page.marks) for page in pages)))
    marks = [[(next(mark_numbers), entries) for entries in page.marks] for page in pages]
    fields = " ".join(f"{n} 0 R" for own in marks for n, entries in own if "/Widget" in entries)
    form = f"/AcroForm << /Fields [{fields}] /DA (/Helv 10 Tf) >>" if fields else ""
    xmp = layer + 1 + sum(len(page.marks) for page in pages)
    packet = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><title>{metadata}</title></x:xmpmeta>".encode()
    about = f"/Metadata {xmp} 0 R" if metadata else ""
    objects: dict[int, bytes] = {1: f"<< /Type /Catalog /Pages 2 0 R {layers} {form} {about} >>".encode()}
    if metadata:
        objects[xmp] = _stream(b"/Type /Metadata /Subtype /XML", packet, key, xmp)
        objects[xmp + 1] = f"<< /Title ({metadata}) /Keywords ({metadata}) >>".encode()
        encrypt += b" /Info %d 0 R" % (xmp + 1)
    objects |= {n: f"<< {entries} >>".encode() for own in marks for n, entries in own}
    objects[layer] = b"<< /Type /OCG /Name (off) >>"
    kids = " ".join(f"{n_fixed + 2 * i} 0 R" for i in range(len(pages)))
    objects[2] = f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode()
    for number, (font, _) in enumerate(FONTS.items(), start=3):
        objects[number] = f"<< /Type /Font /Subtype /Type1 /BaseFont /{font} /Encoding /WinAnsiEncoding >>".encode()
    image = 3 + len(FONTS)
    objects[image] = _stream(
        b"/Type /XObject /Subtype /Image /Width 2 /Height 2 /ColorSpace /DeviceGray /BitsPerComponent 8",
        b"\x00\x80\xc0\xff",
        key,
        image,
    )
    fonts = " ".join(f"/{name} {3 + i} 0 R" for i, name in enumerate(FONTS.values()))
    for i, page in enumerate(pages):
        number = n_fixed + 2 * i
        width, height = page.size
        crop = ""
        if page.crop is not None:
            x0, y0, x1, y1 = page.crop
            crop = f"/CropBox [{x0} {height - y1} {x1} {height - y0}]"
        objects[number] = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] {crop} /Rotate {page.rotate} "
            f"{f'/PieceInfo << /Writer << /Private ({metadata}) >> >>' if metadata else ''} "
            f"/Resources << /Font << {fonts} >> /XObject << /Im {image} 0 R >> "
            f"/ExtGState << /Clear << /ca 0 /CA 0 >> >> /Properties << /Off {layer} 0 R >> >> "
            f"/Contents {number + 1} 0 R /Annots [{' '.join(f'{n} 0 R' for n, _ in marks[i])}] >>"
        ).encode()
        objects[number + 1] = _stream(b"", "\n".join(page.ops).encode("cp1252"), key, number + 1)
    return _assemble(objects, encrypt)


def _stream(entries: bytes, data: bytes, key: bytes, number: int) -> bytes:
    if key:
        data = _rc4(hashlib.md5(key + number.to_bytes(3, "little") + b"\x00\x00").digest()[:10], data)
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (entries, len(data), data)


def _assemble(objects: dict[int, bytes], encrypt: bytes) -> bytes:
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number in sorted(objects):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, objects[number])
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, encrypt, start)
    return bytes(out)


def _encryption(password: str) -> tuple[bytes, bytes]:
    """The file key and the trailer entries (PDF 32000-1, 7.6.3, revision 2)."""
    padded = (password.encode() + _PAD)[:32]
    owner = _rc4(hashlib.md5(padded).digest()[:5], padded)
    permissions = (-4).to_bytes(4, "little", signed=True)
    key = hashlib.md5(padded + owner + permissions + _ID).digest()[:5]
    user = _rc4(key, _PAD)
    entries = b"/ID [<%s> <%s>] /Encrypt << /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P -4 >>"
    return key, entries % (_ID.hex().encode(), _ID.hex().encode(), owner.hex().encode(), user.hex().encode())


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
