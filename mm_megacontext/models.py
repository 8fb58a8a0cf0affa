"""Models by name: what reads, with the lens, the gisters and the encoder that belong to it.

``open_model`` finds a model by the name that it is registered under, or in the directory that ``mmctx train`` wrote it
to. ``assemble`` puts single parts in the place of its own. Parts that do not belong together are refused.

``open_reader`` finds a text reader by its name, as in ``api:MODEL``; it reads the memory of any model.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_files import TINY_DIR
from mm_megacontext.digests import digest
from mm_megacontext.errors import IncompatibleGists, InvalidReader, UnknownName
from mm_megacontext.reading.base import Base, ReadsOwnGists, TakesEncoders, TextReader
from mm_megacontext.reading.function_reader import FunctionReader, ReadFunction
from mm_megacontext.reading.lens import Lens
from mm_megacontext.registry import Registry
from mm_megacontext.store.identity import Identity
from mm_megacontext.tree.nodes import PATCH_PX
from mm_megacontext.tree.text_gists import TEXT_GISTERS, TextGister
from mm_megacontext.vision.encoders import PatchEncoder
from mm_megacontext.vision.gists.registry import create_gister
from mm_megacontext.vision.gists.tile_gister import VisualGister
from mm_megacontext.weights import telling

DEFAULT = "mmctx-tiny"
"""The model that reads where none is named."""

MODEL_FILE = "model.json"
"""In the directory of a model: ``{"reader": NAME}``, a name in ``MODEL_KINDS``. What ``mmctx train`` wrote has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A reader and what belongs to it.

    Args:
        reader: Reads and answers.
        lens: Leads it to what a question is about.
        text_gister: Makes the gists of text.
        visual_gister: Makes the gists of images.

    Raises:
        IncompatibleGists: Two of them do not fit; the message names both.

    Example:
        >>> open_model("mmctx-tiny").encoder.name
        'dct-160'
    """

    reader: Base
    lens: Lens
    text_gister: TextGister
    visual_gister: VisualGister

    def __post_init__(self) -> None:
        self._check_encoder()
        self._check_lens()
        self._check_gisters()

    @classmethod
    def of(
        cls,
        reader: Base,
        lens: Lens,
        *,
        text_gister: TextGister | None = None,
        visual_gister: VisualGister | None = None,
    ) -> Model:
        """A model whose gists, if none are given, are means."""
        return cls(
            reader=reader,
            lens=lens,
            text_gister=text_gister or TEXT_GISTERS.get("mean")(reader, reader.gist_slots),
            visual_gister=visual_gister or create_gister("mean", reader.dim, reader.gist_slots),
        )

    @property
    def encoder(self) -> PatchEncoder:
        """Makes the vectors of image patches: the one that the reader sees with."""
        return self.reader.encoder

    @property
    def id(self) -> str:
        """Names the parts, all of them together."""
        parts = (self.reader.id, self.lens.id, self.text_gister.id, self.visual_gister.id, self.encoder.name)
        return f"{self.reader.id}/{digest([], {'parts': parts})}"

    @property
    def identity(self) -> Identity:
        """Whose gists a memory of this model holds. It does not name the lens: a memory may be read with another."""
        return Identity(
            base=self.reader.id,
            gistnet=self.text_gister.id,
            encoder=self.encoder.name,
            dim=self.reader.dim,
            slots=self.text_gister.slots,
            image_gistnet=self.visual_gister.id,
            image_slots=self.visual_gister.slots,
        )

    def _check_encoder(self) -> None:
        found, wanted = (self.encoder.dim, self.encoder.patch_px), (self.reader.dim, PATCH_PX)
        if found != wanted:
            raise IncompatibleGists(
                f"the encoder {self.encoder.name} makes vectors of {found[0]} from patches of {found[1]} px, the base "
                f"{self.reader.id} reads vectors of {wanted[0]} from patches of {wanted[1]} px: choose an encoder that "
                "makes these"
            )

    def _check_lens(self) -> None:
        lens, reader = self.lens, self.reader
        if lens.base != reader.id:
            raise IncompatibleGists(
                f"the lens {lens.id} reads gists of {lens.base}, the base is {reader.id}; give a lens that was trained "
                "for it, or the model by name"
            )
        if lens.net.config.gist_dim != reader.dim:
            raise IncompatibleGists(
                f"the lens {lens.id} reads gists of {lens.net.config.gist_dim} numbers, those of the base {reader.id} "
                f"have {reader.dim}; give a lens that was trained for it"
            )
        if lens.modalities is not None and not set(reader.modalities) <= set(lens.modalities):
            raise IncompatibleGists(
                f"the lens {lens.id} scores gists of {', '.join(lens.modalities)} only, the base {reader.id} reads "
                f"{', '.join(reader.modalities)}; give a lens that was trained for it"
            )

    def _check_gisters(self) -> None:
        reader, text, visual = self.reader, self.text_gister, self.visual_gister
        if text.dim != reader.dim:
            raise IncompatibleGists(
                f"the text gister {text.id} makes vectors of {text.dim}, the base {reader.id} reads vectors of "
                f"{reader.dim}; make one for this base"
            )
        for modality, kind, gister in (("text", "text", text), ("image", "visual", visual)):
            if modality not in reader.modalities:
                continue  # what it does not read may be as it likes
            if isinstance(reader, ReadsOwnGists) and gister.id != reader.gister_id:
                raise IncompatibleGists(
                    f"the base {reader.id} reads gists of {reader.gister_id}, the {kind} gister makes {gister.id}; "
                    "give the one that it was trained with, or the model by name"
                )
            if gister.slots != reader.gist_slots:
                raise IncompatibleGists(
                    f"the {kind} gister {gister.id} makes {gister.slots} vectors per gist, the base {reader.id} reads "
                    f"{reader.gist_slots}; make one with that many slots"
                )


def tiny() -> Model:
    """``mmctx-tiny``, which reads text."""
    return open_native(TINY_DIR)


def finder() -> Model:
    """The finder in the package, which points at objects in pictures."""
    from mm_megacontext.bases.finder import FINDER_DIR

    return open_finder(FINDER_DIR)


def open_native(directory: Path) -> Model:
    """What ``mmctx train base`` and ``mmctx train lens`` wrote; the lens lies in ``lens``.

    Raises:
        UnknownName: No lens lies beside the base.
        IncompatibleGists: The lens was trained with another base.
    """
    if not (directory / "lens").is_dir():
        raise UnknownName(
            f"{directory}: no base with a lens is there; give a directory that `mmctx train base` and then "
            "`mmctx train lens` wrote, the lens below the base, as in DIR and DIR/lens"
        )
    reader = NativeBase.from_pretrained(directory)
    return Model.of(reader, Lens.from_pretrained(reader.id, directory / "lens"))


def open_finder(directory: Path) -> Model:
    """What ``mmctx train finder`` wrote."""
    from mm_megacontext.bases.finder import Finder  # its networks are not imported where text is read

    reader = Finder.from_pretrained(directory)
    return Model.of(reader, reader.lens(), visual_gister=reader.gister())


MODELS = Registry[Callable[[], Model]](
    "model",
    group="mm_megacontext.models",
    built_in={DEFAULT: f"{__name__}:tiny", "finder": f"{__name__}:finder"},
    families=["or a directory that `mmctx train` wrote"],
)

MODEL_KINDS = Registry[Callable[[Path], Model]](
    "kind of model",
    group="mm_megacontext.model_kinds",
    built_in={"native": f"{__name__}:open_native", "finder": f"{__name__}:open_finder"},
)
"""Called with the directory of a model: see ``MODEL_FILE``."""

CONFIG_SUFFIX = ".json"
"""Of a file that says which reader is meant, with what options."""

READERS = Registry[Callable[..., TextReader]](
    "reader",
    group="mm_megacontext.readers",
    built_in={
        "api": "mm_megacontext.bases.api.reader:ApiReader",
        "hf": "mm_megacontext.bases.hf.reader:HfReader",
        "hf-embed": "mm_megacontext.bases.hf.embedding_reader:HfEmbeddingReader",
    },
)
"""Kinds of text readers. The reader ``KIND:WHAT`` is made by calling the entry with ``WHAT``, or with nothing if there
is no colon, and with options by name."""


def open_reader(name: str | TextReader | ReadFunction, **options: Any) -> TextReader:
    """The text reader of that name, as ``api:MODEL``; or one made of a function; or the one given.

    Args:
        name: ``KIND:WHAT`` with a kind of ``READERS``, a file ``*.json`` with such a ``reader`` and its ``options``, a
            function from a ``Context`` to an answer, or a reader.
        options: For the kind, by name: see ``ApiReader``, ``HfReader`` and ``HfEmbeddingReader`` below ``bases``.

    Raises:
        UnknownName: There is no such kind; the message lists those that there are.
        MissingExtra: The kind needs a library that is not installed.
        InvalidReader: An option does not fit, or the file is none of these.

    Example:
        >>> open_reader(lambda context: "42 [p1]").budget_unit
        'estimated tokens'
    """
    if not isinstance(name, str):
        if options:
            raise InvalidReader(f"options go with the name of a reader, got {', '.join(options)} with {name!r}")
        return _as_reader(name)
    if name.endswith(CONFIG_SUFFIX):
        name, told = _configured(Path(name))
        options = told | options
    kind, colon, what = name.partition(":")
    make = READERS.get(kind)
    return make(what, **options) if colon else make(**options)


def _configured(file: Path) -> tuple[str, dict[str, Any]]:
    """The name and options of a reader, as a file has them."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        name, options = content["reader"], content.get("options", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidReader(
            f'{file}: holds no reader ({error!r}); it needs {{"reader": "KIND:WHAT", "options": {{…}}}}'
        ) from error
    if not isinstance(name, str) or not isinstance(options, dict) or name.endswith(CONFIG_SUFFIX):
        raise InvalidReader(f"{file}: its reader must be a name, as hf:MODEL, and its options a JSON object")
    return name, options


