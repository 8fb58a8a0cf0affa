"""A context and its question as the inputs of a chat model of transformers, through its own template and processor.

Text of documents is data: what reads in it like a special token of the model (the end of a message, a picture) is
broken with a space, so that it is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import TemplateError

from mm_megacontext.bases.hf.loading import Loaded
from mm_megacontext.bases.replies import AS_TEXT, INSTRUCTIONS
from mm_megacontext.passages.context import Context
from mm_megacontext.passages.parts import Gap
from mm_megacontext.passages.rendering import gap_line

TOLD = f"{INSTRUCTIONS}\n{AS_TEXT}"

Finish = Callable[[str], str]
"""What is done with a text of the user's message in the end, when it holds no special token any more."""


def inputs_of(
    loaded: Loaded,
    context: Context,
    *,
    images: bool,
    line_of: Callable[[Gap], str] = gap_line,
    finish: Finish = str,
) -> Mapping[str, Any]:
    """Tensors of one prompt, on the CPU; ``input_ids`` (1, n) among them.

    A model without a chat template continues a plain text: what it is told, the passages, the question, "Answer:".

    Args:
        loaded: The model.
        context: What is shown.
        images: Whether pictures of it are.
        line_of: What is said of a gap.
        finish: See there.
    """
    parts = _parts(loaded, context, images and loaded.sees, line_of, finish)
    if getattr(loaded.processor, "chat_template", None) is None:
        text = f"{TOLD}\n\n{_text_of(parts)}\nAnswer:"
        return dict(loaded.tokenizer(text, return_tensors="pt"))
    try:
        return _templated(loaded, [_message("system", loaded, [_text(TOLD)]), _message("user", loaded, parts)])
    except TemplateError:  # templates of Gemma and early Mistral refuse a system message, by raising
        return _templated(loaded, [_message("user", loaded, [_text(f"{TOLD}\n\n"), *parts])])


def broken(text: str, loaded: Loaded) -> str:
    """A text without special tokens: there is a space behind their first character."""
    tokens = {token.content for token in loaded.tokenizer.added_tokens_decoder.values() if token.special}
    tokens.update(loaded.tokenizer.all_special_tokens)
    for token in sorted(tokens, key=lambda one: (-len(one), one)):
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def _parts(
    loaded: Loaded, context: Context, images: bool, line_of: Callable[[Gap], str], finish: Finish
) -> list[dict[str, Any]]:
    """The user's message: texts, and pictures where they are shown."""
    pictures = iter([passage.image for passage in context.passages if passage.image is not None])
    (message,) = context.to_messages(images=images, line_of=line_of)
    content = message["content"]
    told = [_text(content)] if isinstance(content, str) else content
    return [
        _text(finish(broken(part["text"], loaded)))
        if part["type"] == "text"
        else {"type": "image", "image": next(pictures)}
        for part in told
    ]


def _templated(loaded: Loaded, messages: list[dict[str, Any]]) -> Mapping[str, Any]:
    return dict(
        loaded.processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
    )


def _message(role: str, loaded: Loaded, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Processors take parts, templates of tokenizers plain text."""
    return {"role": role, "content": parts if loaded.sees else _text_of(parts)}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _text_of(parts: list[dict[str, Any]]) -> str:
    return "".join(part["text"] for part in parts)
