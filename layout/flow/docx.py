"""A Word document as a flow, through mammoth: headings by their styles, lists, tables, pictures, notes.

Headers, footers and comments are left out. Text that Word does not show, or that is white or tiny, is kept apart.
"""

from __future__ import annotations

import io
import re
import xml.dom.expatbuilder  # noqa: F401  # mammoth needs it when no file can be opened any more
import zipfile

from mm_megacontext.document import HiddenReason
from mm_megacontext.layout.flow.flow import WIDE_SPACE, Flow
from mm_megacontext.layout.flow.html import html_flow
from mm_megacontext.layout.flow.html_source import Element, parse_html, parse_xml
from mm_megacontext.layout.flow.zip_container import ZipContainer

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PARTS = ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml")
_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => h2:fresh
p[style-name='Heading 7'] => h6:fresh
p[style-name='Heading 8'] => h6:fresh
p[style-name='Heading 9'] => h6:fresh
p[style-name='caption'] => figcaption:fresh
p[style-name='Caption'] => figcaption:fresh
br[type='page'] => hr.new-page
"""
# Marks around hidden text that come through mammoth as they are, and what they become in HTML.
_OPEN, _CLOSE = "\ue0f0", "\ue0f4"
_LOOKS: dict[HiddenReason, tuple[str, str]] = {
    "not displayed": ("\ue0f1", "display:none"),
    "no contrast": ("\ue0f2", "color:white"),
    "smaller than 1 pt": ("\ue0f3", "font-size:0"),
}
_MARKED = re.compile(f"{_OPEN}([\ue0f1-\ue0f3])([^{_CLOSE}]*){_CLOSE}")
_OWN_MARKS = dict.fromkeys(range(0xE0F0, 0xE0F5))
_STYLE_OF = {mark: style for mark, style in _LOOKS.values()}


def docx_flow(container: ZipContainer, data: bytes) -> Flow:
    """The contents of a document. Raises ImportError where mammoth is not installed."""
    import mammoth

    container.refuse_doctypes()
    converted = mammoth.convert_to_html(io.BytesIO(_with_hidden_marked(container, data)), style_map=_STYLES)
    text = converted.value.replace("\t", WIDE_SPACE)
    text = _MARKED.sub(lambda m: f'<span style="{_STYLE_OF[m[1]]}">{m[2]}</span>', text)
    root = parse_html(f"<html><body>{text}</body></html>")
    return iter(()) if root is None else html_flow(root, lambda address: None)


def _with_hidden_marked(container: ZipContainer, data: bytes) -> bytes:
    """The same document with marks around text that nobody sees."""
    changed = {name: _marked(container.read(name), container) for name in _PARTS if container.find("", name)}
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        for member in dict.fromkeys(old.namelist()):
            new.writestr(member, changed[member] if member in changed else container.read(member))
    return out.getvalue()


def _marked(part: bytes, container: ZipContainer) -> bytes:
    from lxml import etree

    root = parse_xml(part)
    vanishing = _vanishing_styles(container)
    for run in root.iter(f"{_W}r"):
        why = _why_hidden(run, vanishing)
        for text in run.iter(f"{_W}t"):
            own = (text.text or "").translate(_OWN_MARKS)
            text.text = own if why is None else f"{_OPEN}{_LOOKS[why][0]}{own}{_CLOSE}"
    return bytes(etree.tostring(root, encoding="utf-8", xml_declaration=True))


def _why_hidden(run: Element, vanishing: set[str]) -> HiddenReason | None:
    look = run.find(f"{_W}rPr")
    if look is None:
        return None
    style = look.find(f"{_W}rStyle")
    if _is_on(look.find(f"{_W}vanish")) or (style is not None and style.get(f"{_W}val") in vanishing):
        return "not displayed"
    size = look.find(f"{_W}sz")
    if size is not None and (size.get(f"{_W}val") or "2") in ("0", "1"):  # half points
        return "smaller than 1 pt"
    color = look.find(f"{_W}color")
    if color is not None and (color.get(f"{_W}val") or "").upper() == "FFFFFF" and not _may_be_shaded(run):
        return "no contrast"
    return None


def _may_be_shaded(run: Element) -> bool:
    """Whether something dark may be behind a run: a shade of its own, or of a table, whose style is not looked into."""
    for element in (run, *run.iterancestors()):
        if element.tag in (f"{_W}tbl", f"{_W}txbxContent"):
            return True
        for look in ("rPr", "pPr"):
            if element.find(f"{_W}{look}/{_W}shd") is not None or element.find(f"{_W}{look}/{_W}highlight") is not None:
                return True
    return False


def _vanishing_styles(container: ZipContainer) -> set[str]:
    """The ids of character styles that hide text."""
    if container.find("", "word/styles.xml") is None:
        return set()
    styles = parse_xml(container.read("word/styles.xml")).iter(f"{_W}style")
    return {s.get(f"{_W}styleId") or "" for s in styles if _is_on(s.find(f"{_W}rPr/{_W}vanish"))}


def _is_on(switch: Element | None) -> bool:
    return switch is not None and (switch.get(f"{_W}val") or "true").lower() not in ("0", "false", "off")
