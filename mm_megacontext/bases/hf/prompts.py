"""A context and its question as the inputs of a chat model of transformers, through its own template and processor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import TemplateError

from mm_megacontext.bases.hf.loading import Loaded
from mm_megacontext.bases.replies import AS_TEXT, INSTRUCTIONS
from mm_megacontext.passages.context import Context

TOLD = f"{INSTRUCTIONS}\n{AS_TEXT}"


def inputs_of(loaded: Loaded, context: Context, *, images: bool) -> Mapping[str, Any]:
    """Tensors of one prompt, on the CPU; ``input_ids`` (1, n) among them.

    A model without a chat template continues a plain text: what it is told, the passages, the question, "Answer:".

    Args:
        loaded: The model.
        context: What is shown.
        images: Whether pictures of it are.
    """
    if getattr(loaded.processor, "chat_template", None) is None:
        text = f"{TOLD}\n\n{_text_of(context)}\nAnswer:"
        return dict(loaded.tokenizer(text, return_tensors="pt"))
    asked = _user(loaded, context, images)
    try:
        return _templated(loaded, [_message("system", loaded, TOLD), asked])
    except TemplateError:  # templates of Gemma and early Mistral refuse a system message, by raising
        told = _message("user", loaded, f"{TOLD}\n\n")["content"]
        return _templated(loaded, [{"role": "user", "content": told + asked["content"]}])


def _templated(loaded: Loaded, messages: list[dict[str, Any]]) -> Mapping[str, Any]:
    return dict(
        loaded.processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
    )


def _message(role: str, loaded: Loaded, text: str) -> dict[str, Any]:
    """Processors take parts, templates of tokenizers plain text."""
    return {"role": role, "content": [{"type": "text", "text": text}] if loaded.sees else text}


def _user(loaded: Loaded, context: Context, images: bool) -> dict[str, Any]:
    if not loaded.sees:
        return _message("user", loaded, _text_of(context))
    pictures = iter([passage.image for passage in context.passages if passage.image is not None])
    (message,) = context.to_messages(images=images)
    content = message["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    shown = [part if part["type"] == "text" else {"type": "image", "image": next(pictures)} for part in parts]
    return {"role": "user", "content": shown}


def _text_of(context: Context) -> str:
    (message,) = context.to_messages(images=False)
    return str(message["content"])
