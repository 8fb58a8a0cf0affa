"""``api:MODEL``: a text reader behind an OpenAI-compatible server, such as vLLM, Ollama, llama.cpp or a hosted one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from mm_megacontext.bases.api.client import ChatClient, ChatConfig, Refused
from mm_megacontext.bases.replies import AS_JSON, AS_TEXT, INSTRUCTIONS, answer_schema, read_reply
from mm_megacontext.errors import InvalidReader, ReaderFailed
from mm_megacontext.passages.context import Context
from mm_megacontext.passages.counting import ESTIMATED, estimate_picture, estimate_tokens
from mm_megacontext.reading.base import Reading
from mm_megacontext.tree.nodes import Modality

Structured = Literal["auto", "schema", "plain"]
"""Whether the answer is asked for by a JSON schema: "auto" does so until the server refuses it."""

URL_ENV = "OPENAI_BASE_URL"
"""Environment variable that says where the server is, if nothing else does."""
_NEW_LENGTH = "max_completion_tokens"
"""What newer models of OpenAI call the longest reply; they refuse the older name."""
PER_MESSAGE = 8
"""Tokens that a chat template puts around a message, at most."""


class ApiReader:
    """Satisfies ``TextReader``.

    Args:
        model: Name of the model, as the server knows it.
        base_url: Where the server is, as in ``http://127.0.0.1:8000/v1``; else ``OPENAI_BASE_URL`` of the environment.
            There is no default: documents go nowhere that was not named.
        images: Whether the model sees: crops of pictures are sent along.
        structured: How the answer is asked for.
        tokenizer: Counts the budget in the model's own tokens: a ``tokenizer.json``, or a function that counts the
            tokens of a text. Without one they are estimated from above.
        max_tokens: The longest reply.
        temperature: Of the draws; 0 takes the likeliest token.
        client: Asks the server; by default one for ``base_url``.
        chat: Options of ``ChatConfig``, by name, as ``silence_seconds=300``.

    Raises:
        InvalidReader: No server is named, or an option does not fit.
        MissingExtra: httpx is not installed.
    """

    is_calibrated = False

    def __init__(
        self,
        model: str = "",
        base_url: str | None = None,
        *,
        images: bool = False,
        structured: Structured = "auto",
        tokenizer: str | Path | Callable[[str], int] | None = None,
        max_tokens: int = 1024,
        temperature: float = 0.0,
        client: ChatClient | None = None,
        **chat: Any,
    ) -> None:
        if not model:
            raise InvalidReader("name the model, as in api:qwen2.5-7b-instruct")
        if structured not in get_args(Structured):
            raise InvalidReader(f"structured must be one of {', '.join(get_args(Structured))}, got {structured!r}")
        self._model = model
        self._client = client or ChatClient(_config(base_url, chat))
        self._form = _Form(has_schema=structured != "plain")
        self._may_fall_back = structured == "auto"
        self._count, self.budget_unit = _counter(tokenizer)
        self._max_tokens, self._temperature = max_tokens, temperature
        self.modalities: tuple[Modality, ...] = ("text", "image") if images else ("text",)

    def __repr__(self) -> str:
        return f"<ApiReader {self.id} at {self._client.config.base_url}>"

    @property
    def id(self) -> str:
        return f"api:{self._model}"

    def cost(self, context: Context) -> int:
        """Tokens of instructions, passages and question; those of pictures are estimated from above."""
        pictures = [p.image for p in context.passages if p.image is not None and "image" in self.modalities]
        text = f"{_instructions(context.ids, self._form)}\n{_text_of(context.to_messages(images=False))}"
        return self._count(text) + 2 * PER_MESSAGE + sum(estimate_picture(*picture.size) for picture in pictures)

    def read(self, context: Context) -> Reading:
        """Ask the server; see ``TextReader.read``."""
        ids = [part.id for part in context.parts]
        reply = self._ask(context)
        if reply.is_cut_off:
            raise ReaderFailed(
                f"{self._client.url}: the reply was cut off after {self._max_tokens} tokens; allow more (max_tokens)",
                code="cut_off",
            )
        return read_reply(reply.text, ids)

    def _ask(self, context: Context) -> Any:
        """Ask in the form that the server took last, and in others while it refuses what another one does without."""
        form = self._form
        while True:
            try:
                reply = self._client.ask(self._body(context, form))
            except Refused as refused:
                if (other := form.without(refused.failure, self._may_fall_back)) is None:
                    raise refused.failure from refused
                form = other
            else:
                self._form = form
                return reply

    def _body(self, context: Context, form: _Form) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [
                {"role": "system", "content": _instructions(context.ids, form)},
                *context.to_messages(images="image" in self.modalities),
            ],
            form.length: self._max_tokens,
        }
        if form.has_temperature:
            body["temperature"] = self._temperature
        if form.has_schema and context.ids:
            body["response_format"] = answer_schema(context.ids)
        return body


@dataclass(frozen=True, slots=True)
class _Form:
    """What a request holds that not every server takes.

    Attributes:
        has_schema: Whether the form of the answer is asked for by a JSON schema.
        has_temperature: Whether a temperature is set; models that reason refuse it.
        length: What the longest reply is called.
    """

    has_schema: bool = True
    has_temperature: bool = True
    length: str = "max_tokens"

    def without(self, failure: ReaderFailed, may_drop_schema: bool) -> _Form | None:
        """The form to try after a server refused this one, or None if it is not to blame."""
        if failure.code != "refused":
            return None
        said = str(failure)
        if _NEW_LENGTH in said and self.length != _NEW_LENGTH:
            return replace(self, length=_NEW_LENGTH)
        if "temperature" in said and self.has_temperature:
            return replace(self, has_temperature=False)
        if self.has_schema and may_drop_schema:
            return replace(self, has_schema=False)
        return None


def _instructions(ids: Sequence[str], form: _Form) -> str:
    return f"{INSTRUCTIONS}\n{AS_JSON if form.has_schema and ids else AS_TEXT}"


def _config(base_url: str | None, chat: dict[str, Any]) -> ChatConfig:
    url = base_url or os.environ.get(URL_ENV)
    if not url:
        raise InvalidReader(
            f"name the server that the passages are sent to: base_url (--base-url), or {URL_ENV} in the environment"
        )
    return ChatConfig(base_url=url, **chat)


def _counter(tokenizer: str | Path | Callable[[str], int] | None) -> tuple[Callable[[str], int], str]:
    """What counts the tokens of a text, and the unit it counts in."""
    if tokenizer is None:
        return estimate_tokens, ESTIMATED
    if callable(tokenizer):
        return tokenizer, "tokens"
    from tokenizers import Tokenizer

    path = Path(tokenizer)
    if not path.is_file():
        raise InvalidReader(f"{path}: no such tokenizer.json")
    own = Tokenizer.from_file(str(path))
    return lambda text: len(own.encode(text).ids), "tokens"


def _text_of(messages: Sequence[dict[str, Any]]) -> str:
    return "\n".join(str(message["content"]) for message in messages)
