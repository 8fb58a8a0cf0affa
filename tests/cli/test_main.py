"""Bad usage and errors through the real entry point: exit code, one line on stderr, nothing on stdout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mm_megacontext import __version__
from mm_megacontext.cli import main as entry
from mm_megacontext.cli.main import main


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr; there must be no other, and nothing on stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "COMMAND"),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["ask"], "FILE|MEMORY, QUESTION"),
        (["ask", "{file}"], "QUESTION"),
        (["ask", "{file}", "  "], "the question is empty"),
        (["ask", "{file}", "who?", "--budget", "0"], "must be at least 1, is 0"),
        (["ask", "{file}", "who?", "--budget", "many"], "invalid positive_int value: 'many'"),
        (["ask", "{file}", "who?", "--show", "out.doc"], "out.doc: must end in one of .png"),
        (["ask", "{file}", "who?", "--engine", "psychic"], "unknown layout engine 'psychic'"),
        (["ask", "{file}", "who?", "--bud", "3"], "unrecognized arguments: --bud 3"),
        (["ask", "{folder}", "who?"], "folder: no such memory"),
        (["ask", "{folder}", "who?", "--memory", "{new}"], "--memory goes with a file"),
        (["ask", "{nowhere}", "who?"], "nowhere: no such file or memory"),
        (["ingest", "{file}"], "--memory"),
        (["ingest", "{file}", "{nowhere}", "--memory", "{new}"], "nowhere: no such file or directory"),
        (["inspect", "{nowhere}"], "nowhere: no such memory"),
        (["inspect", "{file}"], "is a file, and a memory is a directory"),
        (["verify", "{nowhere}", "--json"], "nowhere: no such memory"),
        (["train"], "base|lens"),
        (["train", "base", "--minutes", "3"], "--out"),
        (["train", "lens", "--out", "{new}", "--minutes", "-1"], "must be a number above 0, is -1"),
        (["eval", "lookup", "--split", "train"], "invalid choice: 'train'"),
        (["eval", "lookup", "--pages", "1,x"], "invalid positive_ints value: '1,x'"),
        (["train", "base", "--out", "{new}", "--init-progress", "2"], "must be from 0 to 1, is 2"),
        (["eval", "lookup", "--systems", ","], "must name at least one"),
        (["eval", "lookup", "--systems", "psychic"], "no system is named 'psychic'"),
        (["train", "lens", "--out", "{nowhere}", "--resume"], "holds no checkpoint; start the run without resuming"),
        (["train", "base", "--out", "{new}", "--seed", "-1"], "must be at least 0"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(
    argv: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file.txt"
    file.write_text("Tenant: Maribel\n", encoding="utf-8")
    folder = tmp_path / "folder"
    folder.mkdir()
    places = {
        "{folder}": str(folder),
        "{file}": str(file),
        "{nowhere}": str(tmp_path / "nowhere"),
        "{new}": str(tmp_path / "new"),
    }
    for place, path in places.items():
        argv = [arg.replace(place, path) for arg in argv]

    assert main(argv) == 2
    line = error_of(capsys)
    assert line.startswith("mmctx: error: ")
    assert said in line
    assert {path.name for path in tmp_path.rglob("*")} == {"file.txt", "folder"}


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (RuntimeError("a\nb"), 1)])
def test_whatever_happens_is_one_line(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(argv: object) -> int:
        raise error

    monkeypatch.setattr(entry, "_run", fail)
    monkeypatch.delenv("MMCTX_DEBUG", raising=False)
    assert main([]) == code
    assert error_of(capsys) in (
        "mmctx: interrupted",
        "mmctx: error: internal error: RuntimeError: a b (MMCTX_DEBUG=1 shows where)",
    )


def test_debugging_shows_where(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MMCTX_DEBUG", "1")
    assert main(["frobnicate"]) == 2
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1].startswith("mmctx: error: ")


def test_warnings_are_one_line_each(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def be_worried(argv: object) -> int:
        import warnings

        warnings.simplefilter("default")
        warnings.warn("the newest\nmanifest is cut short", stacklevel=1)
        return 0

    monkeypatch.setattr(entry, "_run", be_worried)
    assert main([]) == 0
    assert error_of(capsys) == "mmctx: warning: the newest manifest is cut short"


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, said in ((["--version"], f"mmctx {__version__}"), (["--help"], "Exit codes"), (["ask", "-h"], "--show")):
        with pytest.raises(SystemExit) as leaving:
            main(argv)
        assert leaving.value.code == 0
        assert said in capsys.readouterr().out


MANY_LINES = """
import mm_megacontext.cli.main as entry
entry._run = lambda argv: print("line\\n" * 100_000)
raise SystemExit(entry.main())
"""


@pytest.mark.parametrize("args", [["-c", MANY_LINES], ["-m", "mm_megacontext", "--help"]], ids=["result", "help"])
def test_reader_that_goes_away_is_no_error(args: list[str]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run([sys.executable, *args], stdout=write_end, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(write_end)
    assert done.stderr == b""
    allowed = (0, 141) if "--help" in args else (141,)  # argparse itself forgives the reader, before Python 3.11.4 not
    assert done.returncode in allowed
