"""Chat completions of an OpenAI-compatible server: asked with retries and time limits, answered piece by piece.

Every way in which a server can fail becomes one ``ReaderFailed`` with a code and one line that says what to do. The key
comes from the environment, goes into one header, and into nothing else: no message, no ``repr``, no file.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mm_megacontext.errors import InvalidReader, MissingExtra, ReaderErrorCode, ReaderFailed

T = TypeVar("T")

MOST_ERROR_CHARS = 200
"""Of what a server says about an error, as much is passed on."""
MOST_WAIT_SECONDS = 30.0
"""Before another try, whatever the server asks for."""
_TRANSIENT = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 529))
_TOO_LONG = ("context length", "context_length", "maximum context", "too many tokens", "exceed_context", "too long")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatConfig:
    """How a server is asked.

    Attributes:
        base_url: As in ``http://127.0.0.1:8000/v1``; what stands before ``/chat/completions``.
        key_env: Name of the environment variable that holds the key; where it is not set, none is sent.
        connect_seconds: For a connection.
        silence_seconds: Between two pieces of a reply, and before the first.
        total_seconds: For one reply from first to last.
        retries: Further tries after failures that may pass.
        backoff_seconds: Before the second try; twice as long before each further one, and each drawn at random below.
    """

    base_url: str
    key_env: str = "OPENAI_API_KEY"
    connect_seconds: float = 10.0
    silence_seconds: float = 120.0
    total_seconds: float = 600.0
    retries: int = 2
    backoff_seconds: float = 1.0

    def __post_init__(self) -> None:
        """Raises InvalidReader."""
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidReader(
                f"base_url must be as in http://127.0.0.1:8000/v1, got {_without_user(self.base_url)!r}"
            )
        if parts.username or parts.password:
            raise InvalidReader(f"base_url holds a password; put the key into the environment variable {self.key_env}")
        seconds = (self.connect_seconds, self.silence_seconds, self.total_seconds)
        if not (all(0 < s < float("inf") for s in seconds) and self.retries >= 0 and self.backoff_seconds >= 0):
            raise InvalidReader(f"times must be above 0 and retries at least 0, got {seconds} and {self.retries}")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered.

    Attributes:
        text: All of it.
        is_cut_off: Whether it ended because it was long enough, not because it was done.
    """

    text: str
    is_cut_off: bool


class Refused(Exception):
    """The server refuses the request as it is: another one may do."""

    def __init__(self, failure: ReaderFailed) -> None:
        super().__init__(str(failure))
        self.failure = failure


