"""Pixels come from the file that was ingested, or not at all. Oracle: the bytes that were looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mm_megacontext import source_file
from mm_megacontext.errors import IngestError
from mm_megacontext.source_file import UnchangedFiles, locate, look_at


def test_a_file_is_read_once_and_again_when_it_was_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"one")
    first = look_at(path).content_hash
    looks: list[Any] = []

    def counted(path: str) -> source_file.SourceFile:
        looks.append(path)
        return look_at(path)

    monkeypatch.setattr(source_file, "look_at", counted)
    files = UnchangedFiles()
    for _ in range(5):
        files.check(str(path), first)
    assert len(looks) == 1
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    with pytest.raises(IngestError, match="the file has changed since it was ingested: ingest it again") as caught:
        files.check(str(path), first)
    assert caught.value.code == "source_changed"
    path.write_bytes(b"one")
    files.check(str(path), first)
    path.unlink()
    with pytest.raises(IngestError, match="no such file"):
        files.check(str(path), first)


@pytest.mark.parametrize("path", ["/dev/zero", "/", "/proc/self/mem", "nul\0"])
def test_what_is_no_file_is_not_read(path: str) -> None:
    with pytest.raises(IngestError):
        UnchangedFiles().check(path, "0" * 64)


def test_a_loop_of_links_and_a_name_of_other_bytes_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(IngestError, match="is a loop of symbolic links"):
        look_at(locate(tmp_path / "a"))
    with pytest.raises(IngestError, match="is not UTF-8"):
        locate(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    (tmp_path / "c").symlink_to("file")
    (tmp_path / "file").touch()
    assert locate(tmp_path / "c") == (tmp_path / "file").resolve()
