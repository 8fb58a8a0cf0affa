"""The client against a server that speaks the wire format, and fails in every way a server can.

Oracle: the script of the server.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from mm_megacontext.bases.api.client import ChatClient, ChatConfig, Refused
from mm_megacontext.errors import READER_ERROR_CODES, InvalidReader, ReaderFailed
from mm_megacontext.eval.chat_double import Asked, ChatDouble, Said

BODY = {"model": "m", "messages": [{"role": "user", "content": "Question: rent?"}]}
KEY = "sk-very-secret-123"
SHORT = {"silence_seconds": 0.3, "connect_seconds": 5.0, "total_seconds": 0.6, "retries": 0}


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Asks a double that says one thing after the other; the waits between tries are listed, and not waited."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    doubles: list[ChatDouble] = []

    def ask(*script: Said | str, waits: list[float] | None = None, **options: Any) -> Any:
        left = iter(script)
        with ChatDouble(lambda asked: next(left)) as double:
            doubles.append(double)
            config = ChatConfig(base_url=double.base_url, **options)
            return ChatClient(config, (waits if waits is not None else []).append).ask(BODY)

    ask.doubles = doubles  # type: ignore[attr-defined]
    return ask


def test_a_reply_comes_in_pieces(ask: Any) -> None:
    assert ask(Said(pieces=("1,4", "80", " EUR"))).text == "1,480 EUR"
    (asked,) = ask.doubles[0].asked
    assert (asked.path, asked.body) == ("/v1/chat/completions", {**BODY, "stream": True})
    assert asked.headers["authorization"] == f"Bearer {KEY}"


def test_a_server_that_does_not_stream(ask: Any) -> None:
    assert ask(Said(text="1,480 EUR", is_streamed=False)).text == "1,480 EUR"


def test_parts_of_content_are_joined(ask: Any) -> None:
    parts = {"choices": [{"delta": {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}}]}
    assert ask(Said(events=(f"data: {json.dumps(parts)}\n\n", "data: [DONE]\n\n"))).text == "ab"


def test_a_reply_that_was_long_enough_is_marked(ask: Any) -> None:
    assert ask(Said(text="1,4", finish="length")).is_cut_off
    assert not ask(Said(text="1,4")).is_cut_off


def test_without_a_key_none_is_sent(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    ask("fine")
    assert "authorization" not in ask.doubles[0].asked[0].headers


def error(message: str, status: int) -> Said:
    return Said(text=json.dumps({"error": {"message": message, "type": "x"}}), status=status)


FAILURES: dict[str, tuple[Said, dict[str, Any], str, str]] = {
    "key": (error(f"Incorrect API key provided: {KEY}", 401), {}, "unauthorised", r"set OPENAI_API_KEY"),
    "forbidden": (error("no", 403), {}, "unauthorised", "no"),
    "rate": (error("slow down", 429), {"retries": 0}, "rate_limited", "slow down"),
    "down": (Said(text="<html>Bad gateway</html>", status=502), {"retries": 0}, "server_error", "status 502; look"),
    "moved": (Said(status=307, headers=(("location", "http://elsewhere/"),)), {}, "refused", "leads elsewhere"),
    "silence": (Said(pieces=("a", "b"), seconds=2.0), SHORT, "timeout", "nothing came for 0.3 s"),
    "dripping": (Said(pieces=("a",) * 40, seconds=0.05), SHORT, "timeout", "more than 0.6 s"),
    "broken off": (Said(text="1,4", finish=None), {"retries": 0}, "broken_off", "ended before it was done"),
    "not JSON": (Said(events=("data: {oops\n\n",)), {}, "bad_reply", "no JSON"),
    "not chat": (Said(events=('data: {"hello": 1}\n\n',)), {}, "bad_reply", "no choices"),
    "in stream": (Said(events=('data: {"error": {"message": "OOM"}}\n\n',)), {}, "server_error", "OOM"),
}


@pytest.mark.parametrize("way", FAILURES)
def test_every_way_to_fail_is_one_line_with_a_code(way: str, ask: Any) -> None:
    said, options, code, message = FAILURES[way]
    with pytest.raises(ReaderFailed, match=message) as caught:
        ask(said, **options)
    assert caught.value.code == code
    told = str(caught.value)
    assert "/v1/chat/completions: " in told
    assert "\n" not in told
    assert KEY not in told
    assert len(ask.doubles[0].asked) == 1


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (error("maximum context length is 4096 tokens", 400), "too_long"),
        (error("model m does not exist", 404), "unknown_model"),
        (error("response_format is not supported", 400), "refused"),
        (Said(text='{"detail": "bad field"}', status=422), "refused"),
    ],
)
def test_what_another_request_may_do_is_refused(said: Said, code: str, ask: Any) -> None:
    with pytest.raises(Refused) as caught:
        ask(said)
    assert caught.value.failure.code == code


def test_nothing_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        config = ChatConfig(base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1", retries=1)
        waits: list[float] = []
        with pytest.raises(ReaderFailed, match="start the server") as caught:
            ChatClient(config, waits.append).ask(BODY)
    assert caught.value.code == "unreachable"
    assert len(waits) == 1


def test_what_may_pass_is_tried_again_later_each_time(ask: Any) -> None:
    waits: list[float] = []
    reply = ask(error("busy", 503), Said(text="1,", finish=None), "done", waits=waits, backoff_seconds=4.0)
    assert reply.text == "done"
    first, second = waits
    assert 0 <= first <= 4
    assert 0 <= second <= 8


def test_waits_are_drawn_at_random(ask: Any) -> None:
    waits: list[float] = []
    for _ in range(4):
        ask(error("busy", 503), "done", waits=waits)
    assert len(set(waits)) == 4


def test_the_server_says_how_long_to_wait(ask: Any) -> None:
    waits: list[float] = []
    ask(Said(status=429, headers=(("retry-after", "7"),)), "done", waits=waits)
    ask(Said(status=429, headers=(("retry-after", "9000"),)), "done", waits=waits)
    assert waits == [7.0, 30.0]


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "127.0.0.1:8000"},
        {"base_url": "ftp://host/v1"},
        {"base_url": "http://me:hunter2@host/v1"},
        {"base_url": "http://host/v1", "silence_seconds": 0},
        {"base_url": "http://host/v1", "retries": -1},
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidReader) as caught:
        ChatConfig(**options)
    assert "hunter2" not in str(caught.value)


def test_the_key_is_shown_nowhere(ask: Any) -> None:
    config = ChatConfig(base_url="http://127.0.0.1:1/v1")
    client = ChatClient(config)
    assert KEY not in repr(config) + repr(client) + repr(vars(client))


def test_every_code_is_documented() -> None:
    import re
    from pathlib import Path

    page = (Path(__file__).parents[3] / "docs" / "readers.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \| reader", page, re.MULTILINE)
    assert told == list(READER_ERROR_CODES)


def test_a_request_knows_what_it_was_asked() -> None:
    asked = Asked("/", {}, {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]})
    assert (asked.text, asked.ids) == ("a", [])
