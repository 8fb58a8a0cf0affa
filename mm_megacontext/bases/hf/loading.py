"""Models of transformers, loaded with what turns text and pictures into their inputs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from mm_megacontext.errors import InvalidReader, MissingExtra, ReaderFailed


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A model and what belongs to it.

    Attributes:
        name: As it was asked for, with the commit where a hub gave it.
        model: In evaluation mode.
        processor: Of a model that sees, its processor; else its tokenizer.
        tokenizer: Of its text.
        sees: Whether pictures can stand in its messages.
    """

    name: str
    model: Any
    processor: Any
    tokenizer: Any
    sees: bool

    @property
    def device(self) -> torch.device:
        """Where its inputs belong."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @property
    def window(self) -> int | None:
        """The most positions it was made for, as its configuration says; None where it says nothing."""
        config = self.model.config.get_text_config()
        found = getattr(config, "max_position_embeddings", None)
        return found if isinstance(found, int) and found > 0 else None

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end a reply."""
        told = self.model.generation_config.eos_token_id
        ids = told if isinstance(told, list) else [told, self.tokenizer.eos_token_id]
        return frozenset(id for id in ids if id is not None)

    def check_length(self, n: int, max_tokens: int) -> None:
        """Refuse a prompt of ``n`` tokens that the model has no room for, with its reply.

        Raises:
            ReaderFailed: And which budget fits.
        """
        if self.window is not None and n + max_tokens > self.window:
            raise ReaderFailed(
                f"hf:{self.name}: the prompt has {n} tokens, with the reply {n + max_tokens}, and the model was made "
                f"for {self.window}; give a budget of {self.window - max_tokens} or less",
                code="too_long",
            )


def load(name: str, options: Mapping[str, Any]) -> Loaded:
    """Load a model from a directory or, by its name, from the hub or its cache.

    Args:
        name: A directory that ``save_pretrained`` wrote, or a name such as ``org/model``.
        options: For ``from_pretrained``, as ``dtype``, ``device_map``, ``quantization_config``, ``revision``,
            ``attn_implementation``.

    Raises:
        MissingExtra: transformers is not installed, or something that this model or an option needs.
        InvalidReader: It cannot be loaded, or is of a family that neither continues nor answers.
    """
    transformers = _transformers()
    given = {"dtype": "auto", **options}
    hub = {key: given[key] for key in ("revision", "token", "trust_remote_code", "cache_dir") if key in given}
    path = str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    with _told(name), _quiet(transformers):
        config = transformers.AutoConfig.from_pretrained(path, **hub)
        sees = config.model_type in transformers.models.auto.modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        kind = transformers.AutoModelForImageTextToText if sees else transformers.AutoModelForCausalLM
        processor = (transformers.AutoProcessor if sees else transformers.AutoTokenizer).from_pretrained(path, **hub)
        model = kind.from_pretrained(path, **given).eval()
    if "device_map" not in given and torch.cuda.is_available():
        model = model.to("cuda")
    commit = getattr(config, "_commit_hash", None)
    return Loaded(
        name=f"{name}@{commit[:12]}" if commit else name,
        model=model,
        processor=processor,
        tokenizer=processor.tokenizer if sees else processor,
        sees=sees,
    )


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Errors of transformers as one line that names the model."""
    try:
        yield
    except ImportError as error:
        raise MissingExtra(f"hf:{name}: {_first_line(error)}") from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InvalidReader(
            f"hf:{name} cannot be loaded ({_first_line(error)}); give a directory of transformers, or a name that its "
            "hub or cache has"
        ) from error


@contextmanager
def _quiet(transformers: ModuleType) -> Iterator[None]:
    """No bars of progress where nobody watches."""
    logging = transformers.utils.logging
    if sys.stderr.isatty() or not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _transformers() -> ModuleType:
    try:
        return importlib.import_module("transformers")
    except ImportError as e:
        raise MissingExtra("readers of hf: need transformers: pip install 'mm-megacontext[hf]'") from e
