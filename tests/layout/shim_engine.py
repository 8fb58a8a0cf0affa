"""A layout engine that misbehaves, installed as a plug-in of another distribution; for attack tests."""

from __future__ import annotations

from pathlib import Path

import pytest

_MODULE = '''
import ctypes, os, signal, socket, struct, time
from mm_megacontext.layout.engines.protocol import RawPage, RawWord

class Shim:
    name = "shim"
    def open(self, path, password):
        return ShimPdf()

class ShimPdf:
    n_pages = {n_pages}
    def page(self, number):
        if number == 3:
            {at_page_3}
        words = [RawWord(72.0, 80.0, 130.0, 92.0, f"value-{{number}}", 12.0, False, True, 0)]
        return RawPage(number, (612.0, 792.0), words, [], [], [], raster=raster)
    def close(self):
        pass

def raster(scale):
    import numpy as np
    grey = np.full((int(792 * scale), int(612 * scale)), 255, dtype=np.uint8)
    grey[:, ::2] = 0
    return grey

def end():
    """The worker's end of its socket."""
    for fd in range(3, 64):
        try:
            return socket.socket(fileno=os.dup(fd))
        except OSError:
            pass

def create():
    return Shim()
'''

MISDEEDS = {
    "hangs": "while True: pass",
    "sleeps": "time.sleep(3600)",
    "hangs with its clocks stopped": (
        "signal.setitimer(signal.ITIMER_REAL, 0); signal.signal(signal.SIGXCPU, signal.SIG_IGN); time.sleep(3600)"
    ),
    "aborts": "os.abort()",
    "reads address 0": "ctypes.string_at(0)",
    "leaves": "os._exit(0)",
    "eats 8 GB": "hoard = [bytearray(1 << 28) for _ in range(32)]",
    "raises": "raise RuntimeError('broken\\\\nstream')",
    "recurses": "self.page(3)",
    "sends noise": "end().sendall(b'noise' * 1000)",
    "sends 4 GB": "end().sendall(struct.pack('>I', 0xffffffff))",
    "sends a page without end": "end().sendall(struct.pack('>I', 1 << 20)); os._exit(0)",
    "sends another page": "from mm_megacontext.workers import frames, wire; from mm_megacontext.document import "
    "Page; frames.send(end(), wire.pack(Page(4, (9.0, 9.0), ()))); time.sleep(3600)",
    "gives a box of no numbers": "return RawPage(3, (612.0, 792.0), [RawWord(float('nan'), 0.0, 9.0, 9.0, 'x', 9.0, "
    "False, True, 0)], [], [], [], raster=raster)",
    "gives a page of no size": "return RawPage(3, (float('inf'), 792.0), [], [], [], [], raster=raster)",
    "gives a page of a square mile": "return RawPage(3, (4e6, 4e6), [], [], [], [], raster=raster)",
    "cannot render": "return RawPage(3, (612.0, 792.0), [RawWord(9.0, 0.0, 19.0, 9.0, 'x', 9.0, False, True, 0)], [], "
    "[], [])",
}
"""What it does instead of reading page 3."""


def install_shim(
    monkeypatch: pytest.MonkeyPatch, directory: Path, *, at_page_3: str = "pass", n_pages: object = 5
) -> None:
    """Put a distribution with the engine ``shim`` on the path of modules."""
    info = directory / "shim_engine-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shim-engine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mm_megacontext.layout_engines]\nshim = shim_engine_plugin:create\n")
    (directory / "shim_engine_plugin.py").write_text(_MODULE.format(at_page_3=at_page_3, n_pages=n_pages))
    monkeypatch.syspath_prepend(directory)
