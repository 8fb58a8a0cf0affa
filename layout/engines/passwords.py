"""Passwords of PDF files as people type them and as programs stored them."""

from __future__ import annotations

import stringprep
import unicodedata

from mm_megacontext.errors import ErrorCode, IngestError

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def spellings(password: str) -> list[str]:
    """What to try: the password as it is, then as SASLprep (RFC 4013) writes it, which PDF 2.0 asks for.

    Programs that write PDF files follow that or do not; two people who type the same may send different characters.

    Example:
        >>> spellings("plain")
        ['plain']
        >>> spellings("Ⅸ")
        ['Ⅸ', 'IX']
    """
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c)
    )  # other spaces become spaces, soft hyphens and their like nothing
    prepared = unicodedata.normalize("NFKC", mapped)
    is_allowed = not any(is_prohibited(c) for c in prepared for is_prohibited in _PROHIBITED)
    return [password, prepared] if is_allowed and prepared != password else [password]


def wrong_password(source: str, password: str | None) -> IngestError:
    """What is said of an encrypted PDF that ``password`` does not open."""
    code: ErrorCode = "password_wrong" if password else "password_required"
    what = "is wrong: pass the right one" if password else "is needed: pass password=... (in a command: --password)"
    return IngestError(f"the PDF is encrypted and its password {what}", source=source, code=code)
