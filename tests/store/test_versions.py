"""Versions of a table by the names of their manifests. Oracle: written out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from mm_megacontext.errors import StoreError
from mm_megacontext.store.versions import manifest_path, table_versions


def test_versions_are_listed_newest_first_in_both_namings(tmp_path: Path) -> None:
    versions = tmp_path / "_versions"
    versions.mkdir()
    for name in ("1.manifest", f"{2**64 - 1 - 12}.manifest", "3.manifest.damaged", "hint.json", ".tmp", "d5.manifest"):
        (versions / name).touch()
    assert table_versions(tmp_path) == [12, 1]
    assert manifest_path(tmp_path, 12).exists()
    assert manifest_path(tmp_path, 1).exists()
    with pytest.raises(StoreError, match="cannot list"):
        table_versions(tmp_path / "missing")
