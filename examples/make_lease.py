"""Writes examples/lease.pdf: a made-up lease with a form, ruled tables and paragraphs, the file of `make demo`.

Usage: python examples/make_lease.py [OUT.pdf]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pymupdf

WIDTH, HEIGHT = 595.0, 842.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 531.0, 96.0, 780.0
INK, ACCENT, GREY, SHADE = (0.13, 0.13, 0.15), (0.09, 0.25, 0.42), (0.45, 0.47, 0.50), (0.92, 0.94, 0.97)
N_PAGES = 3

TENANCY = [
    ("Lease number", "LA-2025-0417"),
    ("Landlord", "Harrow & Wynn Properties Ltd."),
    ("Tenant", "Maribel Okonkwo"),
    ("Property", "14 Quillon Street, Flat 3B, Dunmore"),
    ("Floor area", "68 square metres"),
    ("Start date", "1 September 2025"),
    ("End date", "31 August 2027"),
    ("Monthly rent", "1,480.00 EUR"),
    ("Security deposit", "2,960.00 EUR"),
    ("Notice period", "90 days"),
]

PAYMENTS = [
    ("Item", "Due", "Amount", "Account"),
    ("Rent", "1st of the month", "1,480.00 EUR", "DM-5521-08"),
    ("Heating", "1st of the month", "96.50 EUR", "DM-5521-08"),
    ("Water", "Quarterly", "61.20 EUR", "DM-5521-11"),
    ("Parking space", "1st of the month", "75.00 EUR", "DM-5521-14"),
    ("Waste collection", "Yearly", "118.00 EUR", "DM-5521-11"),
]

INVENTORY = [
    ("Room", "Item", "Condition", "Quantity"),
    ("Kitchen", "Induction hob", "New", "1"),
    ("Kitchen", "Dining chair", "Good", "6"),
    ("Bedroom", "Wardrobe", "Good", "2"),
    ("Bathroom", "Mirror cabinet", "Scratched", "1"),
    ("Hallway", "Door key", "New", "4"),
    ("Cellar", "Storage shelf", "Worn", "3"),
]

CONTACTS = [
    ("Caretaker", "Tobias Fenn"),
    ("Caretaker phone", "+353 1 555 0142"),
    ("Emergency line", "+353 1 555 0199"),
    ("Meter reading", "Electricity 48213, water 7750"),
]

PARTIES = (
    "This agreement is made between the landlord and the tenant named above. The landlord lets the property to the "
    "tenant as a private home, together with the furniture listed in the inventory on page 3. Both parties have read "
    "the agreement and keep one signed copy each."
)
DEPOSIT = (
    "The security deposit is held in a separate account and is paid back within 30 days of the end of the lease, less "
    "the cost of damage beyond fair wear and tear. A late payment carries a fee of 25.00 EUR for each week begun."
)
REPAIRS = (
    "The tenant reports defects without delay. The landlord repairs heating and hot water within 48 hours, and all "
    "other defects within 14 days. Small repairs up to 100.00 EUR in a single case are borne by the tenant."
)
PETS = (
    "Cats and small animals are welcome. Dogs need the written consent of the landlord, which may be refused only for "
    "a good reason. Smoking is not permitted inside the building."
)
HANDOVER = (
    "The keys are handed over on the start date at 10:00 in the presence of the caretaker. Missing keys are replaced "
    "at a price of 38.00 EUR each."
)


@dataclass
class Writer:
    """Writes down one page; ``y`` is the baseline-to-be, in points from the top."""

    page: pymupdf.Page
    y: float = TOP

    def text(self, x: float, text: str, *, size: float = 10, bold: bool = False, color: Sequence[float] = INK) -> None:
        """Put one line at ``x`` on the current baseline."""
        self.page.insert_text((x, self.y), text, fontsize=size, fontname="hebo" if bold else "helv", color=color)

    def text_right(self, text: str, *, size: float) -> None:
        """Put one grey line against the right margin."""
        self.text(RIGHT - pymupdf.get_text_length(text, fontname="helv", fontsize=size), text, size=size, color=GREY)

    def heading(self, text: str) -> None:
        """A numbered section heading with air above."""
        self.y += 22
        self.text(LEFT, text, size=13, bold=True, color=ACCENT)
        self.y += 20

    def paragraph(self, text: str) -> None:
        """Wrapped text over the full width."""
        box = pymupdf.Rect(LEFT, self.y - 10, RIGHT, BOTTOM)
        left_over = self.page.insert_textbox(
            box, text, fontsize=10, fontname="helv", color=INK, lineheight=1.45, align=pymupdf.TEXT_ALIGN_LEFT
        )
        if left_over < 0:
            raise ValueError(f"paragraph does not fit on the page: {text[:40]}…")
        self.y = BOTTOM - left_over + 8

    def form(self, rows: Sequence[tuple[str, str]]) -> None:
        """Keys left of values, a hairline under each row."""
        for key, value in rows:
            self.text(LEFT + 6, key, color=GREY)
            self.text(LEFT + 150, value, bold=True)
            self.page.draw_line((LEFT, self.y + 7), (RIGHT, self.y + 7), color=SHADE, width=0.8)
            self.y += 22

    def table(self, rows: Sequence[tuple[str, ...]], widths: Sequence[float]) -> None:
        """A fully ruled table; the first row is its header."""
        height = 22.0
        edges = [LEFT]
        for width in widths:
            edges.append(edges[-1] + width)
        top = self.y - 12
        self.page.draw_rect((edges[0], top, edges[-1], top + height), color=None, fill=SHADE)
        for i, row in enumerate(rows):
            self.y = top + i * height + 15
            for x, cell in zip(edges, row, strict=False):
                self.text(x + 6, cell, bold=i == 0)
        bottom = top + len(rows) * height
        for i in range(len(rows) + 1):
            self.page.draw_line((edges[0], top + i * height), (edges[-1], top + i * height), color=GREY, width=0.6)
        for x in edges:
            self.page.draw_line((x, top), (x, bottom), color=GREY, width=0.6)
        self.y = bottom + 14

    def signatures(self, names: Sequence[str]) -> None:
        """A line to sign on for each party, side by side."""
        self.y += 48
        for i, name in enumerate(names):
            x = LEFT + i * 250
            self.page.draw_line((x, self.y - 14), (x + 200, self.y - 14), color=INK, width=0.8)
            self.text(x, name, size=9, color=GREY)


def start_page(document: pymupdf.Document, number: int) -> Writer:
    """A new page with its running header and footer."""
    writer = Writer(document.new_page(width=WIDTH, height=HEIGHT), y=52)
    writer.text(LEFT, "Harrow & Wynn Properties Ltd.", size=9, color=GREY)
    writer.text_right("LA-2025-0417", size=9)
    writer.page.draw_line((LEFT, 60), (RIGHT, 60), color=ACCENT, width=1.2)
    writer.y = 812
    writer.text(LEFT, "Residential lease agreement", size=8, color=GREY)
    writer.text_right(f"Page {number} of {N_PAGES}", size=8)
    writer.y = TOP
    return writer


def make_lease() -> pymupdf.Document:
    """The three pages of the lease."""
    document = pymupdf.open()

    page = start_page(document, 1)
    page.text(LEFT, "Residential Lease Agreement", size=22, bold=True, color=ACCENT)
    page.y += 16
    page.heading("1. The tenancy")
    page.form(TENANCY)
    page.heading("2. The parties")
    page.paragraph(PARTIES)

    page = start_page(document, 2)
    page.heading("3. Payments")
    page.table(PAYMENTS, (137, 120, 110, 100))
    page.heading("4. Deposit and late payment")
    page.paragraph(DEPOSIT)
    page.heading("5. Repairs")
    page.paragraph(REPAIRS)
    page.heading("6. Pets and smoking")
    page.paragraph(PETS)

    page = start_page(document, 3)
    page.heading("7. Inventory")
    page.table(INVENTORY, (117, 150, 110, 90))
    page.heading("8. Handover and contacts")
    page.paragraph(HANDOVER)
    page.y += 14
    page.form(CONTACTS)
    page.signatures(("Harrow & Wynn Properties Ltd.", "Maribel Okonkwo"))

    document.set_metadata({"title": "Residential Lease Agreement", "author": "mm-megacontext examples"})
    return document


def main() -> None:
    """Write the file named on the command line, or the one beside this script."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("lease.pdf")
    with make_lease() as document:
        document.save(out, garbage=4, deflate=True, no_new_id=True)
    print(out)


if __name__ == "__main__":
    main()
