"""Models by name, and parts that do or do not belong together.

Oracles: the parts themselves; for ids, weights that were changed one tensor at a time.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from mm_megacontext.bases.finder import FINDER_DIR, Finder
from mm_megacontext.bases.native_base import NativeBase
from mm_megacontext.bases.native_files import TINY_DIR
from mm_megacontext.cli.main import main
from mm_megacontext.errors import IncompatibleGists, UnknownName
from mm_megacontext.memory import MegaContext
from mm_megacontext.models import MODELS, Model, assemble, open_model
from mm_megacontext.reading.lens import Lens
from mm_megacontext.reading.lens_net import LensNet
from mm_megacontext.reading.union_lens import UnionLensNet
from mm_megacontext.tree.text_gists import MeanTextGister
from mm_megacontext.vision.encoders import create_encoder
from mm_megacontext.vision.encoders.cnn import CnnEncoder
from mm_megacontext.vision.gists.gistnet import GistNet, GistNetConfig
from mm_megacontext.vision.gists.net_gister import NetGister, UnionGister
from mm_megacontext.vision.gists.tile_gister import MeanPool
from mm_megacontext.vision.gists.union_net import UnionNet
from tests.tiny import CONFIG, random_base, random_lens, random_model, tokenizer

TINY, FINDER = open_model("mmctx-tiny"), open_model("finder")


@pytest.mark.parametrize(("name", "directory", "own"), [("mmctx-tiny", TINY_DIR, TINY), ("finder", FINDER_DIR, FINDER)])
def test_a_name_and_a_directory_lead_to_the_same_model(name: str, directory: Path, own: Model, tmp_path: Path) -> None:
    copy = shutil.copytree(directory, tmp_path / "copy")
    if name == "mmctx-tiny":
        shutil.rmtree(copy / "finder")  # it lies below in the package
    assert open_model(copy).id == open_model(str(copy)).id == own.id
    assert MegaContext.open(tmp_path / "memory", model=name).identity == own.identity


def test_the_heart_of_the_readme_is_found_by_the_name_of_a_model(tmp_path: Path) -> None:
    """Oracle: where make_scene.py paints it."""
    with MegaContext.open(tmp_path / "memory", model="finder") as memory:
        memory.ingest(Path(__file__).parents[1] / "examples" / "scene.png")
        answer = memory.ask("Where is the pink heart marked E?")
        assert repr(memory) == f"<MegaContext '{tmp_path / 'memory'}': 1 source, read by {FINDER.reader.id}>"
    x0, y0, x1, y1 = answer.evidence[0].bbox
    assert 1844 <= (x0 + x1) / 2 < 1884
    assert 1137 <= (y0 + y1) / 2 < 1177


def test_an_unknown_model_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    said = r"no model is named 'psychic'; known: finder, mmctx-tiny, or a directory that `mmctx train` wrote"
    with pytest.raises(UnknownName, match=said):
        MegaContext.open(tmp_path / "memory", model="psychic")
    with pytest.raises(UnknownName, match="no base with a lens is there"):
        open_model(tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({"reader": "psychic"}))
    with pytest.raises(UnknownName, match="no kind of model is named 'psychic'; known: finder, native"):
        open_model(tmp_path)


@pytest.fixture
def mine() -> Iterator[Model]:
    base = random_base(5)
    model = Model.of(base, random_lens(base.id))
    MODELS.register("mine", lambda: model)
    yield model
    MODELS.unregister("mine")


def test_a_model_of_ones_own_has_a_name(mine: Model, tmp_path: Path) -> None:
    assert MegaContext.open(tmp_path / "memory", model="mine").model is not None
    assert open_model("mine") is mine


def test_single_parts_are_replaced() -> None:
    renamed = create_encoder("dct", 160)
    renamed.name = "other"  # type: ignore[misc]
    pool = NetGister(GistNet(GistNetConfig(dim=160)))
    words = MeanTextGister(lambda ids: np.zeros((len(ids), 160), np.float32), 160)
    changed = assemble(TINY, encoder=renamed, gister=pool, text_gister=words)
    assert (changed.encoder, changed.visual_gister, changed.text_gister) == (renamed, pool, words)
    assert changed.reader.id == TINY.reader.id
    assert changed.identity.differences(TINY.identity) == [
        "encoder other, not dct-160",
        f"image gistnet {pool.id}, not mean",
    ]
    assert assemble(base=TINY.reader, lens=TINY.lens).identity == TINY.identity


def test_another_lens_reads_the_same_memory_but_is_another_model() -> None:
    other = Lens(LensNet(TINY.lens.net.config))
    changed = assemble(lens=other)
    assert changed.identity == TINY.identity
    assert changed.id != TINY.id


def wrong_pairs() -> dict[str, tuple[Callable[[], object], str, str]]:
    """What is tried, and the names that the error must hold."""
    small = random_base()
    tiny, finder = TINY.reader, FINDER.reader
    union_of_words = Lens.from_pretrained(tiny.id, FINDER_DIR / "lens")
    two = MeanTextGister(tiny.embed_tokens, tiny.dim, slots=2)
    other = UnionGister(UnionNet(FINDER.visual_gister.net.config))  # type: ignore[attr-defined]
    return {
        "finder, default lens": (lambda: assemble(base=finder), finder.id, tiny.id),
        "finder, mean gists": (lambda: assemble(base=finder, lens=FINDER.lens), finder.id, "makes mean"),
        "finder, other unions": (lambda: assemble(FINDER, gister=other), finder.id, other.id),
        "finder, other encoder": (
            lambda: assemble(FINDER, encoder=create_encoder("dct", 160)),
            FINDER.encoder.name,
            "dct-160",
        ),
        "tiny, finder's lens": (lambda: assemble(lens=FINDER.lens), tiny.id, finder.id),
        "tiny, a lens of unions": (lambda: assemble(lens=union_of_words), tiny.id, union_of_words.id),
        "another base, default lens": (lambda: assemble(base=small), small.id, tiny.id),
        "a lens of another length": (
            lambda: assemble(base=small, lens=random_lens(small.id, 16)),
            small.id,
            "gists of 16 numbers",
        ),
        "tiny, gists of two slots": (lambda: assemble(text_gister=two), two.id, tiny.id),
        "tiny, gists of another length": (
            lambda: assemble(text_gister=MeanTextGister(small.embed_tokens, small.dim)),
            "vectors of 32",
            tiny.id,
        ),
        "tiny, a narrow encoder": (lambda: assemble(encoder=create_encoder("dct", 24)), "dct-24", "mmctx-tiny"),
    }


@pytest.mark.parametrize("pair", wrong_pairs())
def test_what_does_not_belong_together_is_an_error_with_both_names(pair: str) -> None:
    make, one, other = wrong_pairs()[pair]
    with pytest.raises(IncompatibleGists) as caught:
        make()
    assert one in str(caught.value)
    assert other in str(caught.value)


def test_a_finder_without_its_parts_is_no_silent_failure(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleGists, match=r"finder-.*mmctx-tiny-|mmctx-tiny-.*finder-"):
        MegaContext.open(tmp_path / "memory", base=Finder.from_pretrained())


def test_what_a_memory_was_made_with_is_told_apart(tmp_path: Path) -> None:
    base = random_base()
    with MegaContext.open(tmp_path / "memory", base=base, lens=random_lens(base.id)) as memory:
        (tmp_path / "a.txt").write_text("The passphrase is Quorl-77")
        memory.ingest(tmp_path / "a.txt")
    with pytest.raises(
        IncompatibleGists, match=rf"it has base {base.id}, not {TINY.reader.id}, encoder dct-32, not dct"
    ):
        MegaContext.open(tmp_path / "memory")


@pytest.mark.parametrize("slots", [2, 4])
def test_a_base_with_several_slots_reads_text_and_figures(slots: int, tmp_path: Path) -> None:
    """An ingest of a text file died of a bare ValueError where a base had two."""
    from PIL import Image

    base = NativeBase(
        random_model(config=replace(CONFIG, gist_slots=slots)), tokenizer(), create_encoder("dct", CONFIG.dim)
    )
    (tmp_path / "a.txt").write_text(" ".join(f"word{i}" for i in range(3000)))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)).save(tmp_path / "b.png")
    pool = MeanPool(slots=1)
    with MegaContext.open(tmp_path / "memory", base=base, lens=random_lens(base.id), gister=pool) as memory:
        for name in ("a.txt", "b.png"):
            assert memory.ingest(tmp_path / name).ingested
        assert memory.verify() == []
        for budget in (40, 200):
            assert memory.ask("word77", budget=budget).usage.cost <= budget
        assert (memory.inspect()["slots"], memory.inspect()["image_slots"]) == (slots, 1)


# --- ids


def native(model: nn.Module) -> str:
    return NativeBase(model, tokenizer(), create_encoder("dct", CONFIG.dim)).id  # type: ignore[arg-type]


def finder_with(part: str) -> Callable[[nn.Module], str]:
    def id_of(module: nn.Module) -> str:
        own = FINDER.reader
        assert isinstance(own, Finder)
        parts = {"words": own._words, "encoder": own.encoder, "net": own._net, "lens": own._lens}
        parts[part] = CnnEncoder(module) if part == "encoder" else module  # type: ignore[arg-type]
        return Finder(**parts).id  # type: ignore[arg-type]

    return id_of


def parts_with_weights() -> dict[str, tuple[Callable[[nn.Module], str], nn.Module]]:
    """What names a part, given its module, and the module."""
    net, lens, cnn = UnionNet.from_pretrained(FINDER_DIR / "gistnet"), FINDER.lens.net, FINDER.encoder
    assert isinstance(lens, UnionLensNet)
    assert isinstance(cnn, CnnEncoder)
    return {
        "native base": (native, random_model()),
        "lens": (lambda m: Lens(m).id, LensNet(TINY.lens.net.config)),
        "union lens": (lambda m: Lens(m).id, lens),
        "gistnet": (lambda m: NetGister(m).id, GistNet(GistNetConfig(dim=12, slots=2))),
        "union gists": (lambda m: UnionGister(m).id, net),
        "encoder": (lambda m: CnnEncoder(m).name, cnn.net),
        "finder's gists": (finder_with("net"), net),
        "finder's lens": (finder_with("lens"), lens),
        "finder's encoder": (finder_with("encoder"), cnn.net),
    }


PARTS = parts_with_weights()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_changing_any_tensor_of_any_part_changes_its_id(data: st.DataObject) -> None:
    id_of, module = PARTS[data.draw(st.sampled_from(sorted(PARTS)))]
    name = data.draw(st.sampled_from(sorted(module.state_dict())))
    changed = deepcopy(module)
    tensor = changed.state_dict()[name]
    before = tensor.clone()
    tensor.zero_()
    if torch.equal(tensor, before):
        tensor.add_(1)  # was zero
    assert id_of(changed) != id_of(module), name
    assert id_of(deepcopy(module)) == id_of(module)


def test_the_whole_of_a_qkv_names_the_base_and_the_finder_that_reads_its_words() -> None:
    """Each of these had the id of the words' embedding alone."""
    own = NativeBase.from_pretrained()
    changed = deepcopy(own.model)
    with torch.no_grad():
        changed.layers[0].qkv.weight.zero_()  # type: ignore[union-attr,operator]
    other = NativeBase(changed, own.tokenizer, own.encoder)
    assert other.id != own.id == TINY.reader.id
    finder = FINDER.reader
    assert isinstance(finder, Finder)
    assert Finder(other, finder.encoder, finder._net, finder._lens).id != finder.id


