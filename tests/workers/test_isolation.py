"""Engines that hang, crash, eat memory and lie, as plug-ins. Oracle: what each was told to do on page 3 of 5."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mm_megacontext.document import Page
from mm_megacontext.errors import IngestError, LimitExceeded
from mm_megacontext.layout.reader import read
from mm_megacontext.limits import IngestLimits
from mm_megacontext.workers import allowance as worker_allowance
from mm_megacontext.workers import pool as worker_pool
from mm_megacontext.workers import process as worker_process
from mm_megacontext.workers import start as worker_start
from mm_megacontext.workers.client import pdf_pages
from mm_megacontext.workers.messages import Count, Counted, Failure, Purpose, ReadPage
from mm_megacontext.workers.process import WorkerProcess
from tests.layout import attack_files
from tests.layout.shim_engine import MISDEEDS, install_shim

LIMITS = IngestLimits(page_seconds=60.0, page_cpu_seconds=2.0, worker_bytes=600 << 20)
"""Processor time, which a busy machine does not shorten, is what stops most."""
SHORT = IngestLimits(page_seconds=4.0, page_cpu_seconds=2.0)
"""For what sleeps."""
FLAT_MIB = 32
"""How much the parent may grow while a worker eats gigabytes."""

CODES = {
    "hangs": "limit_time",
    "sleeps": "limit_time",
    "hangs with its clocks stopped": "limit_time",
    "aborts": "engine_crash",
    "reads address 0": "engine_crash",
    "leaves": "engine_crash",
    "eats 8 GB": "limit_memory",
    "raises": "corrupt",
    "recurses": "corrupt",
    "sends noise": "bad_answer",
    "sends 4 GB": "bad_answer",
    "sends a page without end": "engine_crash",
    "sends another page": "bad_answer",
    "gives a box of no numbers": "bad_answer",
    "gives a page of no size": "corrupt",
    "gives a page of a square mile": "limit_pixels",
    "cannot render": "visibility_unknown",
}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.pdf"
    path.write_bytes(attack_files.good())
    return path


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "_GRACE_SECONDS", 2.0)


def rss_peak_mib() -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_one_bad_page_does_not_cost_the_others(
    misdeed: str, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_shim(monkeypatch, tmp_path / "plugin", at_page_3=MISDEEDS[misdeed])
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = rss_peak_mib()
    limits = SHORT if "time.sleep" in MISDEEDS[misdeed] else LIMITS
    pages = list(read(good, engine="shim", limits=limits).pages())
    assert rss_peak_mib() < before + FLAT_MIB
    assert [page.number for page in pages] == [1, 2, 3, 4, 5]
    assert [page.text for page in pages if page.number != 3] == ["value-1", "value-2", "value-4", "value-5"]
    assert pages[2].code == CODES[misdeed]
    assert pages[2].problem is not None
    assert "\n" not in pages[2].problem
    assert pages[2].status == ("degraded" if misdeed == "cannot render" else "failed")
    assert [page.status for page in pages if page.number != 3] == ["ok"] * 4


@pytest.mark.parametrize(("n_pages", "code"), [(0, "zero_pages"), (-1, "zero_pages"), (10**9, "limit_pages"),
                                               ("'five'", "bad_answer"), (2**70, "engine_crash")])  # fmt: skip
def test_lies_about_the_number_of_pages(
    n_pages: object, code: str, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_shim(monkeypatch, tmp_path / "plugin", n_pages=n_pages)
    with pytest.raises(IngestError) as caught:
        read(good, engine="shim", limits=LIMITS)
    assert caught.value.code == code


def test_an_engine_that_cannot_be_loaded(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_shim(monkeypatch, tmp_path / "plugin")
    (tmp_path / "plugin" / "shim_engine_plugin.py").write_text("def create(): return 7")
    with pytest.raises(IngestError, match="shim cannot be loaded") as caught:
        read(good, engine="shim")
    assert caught.value.code == "engine_crash"


def test_what_one_engine_does_not_survive_the_next_one_reads(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_shim(monkeypatch, tmp_path / "plugin", at_page_3=MISDEEDS["aborts"])
    monkeypatch.setattr("mm_megacontext.layout.document_reader.candidates", lambda name, layout: ["shim", "pdfium"])
    pages = list(read(good, limits=LIMITS).pages())
    assert [page.engine for page in pages] == ["shim", "shim", "pdfium", "shim", "shim"]
    assert pages[2].text == attack_files.good_text(3)
    assert {page.status for page in pages} == {"ok"}


def test_where_one_engine_cannot_look_the_next_one_does(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_shim(monkeypatch, tmp_path / "plugin", at_page_3=MISDEEDS["cannot render"])
    monkeypatch.setattr("mm_megacontext.layout.document_reader.candidates", lambda name, layout: ["shim", "pdfium"])
    page = list(read(good, limits=LIMITS).pages())[2]
    assert (page.engine, page.status) == ("pdfium", "ok")


def test_a_file_in_which_one_engine_finds_no_page_goes_to_the_next(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_shim(monkeypatch, tmp_path / "plugin", n_pages=0)
    monkeypatch.setattr("mm_megacontext.layout.document_reader.candidates", lambda name, layout: ["shim", "pdfium"])
    assert [page.engine for page in read(good, limits=LIMITS).pages()] == ["pdfium"] * 5


def test_a_document_has_its_time_too(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_shim(monkeypatch, tmp_path / "plugin", at_page_3=MISDEEDS["sleeps"])
    limits = IngestLimits(page_seconds=60, document_seconds=3.0)
    begun = time.monotonic()
    pages = list(read(good, engine="shim", limits=limits).pages())
    assert time.monotonic() - begun < 30
    assert [page.code for page in pages] == [None, None, "limit_time", "limit_time", "limit_time"]
    assert "raise document_seconds" in str(pages[3].problem)


def test_limits_of_files(good: Path) -> None:
    with pytest.raises(LimitExceeded, match="raise max_pages") as pages:
        read(good, limits=IngestLimits(max_pages=4))
    assert pages.value.code == "limit_pages"
    with pytest.raises(LimitExceeded, match="raise max_file_bytes") as size:
        read(good, limits=IngestLimits(max_file_bytes=100))
    assert size.value.code == "limit_size"
    page = next(read(good, limits=IngestLimits(max_decoded_pixels=1000)).pages())
    assert page.code == "limit_pixels"


def test_no_worker_meets_two_files(good: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pdf"
    other.write_bytes(attack_files.good())
    limits = IngestLimits()
    ours, theirs = pdf_pages(good, None, "pdfium"), pdf_pages(other, None, "pdfium")
    with worker_pool.borrowed(limits, ours) as first:
        first.ask(Count(ours))
        assert first.answer() == Counted(5)
    with worker_pool.borrowed(limits, theirs) as second:
        assert second.pid != first.pid
    with worker_pool.borrowed(limits, ours) as again:
        assert again.pid == first.pid
    good.write_bytes(attack_files.good() + b"%")
    with worker_pool.borrowed(limits, pdf_pages(good, None, "pdfium")) as new:
        assert new.pid not in (first.pid, second.pid), "another file under the same name"


def test_a_worker_that_sent_more_than_it_was_asked_for_is_not_used_again(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sends = (
        "from mm_megacontext.workers import frames, wire; from mm_megacontext.document import Page; "
        "frames.send(end(), wire.pack(Page(3, (9.0, 9.0), ())))"  # and then the answer proper
    )
    install_shim(monkeypatch, tmp_path / "plugin", at_page_3=sends)
    file = pdf_pages(good, None, "shim")
    worker = WorkerProcess(LIMITS, file.purpose)
    worker.ask(ReadPage(file, 3, None))
    assert worker.answer() == Page(3, (9.0, 9.0), ())
    deadline = time.monotonic() + 5
    while worker.is_sound and time.monotonic() < deadline:
        time.sleep(0.01)
    worker_pool.give_back(worker)
    with worker_pool.borrowed(LIMITS, file) as other:
        assert other.pid != worker.pid


def test_workers_are_replaced_after_a_while(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_allowance, "_IF_FAST_TO_OPEN", 2)
    made: list[int] = []
    real = worker_start.Origin.fork

    def fork(self: worker_start.Origin, *arguments: object) -> int:
        made.append(real(self, *arguments))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(worker_start.Origin, "fork", fork)
    assert [page.text for page in read(good, engine="pdfium").pages()] == [
        attack_files.good_text(n) for n in range(1, 6)
    ]
    assert len(made) >= 3


def test_the_origin_may_die(good: Path) -> None:
    worker_pool.close_all()
    os.kill(worker_start.origin()._process.pid, 9)
    assert [page.status for page in read(good).pages()] == ["ok"] * 5


def test_requests_to_the_origin_may_come_together(good: Path) -> None:
    worker_start.drop(worker_start.origin())
    for _ in range(3):
        worker_start.origin().preload(
            Purpose("pdf pages", "pdfium")
        )  # it is importing yet, and reads all of this at once
    assert [page.status for page in read(good).pages()] == ["ok"] * 5


def test_what_is_left_over_is_ended(good: Path) -> None:
    pages = read(good).pages()
    next(pages)
    pages.close()  # type: ignore[attr-defined]  # a generator
    code = f"""
