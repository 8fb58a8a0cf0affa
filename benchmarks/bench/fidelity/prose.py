"""Words, sentences, and paragraphs set in columns."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from bench.fidelity.sheet import FAMILIES, Sheet, Style

ENGLISH = """the of and to in that was for with from this which were their have more after other than water first
between under report section value method system result number against measure during several station river energy
market supply model detail surface figure theory village winter summer harvest council people public letter window
journey account balance contract delivery payment history support machine engine bridge railway harbour island valley
mountain forest garden kitchen teacher student library museum theatre record answer question reason problem solution
evidence witness morning evening night century decade average total annual monthly weekly daily early late small large
narrow wide heavy light simple complex careful sudden certain possible general special common rare modern ancient
northern southern eastern western national local foreign private quiet noisy because although however therefore
meanwhile nevertheless among beyond within without toward across above below beside around through throughout into
onto upon until since while where when what who how many few each every both either neither some any enough""".split()


def word(rng: random.Random) -> str:
    """A word, or now and then a number, date, code or address as documents have them."""
    kind = rng.random()
    if kind < 0.92:
        return rng.choice(ENGLISH)
    return rng.choice(
        [
            f"{rng.randrange(1, 9999)}",
            f"{rng.randrange(1, 999)}.{rng.randrange(10, 99)}",
            f"{rng.randrange(1, 99)}%",
            f"{rng.choice('ABCDEFG')}-{rng.randrange(100, 9999)}",
            f"{rng.randrange(1900, 2030)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}",
            f"{rng.choice(ENGLISH)}@{rng.choice(ENGLISH)}.org",
            f"{rng.choice(ENGLISH)}-{rng.choice(ENGLISH)}",
            f"({rng.choice(ENGLISH)})",
            f"€{rng.randrange(1, 999)}",
            f"na\u00efve caf\u00e9 \u00dcber {rng.choice(ENGLISH)}".split()[rng.randrange(4)],
        ]
    )


def sentence(rng: random.Random) -> list[str]:
    words = [word(rng) for _ in range(rng.randrange(6, 17))]
    words[0] = words[0].capitalize()
    if rng.random() < 0.5:
        words[len(words) // 2] += ","
    words[-1] += "."
    return words


def title(rng: random.Random) -> list[str]:
    return [rng.choice(ENGLISH).capitalize() for _ in range(rng.randrange(2, 6))]


def body_style(rng: random.Random, size: float | None = None) -> Style:
    """A style for running text."""
    size = size or rng.choice([9.0, 10.0, 10.5, 11.0])
    return Style(
        font=rng.choice(list(FAMILIES)),
        size=size,
        leading=round(size * rng.uniform(1.18, 1.4), 1),
        spaced=rng.random() < 0.6,
        justified=rng.random() < 0.5,
    )


def broken(words: Sequence[str], style: Style, width: float, indent: float = 0.0) -> list[list[str]]:
    """The words in lines of at most ``width``."""
    lines: list[list[str]] = [[]]
    left = width - indent
    for text in words:
        needed = style.width(text) + (style.width(" ") if lines[-1] else 0.0)
        if needed > left and lines[-1]:
            lines.append([])
            left = width
            needed = style.width(text)
        lines[-1].append(text)
        left -= needed
    return lines


def paragraph(
    sheet: Sheet, x: float, baseline: float, width: float, words: Sequence[str], style: Style, indent: float = 0.0
) -> float:
    """Set a paragraph; returns the baseline of the line after it."""
    lines = broken(words, style, width, indent)
    for number, line in enumerate(lines):
        start = x + (indent if number == 0 else 0.0)
        room = width - (start - x) - sum(map(style.width, line))
        gap = room / (len(line) - 1) if len(line) > 1 else 0.0
        stretched = style.justified and number < len(lines) - 1 and len(line) > 2
        sheet.line(start, baseline, line, style, gap if stretched and gap < 0.8 * style.size else None)
        baseline += style.leading
    return baseline


def column(sheet: Sheet, rng: random.Random, x: float, width: float, top: float, bottom: float, style: Style) -> float:
    """Fill a column with paragraphs, headings and lists from the baseline ``top``; returns where it ends."""
    indent = rng.choice([0.0, 1.6 * style.size])
    y = top
    while True:
        room = int((bottom - y) // style.leading)
        if room < 4:
            return y
        kind = rng.random()
        if kind < 0.12 and y > top and room > 8:
            y += 0.8 * style.leading
            heading = replace(style.bold, size=style.size * rng.choice([1.0, 1.2]))
            y = paragraph(sheet, x, y, width, title(rng)[:3], heading) + 0.4 * style.leading
        elif kind < 0.22 and room > 6:
            for _ in range(2):
                y = _item(sheet, rng, x, y, width, style)
            y += 0.5 * style.leading
        else:
            words: list[str] = []
            for _ in range(rng.randrange(2, 6)):
                more = words + sentence(rng)
                if len(broken(more, style, width, indent)) > room - 1:
                    break
                words = more
            if not words:
                return y
            y = paragraph(sheet, x, y, width, words, style, indent)
            y += 0.0 if indent else 0.6 * style.leading


def _item(sheet: Sheet, rng: random.Random, x: float, y: float, width: float, style: Style) -> float:
    sheet.line(x, y, ["\u2022"], style)
    hang = 1.4 * style.size
    return paragraph(sheet, x + hang, y, width - hang, sentence(rng)[:8], replace(style, justified=False))
