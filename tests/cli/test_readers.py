"""The commands that bring a memory to a reader of one's own, and those that take sources out of one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mm_megacontext.cli.main import main
from mm_megacontext.eval.chat_double import Asked, ChatDouble, Said

NOTES = "The boiler was serviced in May. The key of the cellar hangs behind the blue door."
OTHER = "Bins are emptied on Mondays."


@pytest.fixture
def memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    for name, text in (("notes.txt", NOTES), ("bins.txt", OTHER)):
        (tmp_path / name).write_text(text)
        assert main(["ingest", str(tmp_path / name), "--memory", str(tmp_path / "memory")]) == 0
    capsys.readouterr()
    return tmp_path / "memory"


def test_context_prints_what_is_opened(memory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = "Where is the key of the cellar?"
    assert main(["context", str(memory), question]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("> ") and "behind the blue door" in line for line in lines)
    assert main(["context", str(memory), question, "--json", "--words"]) == 0
    told = json.loads(capsys.readouterr().out)
    passage = next(p for p in told["passages"] if "cellar" in p["text"])
    assert [word["text"] for word in passage["words"]] == passage["text"].split()
    assert told["question"] == question
    assert main(["context", str(memory), question, "--markdown", "--source", str(memory.parent / "bins.txt")]) == 0
    assert "cellar" not in capsys.readouterr().out


def test_a_reader_behind_a_server_answers(memory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def door(asked: Asked) -> str:
        cited = next(id for id in asked.ids if f"[{id}] notes.txt" in asked.text)
        return json.dumps({"found": True, "answer": "blue door", "citations": [{"passage": cited, "quote": ""}]})

    with ChatDouble(door) as double:
        options = ["--reader", "api:m", "--base-url", double.base_url, "--json"]
        assert main(["ask", str(memory), "Where is the key of the cellar?", *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["answer"], told["grounded"], told["model"]) == ("blue door", True, "api:m")
    assert " ".join(piece["text"] for piece in told["evidence"]) == "blue door."  # a piece for each line
    assert {piece["basis"] for piece in told["evidence"]} == {"words"}
    assert told["usage"]["unit"] == "estimated tokens"


def test_a_server_that_fails_is_one_line(memory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ChatDouble(lambda asked: Said(text="no", status=401)) as double:
        assert main(["ask", str(memory), "Where?", "--reader", "api:m", "--base-url", double.base_url]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "OPENAI_API_KEY" in said.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--images"], "--images goes with --reader"),
        (["--reader", "nobody:m"], "nobody"),
        (["--reader", "api:m", "--base-url", "ftp://x"], "base_url must be"),
    ],
)
def test_readers_that_are_none(
    options: list[str], said: str, memory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert main(["ask", str(memory), "Where?", *options]) == 2
    assert said in capsys.readouterr().err


def test_what_is_not_there_says_why_and_shows_the_nearest(memory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", str(memory), "When was the cellar painted green by Zebulon?", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    if told["found"]:  # the model of the package may be wrong, but it says where it looked
        assert told["evidence"]
    else:
        assert told["reason"] == "not_in_document"
        assert "cellar" in told["candidates"][0]["text"]


def test_forget_takes_the_path_that_was_typed(
    memory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(memory.parent)
    Path("bins.txt").unlink()
    assert main(["forget", str(memory), "bins.txt", "never.txt"]) == 2
    assert "holds no source never.txt" in capsys.readouterr().err
    assert main(["forget", str(memory), "./bins.txt", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"forgotten": [str(memory.parent / "bins.txt")]}
    assert main(["vacuum", str(memory), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] > 0
    assert main(["inspect", str(memory), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [Path(source["uri"]).name for source in told["sources"]] == ["notes.txt"]
    shutil.rmtree(memory)
