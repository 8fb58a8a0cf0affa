"""Writes books and other documents in archives, good ones and hostile ones, from a few lines of script."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping

CONTAINER = """<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">
<rootfiles><rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""


def archive(members: Mapping[str, bytes | str], stored: tuple[str, ...] = ("mimetype",)) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data, zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED)
    return out.getvalue()


def xhtml(body: str, head: str = "") -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml">'
        f"<head><title/>{head}</head><body>{body}</body></html>"
    )


def epub_members(chapters: Mapping[str, str], more: Mapping[str, bytes | str] | None = None) -> dict[str, bytes | str]:
    """The members of a book whose chapters stand in ``OPS/``, in the order of the mapping."""
    items = "".join(
        f'<item id="c{i}" href="{name}" media-type="application/xhtml+xml"/>' for i, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="c{i}"/>' for i in range(len(chapters)))
    package = (
        f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{spine}</spine></package>'
    )
    return {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OPS/book.opf": package,
        **{f"OPS/{name}": text for name, text in chapters.items()},
        **(more or {}),
    }


def epub(chapters: Mapping[str, str], more: Mapping[str, bytes | str] | None = None) -> bytes:
    return archive(epub_members(chapters, more))


def fiction_book(body: str) -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?><FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0">'
        f"<description/><body>{body}</body></FictionBook>"
    )


def xps(font: bytes, pages: list[str]) -> bytes:
    """Fixed pages of 816 x 1056 units (US Letter) with one line of text each."""
    rel = "http://schemas.microsoft.com/xps/2005/06/fixedrepresentation"
    members: dict[str, bytes | str] = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="fdseq" ContentType="application/vnd.ms-package.xps-fixeddocumentsequence+xml"/>'
        '<Default Extension="fdoc" ContentType="application/vnd.ms-package.xps-fixeddocument+xml"/>'
        '<Default Extension="fpage" ContentType="application/vnd.ms-package.xps-fixedpage+xml"/>'
        '<Default Extension="ttf" ContentType="application/vnd.ms-opentype"/></Types>',
        "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="r" Type="{rel}" Target="/seq.fdseq"/></Relationships>',
        "seq.fdseq": '<FixedDocumentSequence xmlns="http://schemas.microsoft.com/xps/2005/06">'
        '<DocumentReference Source="/doc.fdoc"/></FixedDocumentSequence>',
        "doc.fdoc": '<FixedDocument xmlns="http://schemas.microsoft.com/xps/2005/06">'
        + "".join(f'<PageContent Source="/p{n}.fpage"/>' for n in range(len(pages)))
        + "</FixedDocument>",
        "font.ttf": font,
    }
    for n, text in enumerate(pages):
        members[f"p{n}.fpage"] = (
            '<FixedPage xmlns="http://schemas.microsoft.com/xps/2005/06" Width="816" Height="1056" xml:lang="en">'
            f'<Glyphs Fill="#ff000000" FontUri="/font.ttf" FontRenderingEmSize="16" OriginX="96" OriginY="120" '
            f'UnicodeString="{text}"/></FixedPage>'
        )
    return archive(members)


def declaring(data: bytes, name: str, n_bytes: int) -> bytes:
    """The archive, its directory saying that a member unpacks to ``n_bytes``."""
    at = data.index(name.encode(), data.index(b"PK\x01\x02")) - 46 + 24
    return data[:at] + n_bytes.to_bytes(4, "little") + data[at + 4 :]


def mobi(html: bytes) -> bytes:
    """A book of at most 4096 bytes, not compressed, UTF-8."""
    palm_doc = struct.pack(">HHIHHHH", 1, 0, len(html), 1, 4096, 0, 0)
    header = b"MOBI" + struct.pack(">IIII", 232, 2, 65001, 1) + bytes(232 - 20)
    records = [palm_doc + header, html]
    start = 78 + 8 * len(records) + 2
    offsets = [start, start + len(records[0])]
    listing = b"".join(struct.pack(">II", offset, n) for n, offset in enumerate(offsets))
    head = b"book".ljust(32, b"\x00") + bytes(28) + b"BOOKMOBI" + bytes(8) + struct.pack(">H", len(records))
    return head + listing + bytes(2) + b"".join(records)
