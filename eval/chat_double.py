"""A chat server that stands in for a model: it speaks the wire format of chat completions, and a function answers.

For tests and measurements of text readers: what a reader is shown, sends, and makes of replies is real, not the model.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How a request is answered.

    Attributes:
        text: The reply of the model.
        status: Of HTTP; other than 200, ``text`` is the body as it is.
        headers: Further ones.
        pieces: The reply in these pieces instead, streamed.
        seconds: Between two pieces.
        finish: Why the model ended; None breaks the stream off before it says so.
        is_streamed: Whether it comes as events; else as one object, as of servers that do not stream.
        events: Sent as they are, in the place of the reply.
    """

    text: str = ""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    pieces: tuple[str, ...] = ()
    seconds: float = 0.0
    finish: str | None = "stop"
    is_streamed: bool = True
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came.

    Attributes:
        path: With the query.
        headers: Names in lower case.
        body: Of the request.
    """

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def text(self) -> str:
        """All texts of all messages; pictures are left out."""
        return "\n".join(_texts(self.body["messages"]))

    @property
    def ids(self) -> list[str]:
        """What the schema allows to cite; none without a schema."""
        schema = self.body.get("response_format", {}).get("json_schema", {}).get("schema", {})
        citation = schema.get("properties", {}).get("citations", {}).get("items", {})
        return list(citation.get("properties", {}).get("passage", {}).get("enum", []))


Answerer = Callable[[Asked], Said | str]


@dataclass(slots=True)
class ChatDouble:
    """A server on a free port of this machine while it is entered.

    Args:
        answer: What is said to each request.

    Example:
        >>> with ChatDouble(lambda asked: "42 [p1]") as server:
        ...     server.base_url.startswith("http://127.0.0.1:")
        True
    """

    answer: Answerer
    asked: list[Asked] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    @property
    def base_url(self) -> str:
        """For a reader."""
        assert self._server is not None, "the server runs while it is entered"
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()


def as_json(answer: str, citations: Sequence[tuple[str, str]] = (), *, found: bool = True) -> str:
    """An answer by the schema of ``api:`` readers; citations are ids with the words that are quoted."""
    cited = [{"passage": id, "quote": quote} for id, quote in citations]
    return json.dumps({"found": found, "answer": answer, "citations": cited})


def _handler(double: ChatDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            double.asked.append(asked)
            answer = double.answer(asked)
            self._send(Said(text=answer) if isinstance(answer, str) else answer, body)

        def _send(self, said: Said, body: dict[str, Any]) -> None:
            self.close_connection = True
            self.send_response(said.status)
            is_stream = said.status == 200 and said.is_streamed
            self.send_header("content-type", "text/event-stream" if is_stream else "application/json")
            self.send_header("connection", "close")
            for header in said.headers:
                self.send_header(*header)
            self.end_headers()
            try:
                for part in _parts(said, str(body.get("model"))):
                    self.wfile.write(part.encode())
                    self.wfile.flush()
                    time.sleep(said.seconds)
            except OSError:  # whoever asked has gone
                return

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


def _parts(said: Said, model: str) -> Iterator[str]:
    """What goes over the wire, in pieces."""
    if said.status != 200 or not said.is_streamed:
        choice = {"index": 0, "message": {"role": "assistant", "content": said.text}, "finish_reason": said.finish}
        yield said.text if said.status != 200 else json.dumps(_envelope("chat.completion", model, [choice]))
        return
    if said.events:
        yield from said.events
        return
    yield ": keeps the connection alive\n\n"
    for piece in said.pieces or (said.text[:7], said.text[7:]):
        yield _event(model, {"content": piece}, None)
    if said.finish is not None:
        yield _event(model, {}, said.finish)
        yield f"data: {json.dumps(_envelope('chat.completion.chunk', model, []) | {'usage': {'total_tokens': 9}})}\n\n"
        yield "data: [DONE]\n\n"


def _event(model: str, delta: dict[str, str], finish: str | None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps(_envelope('chat.completion.chunk', model, [choice]))}\n\n"


def _envelope(kind: str, model: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": model, "choices": choices}


def _texts(messages: Sequence[dict[str, Any]]) -> Iterator[str]:
    for message in messages:
        if isinstance(message["content"], str):
            yield message["content"]
        else:
            yield from (part["text"] for part in message["content"] if part["type"] == "text")
