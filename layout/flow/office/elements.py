"""Elements of office files by their local names, the parts that a part refers to, and the alternatives that are shown.

Files of the strict kind of OOXML have other namespaces than those of the transitional one; local names are the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from lxml import etree

from mm_megacontext.layout.flow.html.source import Element, parse_xml
from mm_megacontext.layout.flow.zip_container import ZipContainer

_UNDERSTOOD = {
    "a14", "p14", "p15", "p159", "wps", "wpg", "wpc", "wpi", "wp14", "w14", "w15", "w16", "w16cid", "w16se", "x14",
    "x15", "m",
}  # fmt: skip
"""Prefixes of extensions whose alternatives programs of today show; of others, such as 3-D models, the picture."""


def local(element: Element) -> str:
    """The name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def child(element: Element | None, *names: str) -> Element | None:
    """The first child by its local name, then its child, and so on; None where there is none."""
    for name in names:
        if element is None:
            return None
        element = next((part for part in element if local(part) == name), None)
    return element


def children(element: Element | None, *names: str) -> Iterator[Element]:
    """The children of these local names."""
    if element is not None:
        yield from (part for part in element if local(part) in names)


def attribute(element: Element | None, name: str) -> str | None:
    """An attribute by its local name."""
    if element is None:
        return None
    value: str | None = element.get(name)
    return value if value is not None else next((v for k, v in element.items() if k.rpartition("}")[2] == name), None)


def number(text: str | None, otherwise: float = 0.0) -> float:
    """A number as an attribute gives it, percent signs included."""
    try:
        value = float((text or "").rstrip("%"))
    except ValueError:
        return otherwise
    if not math.isfinite(value):
        return otherwise
    return value * 1000 if (text or "").endswith("%") else value


def parse_deep(data: bytes) -> Element:
    """The root of a part that may nest elements as deep as it likes. Raises etree.XMLSyntaxError."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, remove_comments=True, remove_pis=True
    )
    return etree.fromstring(data, parser)


def shown_children(element: Element) -> Iterator[Element]:
    """The children of an element, of alternatives those that are shown."""
    for part in element:
        if isinstance(part.tag, str) and local(part) == "AlternateContent":
            chosen = chosen_alternative(part)
            yield from () if chosen is None else shown_children(chosen)
        elif isinstance(part.tag, str):
            yield part


def chosen_alternative(element: Element) -> Element | None:
    """The alternative in ``mc:AlternateContent`` that a program of today shows: a choice before the fallback."""
    for choice in children(element, "Choice"):
        if all(prefix in _UNDERSTOOD for prefix in (choice.get("Requires") or "").split()):
            return choice
    return child(element, "Fallback")


def relations(container: ZipContainer, part: str) -> dict[str, tuple[str, str | None]]:
    """What a part refers to: kind and member by id; the member is None where it is not in the file."""
    found = {}
    for entry in _relationships(container, part):
        target = None if _is_outside(entry) else container.find(part, entry.get("Target") or "")
        found[entry.get("Id") or ""] = ((entry.get("Type") or "").rpartition("/")[2], target)
    return found


def outside_links(container: ZipContainer, part: str) -> dict[str, str]:
    """The addresses outside the file that a part refers to, by id."""
    entries = (entry for entry in _relationships(container, part) if _is_outside(entry))
    return {entry.get("Id") or "": entry.get("Target") or "" for entry in entries}


def _relationships(container: ZipContainer, part: str) -> list[Element]:
    folder, _, name = part.rpartition("/")
    member = f"{folder}/_rels/{name}.rels" if folder else f"_rels/{name}.rels"
    if container.find("", member) is None:
        return []
    return list(children(parse_xml(container.read(member)), "Relationship"))


def _is_outside(entry: Element) -> bool:
    return str(entry.get("TargetMode")) == "External"
