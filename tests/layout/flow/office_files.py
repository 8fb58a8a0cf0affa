"""Office files for tests: Word documents from a body in XML, and changes to files that libraries wrote."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from mm_megacontext.layout.reader import read

_SPACES = " ".join(
    f'xmlns:{prefix}="{uri}"'
    for prefix, uri in {
        "w": "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
        "r": "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
        "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
        "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
        "v": "urn:schemas-microsoft-com:vml",
        "w14": "http://schemas.microsoft.com/office/word/2010/wordml",
        "wp": "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing",
        "wps": "http://schemas.microsoft.com/office/word/2010/wordprocessingShape",
        "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
        "pic": "http://schemas.openxmlformats.org/drawingml/2006/picture",
    }.items()
)
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml"


def docx_file(path: Path, body: str, styles: str = "", links: str = "", parts: Mapping[str, str] | None = None) -> Path:
    """A Word document.

    Args:
        path: Where it goes.
        body: What is in ``w:body``.
        styles: What is in ``w:styles``.
        links: More relationships of the document.
        parts: More parts, by name.
    """
    members = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{_WORD}.document.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="d" '
        f'Type="{_OFFICE}/officeDocument" Target="word/document.xml"/></Relationships>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="s" '
        f'Type="{_OFFICE}/styles" Target="styles.xml"/>{links}</Relationships>',
        "word/document.xml": f"<w:document {_SPACES}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": f"<w:styles {_SPACES}>{styles}</w:styles>",
        **{name: text.replace("SPACES", _SPACES) for name, text in (parts or {}).items()},
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def link(identity: str, kind: str, target: str, more: str = "") -> str:
    """A relationship of a part."""
    return f'<Relationship Id="{identity}" Type="{_OFFICE}/{kind}" Target="{target}" {more}/>'


def changed(path: Path, changes: Mapping[str, tuple[str, str] | str]) -> Path:
    """The same file with members changed: one text put in the place of another, or all of the member."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    for name, change in changes.items():
        if isinstance(change, str):
            members[name] = change.encode()
        else:
            assert change[0].encode() in members[name], (name, change[0])
            members[name] = members[name].replace(change[0].encode(), change[1].encode())
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members.items():
            new.writestr(name, data)
    return path


def told(path: Path) -> tuple[str, dict[str, str]]:
    """What is shown of a file, and what is not, with the reasons."""
    regions = [region for page in read(path).pages() for region in page.regions]
    shown = "\n".join(region.text for region in regions if region.hidden is None and region.text)
    return shown, {region.text: region.hidden for region in regions if region.hidden is not None}
