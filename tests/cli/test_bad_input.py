"""Bad input through the real entry point: one line on stderr, exit code 2 or 65, and nothing written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from mm_megacontext.cli.main import main
from mm_megacontext.memory import MegaContext
from mm_megacontext.store.store import Identity, Store


def png(path: Path) -> Path:
    Image.effect_noise((200, 120), 60).convert("RGB").save(path, "PNG")
    return path


def pdf(path: Path, password: str | None = None) -> Path:
    pymupdf = pytest.importorskip("pymupdf")
    document = pymupdf.open()
    document.new_page().insert_text((72, 72), "Deposit: 840 EUR")
    if password is None:
        document.save(path)
    else:
        document.save(path, encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw=password, owner_pw=password)
    return path


def truncated(path: Path, whole: Path, share: float) -> Path:
    content = whole.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def jpeg(path: Path) -> Path:
    Image.effect_noise((400, 300), 80).convert("RGB").save(path, "JPEG")
    return path


CASES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda d: d / "nowhere.pdf", "no such file"),
    "empty": (lambda d: _write(d / "empty.pdf", b""), "empty"),
    "png named pdf": (lambda d: png(d / "picture.png").rename(d / "picture.pdf"), "rename it to .png"),
    "truncated pdf": (lambda d: truncated(d / "half.pdf", pdf(d / "whole.pdf"), 0.2), "half.pdf"),
    "truncated jpeg": (lambda d: truncated(d / "half.jpg", jpeg(d / "whole.jpg"), 0.5), "half.jpg"),
    "locked pdf": (lambda d: pdf(d / "locked.pdf", "secret"), "password"),
}


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("mmctx: error: ")
    return line


@pytest.mark.parametrize("command", ["ask", "ingest"])
@pytest.mark.parametrize("case", CASES)
def test_unreadable_files(case: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, said = CASES[case]
    (tmp_path / "in").mkdir()
    path, memory = make(tmp_path / "in"), tmp_path / "memory"
    argv = ["ask", str(path), "What is the deposit?"] if command == "ask" else ["ingest", str(path)]
    assert main([*argv, "--memory", str(memory)]) == (2 if case == "missing" else 65)
    assert said in error_line(capsys)
    assert not memory.exists()


def test_password_opens_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = pdf(tmp_path / "locked.pdf", "secret")
    argv = ["ingest", str(path), "--memory", str(tmp_path / "memory"), "--password"]
    assert main([*argv, "wrong"]) == 65
    error_line(capsys)
    assert main([*argv, "secret"]) == 0


def test_directory_without_usable_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "program.bin").write_bytes(bytes(range(256)))
    assert main(["ingest", str(tmp_path / "in"), "--memory", str(tmp_path / "memory")]) == 65
    error_line(capsys)
    assert not (tmp_path / "memory").exists()


def test_a_bad_file_does_not_stop_the_good_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    pdf(folder / "good.pdf")
    truncated(folder / "bad.jpg", jpeg(tmp_path / "whole.jpg"), 0.5)
    memory = tmp_path / "memory"
    assert main(["ingest", str(folder), "--memory", str(memory)]) == 3
    out, err = capsys.readouterr()
    assert "bad.jpg" in err
    assert "good.pdf" in out
    assert "pages: 1 ok, 0 degraded, 0 failed" in out
    assert "files: 1 ingested, 0 unchanged, 1 failed" in out
    with Store.open(memory) as store:
        assert [Path(r.uri).name for r in store.sources()] == ["good.pdf"]
    assert main(["verify", str(memory)]) == 0


def test_budget_too_small_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memory = tmp_path / "memory"
    path = pdf(tmp_path / "a.pdf")
    assert main(["ask", str(path), "What is the deposit?", "--budget", "3", "--memory", str(memory)]) == 2
    assert "give a budget of" in error_line(capsys)
    assert not memory.exists()


def test_memory_of_another_base(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memory = tmp_path / "memory"
    Store.create(memory, Identity(base="other", gistnet="mean", encoder="dct", dim=8, slots=1)).close()
    before = sorted(p.relative_to(memory) for p in memory.rglob("*"))
    assert main(["ask", str(memory), "What is the deposit?"]) == 2
    assert "other" in error_line(capsys)
    assert main(["ingest", str(pdf(tmp_path / "a.pdf")), "--memory", str(memory)]) == 2
    assert sorted(p.relative_to(memory) for p in memory.rglob("*")) == before


def test_memory_open_for_writing_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memory = tmp_path / "memory"
    with MegaContext.open(memory) as mine:
        mine.ingest(pdf(tmp_path / "a.pdf"))
        code = "import sys; from mm_megacontext.cli.main import main; sys.exit(main(sys.argv[1:]))"
        argv = [sys.executable, "-c", code, "ingest", str(pdf(tmp_path / "b.pdf")), "--memory", str(memory)]
        other = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert other.returncode == 2
    assert len(other.stderr.splitlines()) == 1
    assert "writing" in other.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is mounted as on Linux")
def test_full_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("a tmpfs can only be mounted by root")
    try:
        path = tmp_path / "large.txt"
        path.write_text("\n".join(f"Line {i}: value {i * 7919}" for i in range(20_000)), encoding="utf-8")
        assert main(["ingest", str(path), "--memory", str(disk / "memory")]) == 1
        assert "the disk is full" in error_line(capsys)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_text_under_a_box_is_the_quotation(tmp_path: Path) -> None:
    """Checked with PDFium, which did not make the boxes."""
    path = pdf(tmp_path / "a.pdf")
    with MegaContext.open(tmp_path / "memory") as memory:
        memory.ingest(path, engine="pymupdf")
        answer = memory.ask("What is the Deposit?")
    assert answer.evidence
    page = pypdfium2.PdfDocument(path)[0]
    height = page.get_height()
    for evidence in answer.evidence:
        x0, y0, x1, y1 = evidence.bbox
        text = page.get_textpage().get_text_bounded(x0 - 1, height - y1 - 1, x1 + 1, height - y0 + 1)
        assert evidence.text in text
