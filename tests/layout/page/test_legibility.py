"""Text that nobody can read. Oracles: texts that people write, and what is left where fonts name no letters."""

from __future__ import annotations

import numpy as np
import pytest

from mm_megacontext.layout.engines.protocol import RawPage
from mm_megacontext.layout.page import from_pdf as pdf_page
from mm_megacontext.layout.page.legibility import is_illegible
from mm_megacontext.layout.page.ocr import Ocr
from tests.layout.page.test_disagreement import LANGUAGES, TRUE, _Pdf, _Reads, words

SIGNS = "@ ! 3 & $ % @ > ! % % ' % & $ @ > ! (@>!) & & + %3 % & . & %"  # a subset font without ToUnicode
SCRIPTS = "ΰԔϸЇ ဍഀඥ һӍΉʽী ܅ȥರ өҧဍರ ໙ʷকȥ " * 4  # several writings in a word
FORM = "Name: ________ Date: ____ ☐ yes ☐ no ☐ yes ☐ no ☐ yes ☐ no Total: ------ 5 % of 20 - 30 % = 10 + 2 " * 2


@pytest.mark.parametrize(
    ("text", "illegible"),
    [
        *((text * 2, False) for text in LANGUAGES.values()),
        ("港務局保存 所有已繳費 船隻的名單 EDTA抗凝血 TシャツとCD 2021年 " * 4, False),
        ("कुल राशि का भुगतान पहले कार्य दिवस पर देय है " * 3, False),
        ("Угол α между Hα-линией и осью ГАЗ-24A 5 µm " * 3, False),
        (FORM, False),
        ("12.50 - 3 % 14.00 - 5 % 9.75 + 2 % 1 000 000 + 12 % " * 3, False),
        ("$ 1,234 $ 2,345 - - $ 17 $ 1,250 - - " * 3, False),
        (SIGNS, True),
        (SCRIPTS, True),
        ("% & $ @", False),  # too little to tell
    ],
)
def test_signs_and_mixed_scripts_are_no_text(text: str, illegible: bool) -> None:
    assert is_illegible(words(text)) == illegible


def read_signs(ocr: Ocr | None) -> tuple[str | None, str]:
    grey = np.full((800, 600), 255, dtype=np.uint8)
    grey[2:7, ::3] = 0  # every word of ``words`` has ink
    raw = RawPage(1, (600.0, 800.0), words(SIGNS), [], [], [], raster=lambda scale: grey)
    page = pdf_page.read_page(_Pdf(raw), "played", 1, ocr, 10**7)
    assert page.status == "degraded"
    return page.code, page.text


def test_ocr_reads_what_the_file_does_not_say() -> None:
    code, text = read_signs(_Reads(" ".join(TRUE)))
    assert (code, text.split()) == ("text_illegible", " ".join(TRUE).split())


def test_without_ocr_the_signs_stay_and_are_told() -> None:
    code, text = read_signs(None)
    assert (code, text.split()) == ("text_illegible", SIGNS.split())


def test_ocr_that_fails_is_told_instead() -> None:
    code, text = read_signs(_Reads(""))
    assert (code, text.split()) == ("ocr_failed", SIGNS.split())
