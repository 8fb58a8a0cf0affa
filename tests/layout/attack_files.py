"""Writes hostile PDFs, each from a few lines of script: five pages of which the third, or the file, is an attack.

Pages that are not attacked read "Page N holds value 7N". Nothing here is random but ``mutated``, which is seeded.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable

Objects = dict[int, bytes]

N_PAGES = 5
BAD_PAGE = 3
_PAGES, _FONT = 2, 3
_FIRST_PAGE, _FIRST_CONTENT, _SPARE = 10, 20, 30


def good_text(number: int) -> str:
    return f"Page {number} holds value {7 * number}"


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d %s>>stream\n%s\nendstream" % (len(data), entries, data)


def page(number: int, more: bytes = b"", box: bytes = b"0 0 612 792", resources: bytes = b"") -> bytes:
    return b"<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>%s>>%s>>" % (
        box,
        _FIRST_CONTENT + number,
        resources,
        more,
    )


def good_objects() -> Objects:
    """A catalogue, a page tree, a font and five pages: what the attacks change."""
    kids = b" ".join(b"%d 0 R" % (_FIRST_PAGE + n) for n in range(1, N_PAGES + 1))
    objects = {
        1: b"<</Type/Catalog/Pages 2 0 R>>",
        _PAGES: b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, N_PAGES),
        _FONT: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    }
    for number in range(1, N_PAGES + 1):
        objects[_FIRST_PAGE + number] = page(number)
        objects[_FIRST_CONTENT + number] = stream(b"BT /F1 12 Tf 72 700 Td (%s) Tj ET" % good_text(number).encode())
    return objects


def assemble(objects: Objects, trailer: bytes = b"", before: bytes = b"") -> bytes:
    """A file; ``before`` comes ahead of the header, ``trailer`` into the trailer's dictionary."""
    out = bytearray(before + b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    offsets = {}
    for number, body in objects.items():
        offsets[number] = len(out) - len(before)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out) - len(before)
    size = max(objects) + 1
    out += b"xref\n0 %d\n" % size
    for number in range(size):
        out += b"%010d 00000 n \n" % offsets[number] if number in offsets else b"0000000000 65535 f \n"
    out += b"trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, start)
    return bytes(out)


def good() -> bytes:
    return assemble(good_objects())


def changed(**new: bytes) -> bytes:
    """The good file with other objects; ``content`` and ``page`` are those of the bad page, ``o7`` is object 7."""
    objects = good_objects()
    for name, body in new.items():
        places = {"content": _FIRST_CONTENT + BAD_PAGE, "page": _FIRST_PAGE + BAD_PAGE, "catalog": 1, "pages": _PAGES}
        objects[places[name] if name in places else int(name[1:])] = body
    return assemble(objects)


def deflate_bomb() -> bytes:
    """A content stream of 4 GB in 20 KB: deflated twice."""
    inner = inflating(b" " * (1 << 24), 256)
    return changed(content=stream(zlib.compress(inner, 9), b"/Filter[/FlateDecode/FlateDecode]"))


def inflating(piece: bytes, times: int) -> bytes:
    """What zlib inflates to ``piece``, so many times, without deflating it more than twice. The checksum is wrong."""
    packer = zlib.compressobj(9)
    first = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)  # refers to nothing before it
    return first + again * (times - 1) + packer.flush()


def huge_image() -> bytes:
    """60 000 x 60 000 pixels of three samples, 10.8 GB, all of one value."""
    image = stream(
        zlib.compress(inflating(bytes(18_000_000), 600), 9),
        b"/Type/XObject/Subtype/Image/Width 60000/Height 60000/ColorSpace/DeviceRGB/BitsPerComponent 8"
        b"/Filter[/FlateDecode/FlateDecode]",
    )
    return changed(
        page=page(BAD_PAGE, resources=b"/XObject<</Im 30 0 R>>"),
        o30=image,
        content=stream(b"BT /F1 12 Tf 72 700 Td (Words) Tj ET q 400 0 0 400 72 200 cm /Im Do Q"),
    )


def form(content: bytes, resources: bytes) -> bytes:
    return stream(content, b"/Type/XObject/Subtype/Form/BBox[0 0 612 792]/Resources<<%s>>" % resources)


def form_that_draws_itself() -> bytes:
    return changed(
        page=page(BAD_PAGE, resources=b"/XObject<</Fm 30 0 R>>"),
        o30=form(b"/Fm Do", b"/XObject<</Fm 30 0 R>>"),
        content=stream(b"BT /F1 12 Tf 72 700 Td (Words) Tj ET /Fm Do"),
    )