class ChatClient:
    """Asks one server.

    Args:
        config: How.
        sleep: Waits between tries.

    Raises:
        MissingExtra: httpx is not installed.
    """

    def __init__(self, config: ChatConfig, sleep: Callable[[float], None] = time.sleep) -> None:
        self.config = config
        self._httpx = _httpx()
        self._sleep = sleep

    @property
    def url(self) -> str:
        """Where questions go."""
        return f"{self.config.base_url.rstrip('/')}/chat/completions"

    def ask(self, body: dict[str, Any]) -> Reply:
        """The reply to one request.

        Args:
            body: Of the request; that it is streamed is added.

        Raises:
            ReaderFailed: It cannot be had; the message names the server and says what to do.
            Refused: The server will not take this request, and might take another.
        """
        for left in range(self.config.retries, -1, -1):
            try:
                return self._ask_once({**body, "stream": True})
            except _Transient as transient:
                if left == 0:
                    raise transient.failure from transient.__cause__
                tries = self.config.retries - left
                self._sleep(_wait(self.config.backoff_seconds * 2**tries, transient.retry_after))
        raise AssertionError("there is at least one try")

    def _ask_once(self, body: dict[str, Any]) -> Reply:
        httpx, config = self._httpx, self.config
        timeout = httpx.Timeout(config.silence_seconds, connect=config.connect_seconds)
        key = os.environ.get(config.key_env, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        ends = time.monotonic() + config.total_seconds
        try:
            with (
                httpx.Client(timeout=timeout) as client,
                client.stream("POST", self.url, json=body, headers=headers) as response,
            ):
                if response.status_code != 200:
                    raise self._refusal(response.status_code, response.headers, _start_of(response), key)
                if response.headers.get("content-type", "").startswith("text/event-stream"):
                    return self._streamed(response.iter_lines(), ends, key)
                return self._whole(b"".join(self._in_time(response.iter_bytes(), ends)), key)
        except httpx.ConnectTimeout as e:
            raise self._passing("unreachable", f"no connection within {config.connect_seconds:g} s") from e
        except httpx.ConnectError as e:
            raise self._passing("unreachable", "nothing answers there; start the server, or check the URL") from e
        except httpx.TimeoutException as e:
            raise self._passing("timeout", f"nothing came for {config.silence_seconds:g} s; allow more time") from e
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as e:
            raise self._passing("broken_off", "the connection broke off in the middle of the reply") from e
        except httpx.HTTPError as e:
            raise self._failure("unreachable", f"{type(e).__name__}: {_clean(str(e), key)}") from e

    def _streamed(self, lines: Iterator[str], ends: float, key: str) -> Reply:
        pieces: list[str] = []
        reason: str | None = None
        is_done = False
        for line in self._in_time(lines, ends):
            if not line.startswith("data:"):
                continue  # comments that keep the connection alive, and fields we have no use for
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                is_done = True
                break
            choice = self._choice(data, key)
            pieces.append(_text_of(choice.get("delta")))
            reason = choice.get("finish_reason") or reason
        if not is_done and reason is None:
            raise self._passing("broken_off", "the reply ended before it was done")
        return Reply("".join(pieces), reason == "length")

    def _whole(self, body: bytes, key: str) -> Reply:
        """The reply of a server that does not stream."""
        choice = self._choice(body.decode("utf-8", "replace"), key)
        return Reply(_text_of(choice.get("message")), choice.get("finish_reason") == "length")

    def _choice(self, data: str, key: str) -> dict[str, Any]:
        """The first choice of a reply or of a piece of one; an empty one where a piece has none."""
        try:
            told = json.loads(data)
        except ValueError as e:
            raise self._failure("bad_reply", "what it answers is no JSON; is this an OpenAI-compatible server?") from e
        if isinstance(told, dict) and told.get("error"):
            raise self._failure("server_error", _clean(_message_of(told), key))
        if not isinstance(told, dict) or not isinstance(told.get("choices"), list):
            raise self._failure("bad_reply", "its answer has no choices; is this an OpenAI-compatible server?")
        first = told["choices"][0] if told["choices"] else {}
        return first if isinstance(first, dict) else {}

    def _in_time(self, pieces: Iterator[T], ends: float) -> Iterator[T]:
        """Pieces of a reply, as long as there is time: a server that says a little now and then never falls silent."""
        for piece in pieces:
            if time.monotonic() > ends:
                raise self._failure("timeout", f"the reply took more than {self.config.total_seconds:g} s")
            yield piece

    def _refusal(self, status: int, headers: Any, body: str, key: str) -> Exception:
        said = _clean(_told_in(body), key)
        failure = self._failure(*_meaning(status, said, self.config.key_env))
        if status in _TRANSIENT:
            return _Transient(failure, _seconds(headers.get("retry-after")))
        return Refused(failure) if status in (400, 404, 405, 415, 422, 501) else failure

    def _failure(self, code: ReaderErrorCode, what: str) -> ReaderFailed:
        return ReaderFailed(f"{self.url}: {what}", code=code)

    def _passing(self, code: ReaderErrorCode, what: str) -> _Transient:
        return _Transient(self._failure(code, what), None)


class _Transient(Exception):
    """A failure that may pass."""

    def __init__(self, failure: ReaderFailed, retry_after: float | None) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.retry_after = retry_after


def _httpx() -> ModuleType:
    try:
        import httpx
    except ImportError as e:
        raise MissingExtra("readers of api: need httpx: pip install 'mm-megacontext[api]'") from e
    return httpx


def _meaning(status: int, said: str, key_env: str) -> tuple[ReaderErrorCode, str]:
    """What a status and the message beside it mean."""
    told = f" ({said})" if said else ""
    lower = said.lower()
    if status in (401, 403):
        return "unauthorised", f"it does not accept the key{told}; set {key_env} in the environment"
    if status == 429:
        return "rate_limited", f"too many requests{told}; wait, or raise your limit there"
    if any(sign in lower for sign in _TOO_LONG) or status == 413:
        return "too_long", f"the question with its passages is too long for it{told}; give a smaller budget"
    if status == 404:
        return "unknown_model", f"it knows no such model, or has no chat completions there{told}; check model and URL"
    if 300 <= status < 400:
        return "refused", f"it leads elsewhere (status {status}); give the URL that it leads to"
    if status >= 500:
        return "server_error", f"the server failed with status {status}{told}; look at its log"
    return "refused", f"it refuses the request with status {status}{told}"


def _wait(most: float, retry_after: float | None) -> float:
    """How long to wait: as the server asks, else at random up to ``most``, so that many clients do not come at once."""
    wanted = random.uniform(0, most) if retry_after is None else retry_after
    return min(wanted, MOST_WAIT_SECONDS)


def _seconds(header: str | None) -> float | None:
    try:
        return max(float(header), 0.0) if header is not None else None
    except ValueError:  # a date: our own wait will do
        return None


def _start_of(response: Any) -> str:
    """The first bytes of a body, as text."""
    body = b""
    for piece in response.iter_bytes():
        body += piece
        if len(body) > 65_536:
            break
    return body.decode("utf-8", "replace")


def _told_in(body: str) -> str:
    try:
        told = json.loads(body)
    except ValueError:
        return "" if body.lstrip().startswith("<") else body
    return _message_of(told) if isinstance(told, dict) else ""


def _message_of(told: dict[str, Any]) -> str:
    error = told.get("error") or told.get("message") or told.get("detail") or ""
    return str(error.get("message", "")) if isinstance(error, dict) else str(error)


def _clean(text: str, key: str) -> str:
    """What a server says, on one line, short, and without the key."""
    line = " ".join((text.replace(key, "***") if key else text).split())
    return line if len(line) <= MOST_ERROR_CHARS else line[: MOST_ERROR_CHARS - 1] + "…"


def _text_of(message: object) -> str:
    """The text of a message or of a piece of one."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):  # parts, as some servers give them
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _without_user(url: str) -> str:
    return url.rpartition("@")[2]
