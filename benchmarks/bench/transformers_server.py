"""``transformers serve`` with one model on this machine: an OpenAI-compatible server, started and stopped here."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

SECONDS = 180
"""In which it must answer; the model is loaded before."""


@contextmanager
def serving(model: Path) -> Iterator[str]:
    """The base URL of a server; the model is known there by its directory."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", str(model)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--device", "cpu"]
    server = subprocess.Popen([*command, *options, "--log-level", "warning"], stdout=subprocess.DEVNULL)
    try:
        _wait(server, f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if server.poll() is not None:
            raise SystemExit("error: transformers serve ended; install 'transformers[serving]'")
        try:
            with urlopen(url, timeout=5):
                return
        except URLError:
            time.sleep(0.5)
    raise SystemExit(f"error: transformers serve did not answer within {SECONDS} s")
