"""Examines the installation: versions, devices, optional extras, and what is missing."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import mm_megacontext
from mm_megacontext.errors import first_words

REQUIRED = {
    "torch": "torch",
    "pylance": "lance",
    "pyarrow": "pyarrow",
    "numpy": "numpy",
    "pillow": "PIL",
    "pypdfium2": "pypdfium2",
    "jaxtyping": "jaxtyping",
    "lazy_loader": "lazy_loader",
    "msgpack": "msgpack",
    "tokenizers": "tokenizers",
    "safetensors": "safetensors",
    "huggingface_hub": "huggingface_hub",
    "filelock": "filelock",
    "platformdirs": "platformdirs",
    "lxml": "lxml",
    "pikepdf": "pikepdf",
    "fonttools": "fontTools",
    "tinycss2": "tinycss2",
    "cssselect2": "cssselect2",
    "charset-normalizer": "charset_normalizer",
}
"""Distributions that everything needs, and the module each of them brings."""

EXTRAS = {
    "pymupdf": ("pymupdf",),
    "office": ("mammoth", "pymupdf"),
    "api": ("httpx",),
    "hf": ("jinja2", "peft", "transformers"),
    "semantic": ("model2vec", "onnxruntime", "sentence-transformers", "tokenizers"),
    "vision": ("open_clip_torch", "timm"),
    "vips": ("pyvips",),
    "langchain": ("langchain-core",),
    "llamaindex": ("llama-index-core",),
    "haystack": ("haystack-ai",),
    "gpu": ("xformers",),
}
"""Extras for users, and the distributions of each."""

REGISTRIES = {
    "models": "mm_megacontext.models:MODELS",
    "model_kinds": "mm_megacontext.models:MODEL_KINDS",
    "readers": "mm_megacontext.models:READERS",
    "lenses": "mm_megacontext.reading.lens:LENS_NETS",
    "text_gisters": "mm_megacontext.tree.text_gists:TEXT_GISTERS",
    "visual_gisters": "mm_megacontext.vision.gists.registry:VISUAL_GISTERS",
    "encoders": "mm_megacontext.vision.encoders:ENCODERS",
    "embedders": "mm_megacontext.embedders:EMBEDDERS",
    "layout_engines": "mm_megacontext.layout.engines.protocol:ENGINES",
    "tasks": "mm_megacontext.eval.task:TASKS",
    "systems": "mm_megacontext.eval.systems:SYSTEMS",
    "metrics": "mm_megacontext.eval.metrics:METRICS",
}
"""What is chosen by name, and the registry of each."""

WEIGHTS = ("model.safetensors", "config.json", "tokenizer.json", "lens/model.safetensors", "lens/config.json")
"""What ``mmctx-tiny`` and its lens consist of."""

_TESSERACT_SECONDS = 10
_TYPICAL_HEAD_DIM = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found.

    Attributes:
        packages: Version of every distribution in ``REQUIRED`` and ``EXTRAS``, None where it is not installed.
        extras: Extra to the distributions that it lacks here.
        devices: What torch can compute on, the best last.
        attention: The attention kernel that the bases use here.
        attention_backends: Device to the backend of ``attention.attend`` there, and what keeps xformers from it.
        models: Files of the model that are in the package.
        names: What can be chosen by name, of each kind, and where it comes from; see ``REGISTRIES``.
        problems: Why nothing, or not everything, will work; empty if all is well.
    """

    version: str
    python: str
    platform: str
    packages: dict[str, str | None]
    extras: dict[str, tuple[str, ...]]
    devices: tuple[str, ...]
    threads: int
    attention: str
    attention_backends: dict[str, dict[str, str | None]]
    tesseract: str | None
    models: tuple[str, ...]
    names: dict[str, dict[str, str]]
    cache: str
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The documented JSON object of ``mmctx doctor``."""
        return {
            "ok": not self.problems,
            "version": self.version,
            "python": self.python,
            "platform": self.platform,
            "packages": self.packages,
            "extras": {name: list(missing) for name, missing in self.extras.items()},
            "devices": list(self.devices),
            "threads": self.threads,
            "attention": self.attention,
            "attention_backends": self.attention_backends,
            "tesseract": self.tesseract,
            "models": list(self.models),
            "names": self.names,
            "cache": self.cache,
            "problems": list(self.problems),
        }


def examine() -> Examination:
    """Look at this installation. Imports every required library, so it takes some seconds."""
    packages = {name: find_version(name) for name in (*REQUIRED, *(n for names in EXTRAS.values() for n in names))}
    models = find_models()
    cache = find_cache()
    problems = find_broken()
    if models != WEIGHTS:
        missing = ", ".join(name for name in WEIGHTS if name not in models)
        problems.append(f"the package lacks {missing} of its model: install it again")
    if not is_writable(cache):
        problems.append(f"cannot write to the cache directory {cache}: ask with --memory DIR")
    devices, threads = find_devices()
    backends = find_attention(devices)
    return Examination(
        version=mm_megacontext.__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        packages=packages,
        extras={extra: tuple(n for n in names if packages[n] is None) for extra, names in EXTRAS.items()},
        devices=devices,
        threads=threads,
        attention="xformers" if any(one["backend"] == "xformers" for one in backends.values()) else "torch sdpa",
        attention_backends=backends,
        tesseract=find_tesseract(),
        models=models,
        names=find_names(),
        cache=str(cache),
        problems=tuple(problems),
    )


def find_version(distribution: str) -> str | None:
    """The installed version of ``distribution``, None if there is none."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def find_broken() -> list[str]:
    """One line for each required library that cannot be imported."""
    problems = []
    for distribution, module in REQUIRED.items():
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken binary can raise anything, and the doctor must live to tell
            problems.append(f"{distribution} does not import ({first_words(error)}): pip install {distribution}")
    return problems


