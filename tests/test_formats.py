"""HTML from file to drawn evidence, with the model of the package. Oracle: the words that the page shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pymupdf")

from mm_megacontext.document import union
from mm_megacontext.layout.reader import read
from mm_megacontext.memory import MegaContext

PAGE = """<!doctype html><style>.x {{ display: none }}</style><h1>Lease</h1><p>Of a flat in Dunmore.</p>{hidden}
<table><tr><td>Tenant<td>Maribel Okonkwo<tr><td>Monthly rent<td>1,480.00 EUR<tr><td>Notice period<td>90 days</table>
"""
HIDDEN = "<p class=x>Monthly rent: 1.00 EUR</p>"


@pytest.mark.parametrize("hidden", ["", HIDDEN], ids=["as it is", "with hidden text"])
def test_a_page_is_asked_and_its_evidence_drawn(hidden: str, tmp_path: Path) -> None:
    path = tmp_path / "lease.html"
    path.write_text(PAGE.format(hidden=hidden))
    with MegaContext.open(tmp_path / "memory") as memory:
        (source,) = memory.ingest(path).ingested
        assert (source.kind, source.pages, source.statuses.failed) == ("html", 1, 0)
        answer = memory.ask("What is the monthly rent?", budget=256)
        picture = np.asarray(answer.show().convert("RGB"))
    assert answer.text == "1,480.00 EUR"
    (page,) = read(path).pages()
    table = next(region.table for region in page.regions if region.table is not None)
    (cell,) = [cell for cell in table.cells if cell.text == answer.text]
    boxes = [evidence.bbox for evidence in answer.evidence]
    assert union(boxes) == pytest.approx(union([line.bbox for line in cell.lines]), abs=1.0)
    assert picture.std() > 1, "a page that holds nothing would be of one colour"
