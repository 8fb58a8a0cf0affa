"""Pages in other scripts: right to left, with ligatures, and without spaces."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from arabic_reshaper import reshape
from bidi.algorithm import get_display

from bench.fidelity.prose import body_style, broken, title
from bench.fidelity.sheet import CJK, Sheet, Style
from bench.fidelity.truth import TrueFile

_ARABIC = (
    "الكتاب على الطاولة في البيت الكبير كانت المدينة القديمة قريبة من البحر وكان الناس يعملون كل يوم حتى المساء ثم "
    "يعودون إلى بيوتهم مع أطفالهم هذا تقرير عن السنة الماضية وفيه أرقام كثيرة عن الماء والطاقة والسوق والمدارس"
).split()
_HEBREW = (
    "הספר על השולחן בבית הגדול העיר העתיקה הייתה קרובה לים והאנשים עבדו כל יום עד הערב ואז חזרו אל בתיהם עם ילדיהם "
    "זה דוח על השנה שעברה ובו מספרים רבים על מים אנרגיה שוק ובתי ספר ילדים מורים רחוב חלון דלת"
).split()
_CHINESE = (
    "本报告说明去年的水资源能源市场和学校的情况城市位于海边人们每天工作到晚上然后回家图表中给出了各地区的数字和比例"
)
_JAPANESE = "この報告書は昨年の水とエネルギーと市場の状況を説明する町は海の近くにあり人々は毎日夕方まで働いて家に帰る"
_LIGATURES = {"ffi": "\ufb03", "ffl": "\ufb04", "ff": "\ufb00", "fi": "\ufb01", "fl": "\ufb02"}
_LIGATURE_WORDS = (
    "office officer efficient affluent difficult fifth flag flow flower reflect field final finance first fiction "
    "offer affair effort different shuffle baffle waffle conflict influence definite profile specific five fly flight"
).split()


def right_to_left(path: Path, rng: random.Random) -> TrueFile:
    """Arabic or Hebrew, with numbers and Latin words in it."""
    sheet = Sheet(path, rng)
    words = rng.choice([_ARABIC, _HEBREW])
    size = rng.choice([11.0, 12.0])
    style = Style(font="DejaVuSans", size=size, leading=1.6 * size, spaced=rng.random() < 0.5)
    sheet.begin()
    y = _rtl(sheet, 540, 80, rng.choices(words, k=4), style.bold.scaled(1.6)) + 20
    while y < 620:
        chosen = [rng.choice(words) for _ in range(rng.randrange(20, 45))]
        for at in range(1, len(chosen) - 1, rng.randrange(8, 20)):  # two in a row would be one run from the left
            chosen[at] = rng.choice([str(rng.randrange(10, 9999)), "PDF"])
        y = _rtl(sheet, 540, y, chosen, style) + 0.8 * style.leading
    sheet.end()
    return sheet.finish("right to left")


def _glyphs(text: str) -> str:
    """The word's glyphs from left to right."""
    return str(get_display(reshape(text)))


def _rtl(sheet: Sheet, right: float, baseline: float, words: Sequence[str], style: Style) -> float:
    """A paragraph from the right margin; the words are written down as they are read."""
    drawn = {text: _glyphs(text) for text in words}
    lines: list[list[str]] = [[]]
    for text in words:
        width = style.width(" ".join(drawn[w] for w in [*lines[-1], text]))
        if width > 470 and lines[-1]:
            lines.append([])
        lines[-1].append(text)
    for line in lines:
        x = right
        for text in line:
            x -= style.width(drawn[text])
            sheet.record(text, x, baseline, style, drawn[text])
            if not style.spaced:
                sheet.paint(x, baseline, drawn[text], style)
            x -= style.width(" ")
        if style.spaced:
            shown = " ".join(drawn[text] for text in reversed(line))
            sheet.paint(right - style.width(shown), baseline, shown, style)
        baseline += style.leading
    return baseline


def ligatures(path: Path, rng: random.Random) -> TrueFile:
    """English whose ligatures are glyphs of their own; a person types the letters."""
    sheet = Sheet(path, rng)
    style = replace(body_style(rng, rng.choice([10.0, 11.0])), font=rng.choice(["DejaVuSans", "DejaVuSerif"]))
    sheet.begin()
    sheet.line(72, 80, title(rng), style.bold.scaled(1.6))
    y = 110.0
    while y < 660:
        words = rng.choices(_LIGATURE_WORDS, k=rng.randrange(25, 50))
        for line in broken(words, style, 460):
            _ligated(sheet, 72, y, line, style)
            y += style.leading
        y += style.leading
    sheet.end()
    return sheet.finish("ligatures")


def _ligated(sheet: Sheet, x: float, baseline: float, words: Sequence[str], style: Style) -> None:
    drawn = []
    at = x
    for text in words:
        glyphs = text
        for letters, glyph in _LIGATURES.items():
            glyphs = glyphs.replace(letters, glyph)
        drawn.append(glyphs)
        sheet.record(text, at, baseline, style, glyphs)
        at += style.width(glyphs) + style.width(" ")
    sheet.paint(x, baseline, " ".join(drawn), style)


def cjk(path: Path, rng: random.Random) -> TrueFile:
    """Chinese or Japanese; the unit of its scores is the character."""
    sheet = Sheet(path, rng)
    alphabet = rng.choice([_CHINESE, _JAPANESE])
    style = Style(font=CJK, size=rng.choice([10.5, 12.0]), leading=19.0)
    sheet.begin()
    sheet.line(72, 84, ["".join(rng.choices(alphabet, k=8))], style.scaled(1.6))
    y = 120.0
    while y < 680:
        text = "".join(rng.choices(alphabet, k=rng.randrange(60, 160))) + "。"
        per_line = int(460 / style.size)
        for start in range(0, len(text), per_line):
            sheet.line(72, y, [text[start : start + per_line]], style)
            y += style.leading
        y += 8
    sheet.end()
    return sheet.finish("Chinese and Japanese")