def _as_reader(given: TextReader | ReadFunction) -> TextReader:
    if isinstance(given, TextReader):
        return given
    return FunctionReader(given)


def open_model(name: str | Path) -> Model:
    """The model of that name, or in that directory; a name goes before a directory, ``./name`` is a directory.

    Raises:
        UnknownName: It is neither.
        IncompatibleGists: What lies in the directory does not belong together.
    """
    if isinstance(name, str) and name in MODELS:
        return MODELS.get(name)()
    directory = Path(name)
    if not directory.is_dir():
        raise MODELS.unknown(str(name))
    return MODEL_KINDS.get(_kind_of(directory))(directory)


def assemble(
    model: Model | str | Path = DEFAULT,
    *,
    base: Base | None = None,
    lens: Lens | None = None,
    text_gister: TextGister | None = None,
    gister: VisualGister | None = None,
    encoder: PatchEncoder | None = None,
) -> Model:
    """A model with some parts in the place of its own.

    Args:
        model: The model, its name, or its directory.
        base: Another reader. Its gists, where none are given, are means; nothing of the model's is left but the lens.
        lens, text_gister, encoder: Others than the model's.
        gister: Another visual gister than the model's.

    Raises:
        UnknownName: There is no such model.
        IncompatibleGists: Two parts do not fit; the message names both.
    """
    if base is not None:
        reader = base if encoder is None else _seeing(base, encoder)
        lens = lens or _opened(model).lens
        return Model.of(reader, lens, text_gister=text_gister, visual_gister=gister)
    own = _opened(model)
    return replace(
        own,
        reader=own.reader if encoder is None else _seeing(own.reader, encoder),
        lens=lens or own.lens,
        text_gister=text_gister or own.text_gister,
        visual_gister=gister or own.visual_gister,
    )


def _opened(model: Model | str | Path) -> Model:
    return model if isinstance(model, Model) else open_model(model)


def _seeing(reader: Base, encoder: PatchEncoder) -> Base:
    if isinstance(reader, TakesEncoders):
        return reader.with_encoder(encoder)
    raise IncompatibleGists(
        f"the base {reader.id} sees with the encoder {reader.encoder.name} and takes no other, as {encoder.name}; "
        "leave the encoder away, or choose another model"
    )


def _kind_of(directory: Path) -> str:
    """The reader of a directory: as its file says, or told by what ``mmctx train`` leaves there."""
    file = directory / MODEL_FILE
    if file.is_file():
        with telling(file):
            return str(json.loads(file.read_text(encoding="utf-8"))["reader"])
    return "finder" if (directory / "gistnet").is_dir() else "native"
