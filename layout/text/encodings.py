"""The encoding of a text that does not say it, guessed from its letters."""

from __future__ import annotations

from charset_normalizer import from_bytes

_LATIN = ("cp1252", "cp1250", "cp1254", "cp1257")
_CANDIDATES = (
    *_LATIN, "cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp874", "shift_jis", "euc_jp", "gb18030", "big5",
    "euc_kr",
)  # fmt: skip
_WESTERN = frozenset("äöüÄÖÜßéèêëÉÈÊàâÀÂçÇñÑíÍáÁóÓúÚìòùïîôûœŒæÆøØåÅãõÃÕýþðÞÐ€’‘“”„–—…«»°§·½¼¾¡¿ºª²³µ±×£©®\u00a0")
_HALF_WIDTH = range(0xFF61, 0xFFA0)
_MOST = 0.3  # of the letters beyond ASCII


def guessed_encoding(data: bytes) -> str | None:
    """The name of the encoding that ``data`` most likely has, or None where it looks like no text."""
    data = data[: data.rfind(b"\n") + 1] or data  # a last character may be cut
    candidates = [name for name in _CANDIDATES if name != "shift_jis" or not _is_half_width(data)]
    best = from_bytes(data, cp_isolation=candidates).best()
    if best is None:
        return "cp1252" if _is_western(data) else None
    return "cp1252" if best.encoding in _LATIN and _is_western(data) else str(best.encoding)


def _is_half_width(data: bytes) -> bool:
    """Whether as Japanese it would be mostly of half-width letters, which nobody writes."""
    beyond = [ord(letter) for letter in data.decode("shift_jis", "replace") if ord(letter) > 127]
    return sum(code in _HALF_WIDTH or code == 0xFFFD for code in beyond) > _MOST * len(beyond)


def _is_western(data: bytes) -> bool:
    """Whether as windows-1252 it has the letters of western Europe, alone among others or few in a row."""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return False
    beyond = [letter for letter in text if ord(letter) > 127]
    return len(beyond) <= _MOST * len(text) and sum(x in _WESTERN for x in beyond) >= 0.95 * len(beyond)
