"""Forms: labels beside or above values, printed or filled into fields."""

from __future__ import annotations

import random
from pathlib import Path

from bench.fidelity.prose import body_style, paragraph, sentence, title
from bench.fidelity.sheet import Sheet, Style
from bench.fidelity.truth import TrueFile, TrueWord

_LABELS = (
    "Surname:|First name:|Date of birth:|Street and number:|Postal code:|City:|Country:|Telephone:|E-mail:|"
    "Account number:|Bank:|Amount due:|Reference:|Occupation:|Employer:|Tax number:|Policy number:|Start date:"
).split("|")
_VALUES = (
    "Lovelace|Ada|1815-12-10|12 Analytical Lane|SW1Y 4LB|London|United Kingdom|+44 20 7946 0018|ada@engine.org|"
    "DE89 3704 0044|Harbour Bank|1,250.00 EUR|RF-2024-118|engineer|Babbage and Sons|93-815-08152|POL 4471-B|2026-11-01"
).split("|")


def form(path: Path, rng: random.Random) -> TrueFile:
    """A page of printed labels and values, and one of fields that are filled in."""
    sheet = Sheet(path, rng)
    style = body_style(rng, 10.0)
    _printed(sheet, rng, style)
    _filled(sheet, rng, style)
    return sheet.finish("forms")


def _pairs(rng: random.Random, n: int) -> list[tuple[str, str]]:
    return rng.sample(list(zip(_LABELS, _VALUES, strict=True)), n)


def _printed(sheet: Sheet, rng: random.Random, style: Style) -> None:
    sheet.begin()
    sheet.line(60, 70, title(rng), style.bold.scaled(1.6))
    y = 110.0
    pairs = _pairs(rng, 12)
    step = rng.choice([18.0, 22.0, 26.0])
    two = rng.random() < 0.5
    for i in range(0, 12, 2 if two else 1):
        for k, (label, value) in enumerate(pairs[i : i + (2 if two else 1)]):
            x = 60 + 260 * k
            sheet.line(x, y, label.split(), style)
            at = x + 120
            sheet.line(at, y, value.split(), style)
            if step > 20:
                sheet.rule(at - 3, y + 4, at + 130, y + 4)
        y += step
    paragraph(sheet, 60, y + 20, 480, sentence(rng) + sentence(rng), style)
    sheet.end()


def _filled(sheet: Sheet, rng: random.Random, style: Style) -> None:
    """Text fields with appearance streams, a choice and boxes to tick."""
    sheet.begin()
    sheet.line(60, 70, title(rng), style.bold.scaled(1.6))
    form = sheet.canvas.acroForm
    y = 110.0
    for i, (label, value) in enumerate(_pairs(rng, 9)):
        sheet.line(60, y, label.split(), style)
        x, width, height = 200.0, 240.0, 18.0
        name = f"field{i}"
        options = {"name": name, "x": x, "y": sheet.page.size[1] - y - 5, "width": width, "height": height}
        if i == 8:
            form.choice(value=value, options=[value, "other"], fontSize=10, borderWidth=0.5, **options)
        else:
            form.textfield(value=value, fontSize=10, borderWidth=0.5, **options)
        box = (x, y + 5 - height, x + width, y + 5)
        sheet.page.words += [TrueWord(text, box, is_exact=False) for text in value.split()]
        sheet.page.fields[name] = value
        y += 26
    for i in range(2):
        ticked = i == 0
        form.checkbox(name=f"box{i}", x=60, y=sheet.page.size[1] - y - 2, size=12, checked=ticked, buttonStyle="cross")
        sheet.line(84, y, sentence(rng)[:5], style)
        sheet.page.fields[f"box{i}"] = "Yes" if ticked else "Off"
        y += 24
    sheet.end()
