"""Fetch the documents: each package once, by ``apt-get download``; only the documents are kept of it.

Usage: python -m mm_megacontext.eval.real_documents.fetch DIRECTORY
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from mm_megacontext.errors import MegaContextError
from mm_megacontext.eval.real_documents.manifest import RealDocument, load_manifest

COMMANDS = ("apt-get", "dpkg-deb")


class FetchFailed(MegaContextError, OSError):
    """A document could not be fetched; the message names the package and says what to do."""


def fetch(
    directory: Path, documents: Sequence[RealDocument], on_progress: Callable[[str], None] | None = None
) -> list[Path]:
    """Bring all documents into ``directory``; those that lie there already are left alone.

    Returns:
        The files, in the order of ``documents``.

    Raises:
        FetchFailed: There is no apt, the package or its version is not to be had, or holds another file.
    """
    directory.mkdir(parents=True, exist_ok=True)
    missing = [document for document in documents if not document.is_fetched(directory)]
    if missing:
        _demand_commands()
    for (package, version), group in groupby(sorted(missing, key=_origin), key=_origin):
        if on_progress is not None:
            on_progress(f"{package} {version}")
        with tempfile.TemporaryDirectory(prefix="mmctx-fetch-") as scratch:
            _unpack(_download(package, version, Path(scratch)), list(group), directory)
    return [document.file(directory) for document in documents]


def _origin(document: RealDocument) -> tuple[str, str]:
    return document.package, document.version


def _demand_commands() -> None:
    lacking = [command for command in COMMANDS if shutil.which(command) is None]
    if lacking:
        raise FetchFailed(
            f"the documents come from Debian packages, and {' and '.join(lacking)} is not installed; "
            "run this on Debian 12, for instance in its container"
        )


def _download(package: str, version: str, scratch: Path) -> Path:
    command = ["apt-get", "download", f"{package}={version}"]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    found = list(scratch.glob("*.deb"))
    if done.returncode or len(found) != 1:
        reason = done.stderr.strip().splitlines()[-1:] or ["it says no more"]
        raise FetchFailed(
            f"`{' '.join(command)}` failed: {reason[0]}; run `apt-get update` as root first, and take Debian 12 "
            "(bookworm), which has this version"
        )
    return found[0]


def _unpack(deb: Path, documents: Sequence[RealDocument], directory: Path) -> None:
    """Write the documents of one package, none of it half."""
    wanted = {document.path: document for document in documents}
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                document = wanted.pop(member.name.removeprefix("./"), None)
                content = None if document is None else archive.extractfile(member)
                if document is not None and content is not None:
                    _keep(document, content.read(), directory)
        process.stdout.read()  # to its end: a command whose pipe is closed early ends with an error
    if process.returncode:
        raise FetchFailed(f"dpkg-deb cannot read {deb.name}; fetch it again")
    if wanted:
        raise FetchFailed(f"{deb.name} holds no {next(iter(wanted))}; it is not the package this set was made from")


def _keep(document: RealDocument, content: bytes, directory: Path) -> None:
    if document.path.endswith(".gz"):
        content = gzip.decompress(content)
    if (digest := hashlib.sha256(content).hexdigest()) != document.sha256:
        raise FetchFailed(
            f"{document.path} of {document.package} {document.version} is another file than the questions were "
            f"written on (SHA-256 {digest}, expected {document.sha256}); take the package of Debian 12 on amd64"
        )
    file = document.file(directory)
    part = file.with_suffix(".part")
    part.write_bytes(content)
    part.replace(file)


def main() -> None:
    """Fetch all documents of the manifest into the directory that is named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path, metavar="DIRECTORY", help="where the documents go")
    directory = parser.parse_args().directory
    try:
        files = fetch(directory, load_manifest(), lambda line: print(line, file=sys.stderr))
    except FetchFailed as error:
        raise SystemExit(f"error: {error}") from error
    print(f"{len(files)} documents in {directory}")


if __name__ == "__main__":
    main()