def find_devices() -> tuple[tuple[str, ...], int]:
    """What torch can compute on, and its number of CPU threads."""
    try:
        import torch
    except ImportError:
        return ("cpu",), os.cpu_count() or 1
    gpus = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    return ("cpu", *gpus), torch.get_num_threads()


def find_attention(devices: tuple[str, ...]) -> dict[str, dict[str, str | None]]:
    """For each device, the backend that packed attention runs on, and what keeps xformers from it, None if nothing."""
    try:
        import torch

        from mm_megacontext import attention
    except ImportError:
        return {}
    found: dict[str, dict[str, str | None]] = {}
    for name in (device.partition(" ")[0] for device in devices):
        setting = attention.Setting.on(torch.device(name), torch.float16, _TYPICAL_HEAD_DIM)
        found[name] = {
            "backend": attention.backend_for(setting),
            "why_not_xformers": attention.why_not_xformers(setting),
        }
    return found


def find_models() -> tuple[str, ...]:
    """The files of ``WEIGHTS`` that came with the package."""
    folder = files("mm_megacontext.bases") / "weights"
    return tuple(name for name in WEIGHTS if folder.joinpath(name).is_file())


def find_names() -> dict[str, dict[str, str]]:
    """Name to origin of what every registry lists; none of a registry whose libraries do not import."""
    found = {}
    for kind, reference in REGISTRIES.items():
        with suppress(ImportError):  # ``find_broken`` says so
            found[kind] = {entry.name: entry.origin for entry in resolve_name(reference).listed()}
    return found


def find_tesseract() -> str | None:
    """Version line of the Tesseract on PATH, None if there is none."""
    path = shutil.which("tesseract")
    if path is None:
        return None
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_TESSERACT_SECONDS, check=False)
    return (done.stdout or done.stderr).partition("\n")[0].strip()


def find_cache() -> Path:
    """The directory under which files asked directly are kept."""
    from platformdirs import user_cache_path

    return user_cache_path("mm-megacontext", appauthor=False)


def is_writable(directory: Path) -> bool:
    """Whether ``directory`` can be written to, or made."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