def billion_forms() -> bytes:
    """Ten forms, each drawing the next one ten times."""
    new = {f"o{_SPARE + i}": form(b"/Fm Do " * 10, b"/XObject<</Fm %d 0 R>>" % (_SPARE + i + 1)) for i in range(10)}
    new[f"o{_SPARE + 10}"] = form(b"0 0 9 9 re f", b"")
    return changed(
        page=page(BAD_PAGE, resources=b"/XObject<</Fm 30 0 R>>"),
        content=stream(b"BT /F1 12 Tf 72 700 Td (Words) Tj ET /Fm Do"),
        **new,
    )


def tree_that_holds_itself() -> bytes:
    return changed(pages=b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 5>>")


def outline_without_end() -> bytes:
    return changed(
        catalog=b"<</Type/Catalog/Pages 2 0 R/Outlines 30 0 R>>",
        o30=b"<</Type/Outlines/First 31 0 R/Last 31 0 R/Count 1>>",
        o31=b"<</Title(a)/Parent 31 0 R/First 31 0 R/Next 31 0 R/Prev 31 0 R/Dest[13 0 R/Fit]>>",
    )


def deep_nesting() -> bytes:
    """Arrays a hundred thousand deep, where a parser may use its stack."""
    deep = b"[" * 100_000 + b"]" * 100_000
    return changed(page=page(BAD_PAGE, b"/Deep %s" % deep), content=stream(b"/F1 12 Tf %s TJ" % deep))


def count_of(count: int) -> Callable[[], bytes]:
    def write() -> bytes:
        return good().replace(b"/Count 5", b"/Count %d" % count)

    return write


def counts_too_small() -> bytes:
    """Pages in two branches, one of them in a list of its own; each branch says that it has one page."""
    return changed(
        pages=b"<</Type/Pages/Kids[30 0 R 31 0 R]/Count 2>>",
        o30=b"<</Type/Pages/Parent 2 0 R/Kids[11 0 R 12 0 R 13 0 R]/Count 1>>",
        o31=b"<</Type/Pages/Parent 2 0 R/Kids 32 0 R/Count 1>>",
        o32=b"[14 0 R 15 0 R]",
    )


def no_pages() -> bytes:
    return changed(pages=b"<</Type/Pages/Kids[]/Count 0>>")


def box_of(box: bytes) -> Callable[[], bytes]:
    return lambda: changed(page=page(BAD_PAGE, box=box))


def numbers_without_sense() -> bytes:
    """Matrices and coordinates that are infinite, or no numbers."""
    return changed(
        content=stream(
            b"q 1e308 0 0 1e308 1e308 1e308 cm BT /F1 1e300 Tf 1e38 -1e38 Td (Words) Tj ET Q nan inf m -inf 1 l S "
            b"99999999999999999999999999999 0 0 1 0 0 cm BT /F1 12 Tf 72 700 Td (Words) Tj ET 1e999 0 9 9 re f"
        )
    )


def many_lines() -> bytes:
    """Two million short strokes."""
    strokes = zlib.compress(b"10 10 m 600 700 l S\n" * 2_000_000, 9)
    return changed(content=stream(strokes, b"/Filter/FlateDecode"))


def xref_that_points_to_itself() -> bytes:
    data = assemble(good_objects(), trailer=b"/Prev 0000000000")
    start = data.rindex(b"xref\n0 ")
    return data.replace(b"/Prev 0000000000", b"/Prev %010d" % start)


def broken_encryption() -> bytes:
    return assemble(good_objects(), trailer=b"/Encrypt<</Filter/Standard/V 5/R 6/Length 99999999/P -4/O()/U()>>")


def broken_font() -> bytes:
    noise = random.Random(1).randbytes(5_000)
    return changed(
        page=page(BAD_PAGE, resources=b"/Dummy 0").replace(b"/F1 3 0 R", b"/F1 30 0 R"),
        o30=b"<</Type/Font/Subtype/TrueType/BaseFont/Bad/FirstChar 32/LastChar 126/FontDescriptor 31 0 R>>",
        o31=b"<</Type/FontDescriptor/FontName/Bad/Flags 32/FontFile2 32 0 R>>",
        o32=stream(b"\x00\x01\x00\x00" + noise),
    )


def broken_image() -> bytes:
    noise = random.Random(2).randbytes(5_000)
    image = b"/Type/XObject/Subtype/Image/Width 900/Height 900/ColorSpace/DeviceGray/BitsPerComponent 8/Filter/%s"
    return changed(
        page=page(BAD_PAGE, resources=b"/XObject<</A 30 0 R/B 31 0 R/C 32 0 R/D 33 0 R>>"),
        o30=stream(noise, image % b"JPXDecode"),
        o31=stream(noise, image % b"JBIG2Decode"),
        o32=stream(b"\xff\xd8\xff\xe0" + noise, image % b"DCTDecode"),
        o33=stream(noise, image % b"CCITTFaxDecode"),
        content=stream(b"BT /F1 12 Tf 72 700 Td (Words) Tj ET /A Do /B Do /C Do /D Do"),
    )


def _to_unicode(text: str) -> bytes:
    """A character map by which every letter means ``text``."""
    code = text.encode("utf-16-be").hex().encode()
    return stream(
        b"/CIDInit/ProcSet findresource begin 12 dict begin begincmap/CMapName/X def/CMapType 2 def\n"
        b"1 begincodespacerange<00><ff>endcodespacerange\n"
        b"95 beginbfchar\n" + b"\n".join(b"<%02x><%s>" % (c, code) for c in range(32, 127)) + b"\nendbfchar\n"
        b"endcmap end end"
    )


def letters_that_mean(text: str) -> Callable[[], bytes]:
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding/ToUnicode 30 0 R>>"
    return lambda: changed(o3=font, o30=_to_unicode(text))


def active(url: str, marker: str) -> bytes:
    """Everything that asks a viewer to act: at opening, on a page, on a link; ``marker`` is a file to be made."""
    there, program = url.encode(), f"touch {marker}".encode()
    script = b"<</S/JavaScript/JS(app.launchURL('%s'); this.submitForm('%s');)>>" % (there, there)
    launch = b"<</S/Launch/F(/bin/sh)/Unix<</F(/bin/sh)/P(-c '%s')>>/Win<</F(sh)/P(%s)>>>>" % (program, program)
    actions = [
        script,
        launch,
        b"<</S/URI/URI(%s)>>" % there,
        b"<</S/GoToR/F<</FS/URL/F(%s)>>/D[0/Fit]>>" % there,
        b"<</S/SubmitForm/F<</FS/URL/F(%s)>>/Flags 4>>" % there,
        b"<</S/ImportData/F(%s)>>" % marker.encode(),
    ]
    links = b" ".join(
        b"<</Type/Annot/Subtype/Link/Rect[72 %d 300 %d]/A %s>>" % (600 - 20 * i, 615 - 20 * i, action)
        for i, action in enumerate(actions)
    )
    chain = actions[0]
    for action in actions[1:]:
        chain = action[:-2] + b"/Next " + chain + b">>"
    return changed(
        catalog=b"<</Type/Catalog/Pages 2 0 R/OpenAction %s/AA<</WC %s>>/Names<</EmbeddedFiles<</Names["
        b"(../../../../../%s) 40 0 R]>>/JavaScript<</Names[(x) %s]>>>>>>"
        % (chain, script, marker.encode().lstrip(b"/"), script),
        page=page(BAD_PAGE, b"/AA<</O %s/C %s>>/Annots[%s]" % (chain, chain, links)),
        o40=b"<</Type/Filespec/F(../../../../../%s)/UF(..\\\\..\\\\x)/EF<</F 41 0 R>>>>" % marker.encode().lstrip(b"/"),
        o41=stream(b"#!/bin/sh\n" + program, b"/Type/EmbeddedFile"),
    )


def content_in_another_file(secret: str) -> bytes:
    """A page whose content, and an image whose samples, are said to stand in a file of the reader's machine."""
    place = secret.encode()
    return changed(
        page=page(BAD_PAGE, resources=b"/XObject<</Im 30 0 R>>"),
        content=b"<</Length 0/F(%s)>>stream\n\nendstream" % place,
        o30=b"<</Type/XObject/Subtype/Image/Width 9/Height 9/ColorSpace/DeviceGray/BitsPerComponent 8/Length 0"
        b"/F<</Type/Filespec/F(%s)>>>>stream\n\nendstream" % place,
    )


def polyglot(head: bytes) -> Callable[[], bytes]:
    return lambda: assemble(good_objects(), before=head)


def mutated(seed: int, of: bytes) -> bytes:
    """A file with one to thirty changes: bytes, runs, numbers and pieces that moved."""
    rng = random.Random(seed)
    data = bytearray(of)
    for _ in range(rng.randint(1, 30)):
        at = rng.randrange(len(data))
        match rng.randrange(5):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                data[at : at + rng.randint(1, 40)] = rng.randbytes(rng.randint(0, 40))
            case 2:
                digits = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
                if digits:
                    data[rng.choice(digits)] = rng.choice(b"0123456789-.")
            case 3:
                other = rng.randrange(len(data))
                data[at:at] = data[other : other + rng.randint(1, 200)]
            case 4:
                del data[at : at + rng.randint(1, 200)]
    return b"%PDF-1.7\n" + bytes(data)