import sys
from mm_megacontext.layout.reader import read
pages = read({str(good)!r}).pages()
next(pages)
from mm_megacontext.workers import start as worker_start
print(worker_start.origin()._process.pid)
sys.exit()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert not Path("/proc", done.stdout.strip()).exists()


def test_a_worker_sees_little_of_us(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"")
    told = "raise RuntimeError(repr([os.environ.get('SECRET_TOKEN'), os.getcwd(), tried()]))"
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    install_shim(monkeypatch, tmp_path / "plugin", at_page_3=told)
    plugin = tmp_path / "plugin" / "shim_engine_plugin.py"
    plugin.write_text(
        plugin.read_text()
        + f"""
def tried():
    try:
        with open({str(target)!r}, "wb") as out:
            out.write(b"x")
    except OSError as e:
        return e.strerror
"""
    )
    worker_start.drop(worker_start.origin())
    pages = list(read(good, engine="shim", limits=LIMITS).pages())
    assert pages[2].problem == "RuntimeError: [None, '/', 'File too large']"
    assert target.read_bytes() == b""


def test_a_file_that_is_gone_is_a_failure(good: Path) -> None:
    file = pdf_pages(good, None, "pdfium")
    worker = WorkerProcess(IngestLimits(), file.purpose)
    good.unlink()
    worker.ask(Count(file))
    answer = worker.answer()
    assert isinstance(answer, Failure)
    worker.kill()
    worker.kill()
