"""Fetching with an ``apt-get`` and a ``dpkg-deb`` made here: no test reaches a network."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from mm_megacontext.eval.real_documents.fetch import FetchFailed, fetch
from mm_megacontext.eval.real_documents.manifest import RealDocument

CONTENT = {"plain": b"%PDF of the first", "packed": b"%PDF of the second"}
PLAIN, PACKED = "usr/share/doc/pair/plain.pdf", "usr/share/doc/pair/packed.pdf.gz"


@pytest.fixture
def documents() -> list[RealDocument]:
    return [
        RealDocument(
            name=name,
            package="pair",
            version="2:1.0-3",
            path=path,
            sha256=hashlib.sha256(CONTENT[name]).hexdigest(),
            n_pages=1,
            kind="note",
            licence="none",
        )
        for name, path in [("plain", PLAIN), ("packed", PACKED)]
    ]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the package holds; its commands are the only ones that are found first."""
    held = tmp_path / "pair.tar"
    write_tar(held, {PLAIN: CONTENT["plain"], PACKED: gzip.compress(CONTENT["packed"]), "usr/bin/other": b"x" * 50_000})
    bin = tmp_path / "bin"
    bin.mkdir()
    script(
        bin / "apt-get", f'echo "$@" >> {tmp_path}/calls\n[ "$2" = "pair=2:1.0-3" ] && cp {held} pair_1.0-3.deb && exit'
    )
    script(bin / "dpkg-deb", 'cat "$2"')
    monkeypatch.setenv("PATH", f"{bin}:/usr/bin:/bin")
    return held


def script(path: Path, body: str) -> None:
    path.write_text(
        f"#!/bin/sh\n{body}\n[ $? = 0 ] || {{ echo 'E: was not found' >&2; exit 100; }}\n", encoding="utf-8"
    )
    path.chmod(0o755)


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def test_documents_come_once_and_uncompressed(tmp_path: Path, archive: Path, documents: list[RealDocument]) -> None:
    target = tmp_path / "documents"
    files = fetch(target, documents)
    assert [file.read_bytes() for file in files] == list(CONTENT.values())
    assert sorted(file.name for file in target.iterdir()) == ["packed.pdf", "plain.pdf"], "nothing else is kept"
    fetch(target, documents)
    assert (tmp_path / "calls").read_text() == "download pair=2:1.0-3\n", "one package, fetched once"


def test_damaged_document_is_fetched_again(tmp_path: Path, archive: Path, documents: list[RealDocument]) -> None:
    fetch(tmp_path, documents)
    (tmp_path / "plain.pdf").write_bytes(b"half")
    fetch(tmp_path, documents)
    assert (tmp_path / "plain.pdf").read_bytes() == CONTENT["plain"]


def test_other_version_is_told(tmp_path: Path, archive: Path, documents: list[RealDocument]) -> None:
    with pytest.raises(FetchFailed, match=r"pair=9` failed: E: was not found; run `apt-get update`"):
        fetch(tmp_path / "documents", [replace(documents[0], version="9")])


def test_other_content_is_told_and_not_kept(tmp_path: Path, archive: Path, documents: list[RealDocument]) -> None:
    write_tar(archive, {PLAIN: b"another", PACKED: gzip.compress(CONTENT["packed"])})
    with pytest.raises(FetchFailed, match=r"plain\.pdf of pair 2:1\.0-3 is another file"):
        fetch(tmp_path / "documents", documents)
    assert not (tmp_path / "documents" / "plain.pdf").exists()


def test_missing_member_is_told(tmp_path: Path, archive: Path, documents: list[RealDocument]) -> None:
    write_tar(archive, {PLAIN: CONTENT["plain"]})
    with pytest.raises(FetchFailed, match=r"holds no usr/share/doc/pair/packed\.pdf\.gz"):
        fetch(tmp_path / "documents", documents)


def test_system_without_apt_is_told(
    tmp_path: Path, documents: list[RealDocument], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchFailed, match="apt-get and dpkg-deb is not installed; run this on Debian 12"):
        fetch(tmp_path / "documents", documents)
