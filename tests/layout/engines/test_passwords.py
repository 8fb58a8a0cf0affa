"""Passwords with characters that can be written in several ways. Oracle: RFC 4013, and files encrypted by PyMuPDF."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm_megacontext.errors import IngestError
from mm_megacontext.layout.engines.passwords import spellings
from mm_megacontext.layout.engines.protocol import PdfEngine
from mm_megacontext.vision.sources.pdf import PdfRenderer

pymupdf = pytest.importorskip("pymupdf")


@pytest.mark.parametrize(
    ("typed", "prepared"),
    [  # the examples of RFC 4013, section 3
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
    ],
)
def test_the_examples_of_the_standard(typed: str, prepared: str) -> None:
    assert spellings(typed) == ([typed, prepared] if typed != prepared else [typed])


def test_what_the_standard_prohibits_is_only_tried_as_it_is() -> None:
    assert spellings("bell\u0007") == ["bell\u0007"]


@given(st.text())
def test_the_password_itself_comes_first_and_preparing_twice_changes_nothing(password: str) -> None:
    first, *rest = spellings(password)
    assert first == password
    for prepared in rest:
        assert spellings(prepared) == [prepared]


def encrypted(path: Path, password: str) -> Path:
    pdf = pymupdf.open()
    pdf.new_page().insert_text((72, 72), "Secret meeting")
    path.write_bytes(pdf.tobytes(encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw=password, owner_pw="owner"))
    return path


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("p\u00e4ss", unicodedata.normalize("NFD", "p\u00e4ss")),
        ("fine", "\ufb01ne"),
        ("\ufb01ne", "\ufb01ne"),  # stored by a program that does not prepare
        ("\u043f\u0430\u0440\u043e\u043b\u044c", "\u043f\u0430\u0440\u043e\u043b\u044c"),
    ],
)
def test_a_file_opens_however_its_password_is_written(
    stored: str, typed: str, tmp_path: Path, engine: PdfEngine
) -> None:
    path = encrypted(tmp_path / "secret.pdf", stored)
    pdf = engine.open(path, typed)
    assert [word.text for word in pdf.page(1).words] == ["Secret", "meeting"]
    pdf.close()
    assert len(PdfRenderer(path, typed)) == 1
    with pytest.raises(IngestError, match="password is wrong"):
        engine.open(path, typed + "x")
