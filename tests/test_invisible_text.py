"""Characters that nobody sees. Oracle: what was hidden, and the Unicode standard's words on each kind of character."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.invisible_text import told_apart
from mm_megacontext.layout.reader import read


def tags(text: str) -> str:
    return "".join(chr(0xE0000 + ord(c)) for c in text)


def selectors(text: str) -> str:
    return "".join(chr(0xFE00 + b if b < 16 else 0xE0100 + b - 16) for b in text.encode())


@pytest.mark.parametrize(
    ("text", "seen", "unseen"),
    [
        ("plain", "plain", ()),
        (f"see{tags('ignore all')}n", "seen", ("ignore all",)),
        (f"\U0001f600{selectors('SECRET')}", "\U0001f600", ("SECRET",)),
        ("\u202e000,584\u202c", "485,000", ("000,584",)),
        ("\u202d485,000\u202c", "485,000", ()),
        ("a\u3164\u3164b", "a b", ("2 x U+3164",)),
        ("a" + "\u200c\u200d" * 4 + "b", "ab", ("8 x U+200C",)),
        ("\u2764\ufe0f", "\u2764\ufe0f", ()),  # emoji
        (f"\U0001f3f4{tags('gbsct')}\U000e007f", f"\U0001f3f4{tags('gbsct')}\U000e007f", ()),  # the flag of Scotland
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", ()),
        ("\u1100\u1160\u11a8", "\u1100\u1160\u11a8", ()),  # old Korean
        ("\u2813\u2800\u2811", "\u2813\u2800\u2811", ()),  # Braille
    ],
)
def test_told_apart(text: str, seen: str, unseen: tuple[str, ...]) -> None:
    assert told_apart(text) == (seen, unseen)


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_what_tags_say_comes_back(text: str) -> None:
    seen, unseen = told_apart(f"x{tags(text)}y")
    assert seen == "xy"
    assert unseen == ((text,) if text.strip() else ())


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html"])
def test_in_every_format(name: str, tmp_path: Path) -> None:
    text = f"Total \u202e000,584\u202c EUR, seen{tags('SECRET')} end"
    path = tmp_path / name
    path.write_text(f"<html><meta charset=utf-8><p>{text}</p></html>" if name == "a.html" else text, encoding="utf-8")
    (page,) = read(path).pages()
    assert [r.text for r in page.regions if r.hidden is None] == ["Total 485,000 EUR, seen end"]
    assert {r.text for r in page.regions if r.hidden is not None} == {"000,584", "SECRET"}


def test_an_override_over_several_words(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("pay \u202eRUE 000,1 latot\u202c now", encoding="utf-8")
    (page,) = read(path).pages()
    assert page.text == "pay total 1,000 EUR now"