def test_settings_and_the_tokenizer_name_the_base() -> None:
    model = random_model()
    reference = native(model)
    assert native(random_model(config=replace(CONFIG, nowhere=0.0))) != reference
    shorter = type(tokenizer()).train(iter(["some words"]), 400)
    assert NativeBase(model, shorter, create_encoder("dct", CONFIG.dim)).id != reference


def test_a_tokenizer_is_named_by_what_it_does_not_by_how_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    told = json.loads((TINY_DIR / "tokenizer.json").read_text(encoding="utf-8"))
    file.write_text(json.dumps(told), encoding="utf-8")
    assert type(tokenizer()).from_file(file).fingerprint == tokenizer().fingerprint
    told["model"]["merges"].pop()
    file.write_text(json.dumps(told), encoding="utf-8")
    assert type(tokenizer()).from_file(file).fingerprint != tokenizer().fingerprint


def test_shipped_lenses_name_the_base_that_is_shipped() -> None:
    """If this fails, the weights or what names them have changed: write the id into both config.json of lenses."""
    for directory in (TINY_DIR / "lens", FINDER_DIR / "lens"):
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        assert config["base"] == NativeBase.from_pretrained().id


def copied_model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY_DIR, tmp_path / "model"))


def with_tensors(change: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        tensors = load_file(directory / "model.safetensors")
        change(tensors)
        save_file(tensors, directory / "model.safetensors")

    return damage


def first(tensors: dict[str, torch.Tensor]) -> str:
    return min(name for name, value in tensors.items() if value.dim() == 2)


def with_other_shape(tensors: dict[str, torch.Tensor]) -> None:
    tensors[first(tensors)] = torch.zeros(3, 5)


def with_nan(tensors: dict[str, torch.Tensor]) -> None:
    tensors[first(tensors)][0, 0] = float("nan")


def with_integers(tensors: dict[str, torch.Tensor]) -> None:
    tensors[first(tensors)] = tensors[first(tensors)].to(torch.int64)


def without_one(tensors: dict[str, torch.Tensor]) -> None:
    del tensors[first(tensors)]


def with_header_of(n_bytes: int) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        file = directory / "model.safetensors"
        file.write_bytes(struct.pack("<Q", n_bytes) + file.read_bytes()[8:])

    return damage


def with_lying_kind(directory: Path) -> None:
    """The header says that the same bytes are of a type of half the size."""
    file = directory / "model.safetensors"
    file.write_bytes(file.read_bytes().replace(b'"F32"', b'"F16"', 1))


def with_config(**changes: object) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        file = directory / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return damage


def with_text(name: str, text: str) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        (directory / name).write_text(text)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        with_tensors(with_other_shape),
        with_tensors(with_nan),
        with_tensors(with_integers),
        with_tensors(without_one),
        with_header_of(1 << 62),
        with_header_of(90_000_000),
        with_header_of(3),
        with_lying_kind,
        with_config(dim=10**9),
        with_config(n_heads=0),
        with_config(dim="wide"),
        with_config(unknown=1),
        with_text("config.json", "[]"),
        with_text("config.json", "[" * 100_000),
        with_text("config.json", "{"),
        with_text("tokenizer.json", "{}"),
        with_text("model.json", '{"writer": "native"}'),
        with_text("lens/config.json", '{"base": 3}'),
        with_text("lens/model.safetensors", ""),
    ],
)
def test_a_directory_of_lying_weights_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    directory = copied_model(tmp_path)
    damage(directory)
    (tmp_path / "a.txt").write_text("The harbour light.\n")
    assert main(["ask", str(tmp_path / "a.txt"), "What is it?", "--base", str(directory)]) in (1, 2)
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert "internal error" not in said
    assert "Recursion" not in said


def test_a_copied_model_is_the_model(tmp_path: Path) -> None:
    assert open_model(copied_model(tmp_path)).id == open_model("mmctx-tiny").id
