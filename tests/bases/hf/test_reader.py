"""``hf:`` readers over models of a few thousand parameters: what they are shown, and what comes back.

Oracles: transformers' own template, processor and ``generate``, called here by hand.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from mm_megacontext import MegaContext, open_reader
from mm_megacontext.bases.hf.loading import Loaded, load
from mm_megacontext.bases.hf.reader import HfReader
from mm_megacontext.bases.replies import AS_TEXT
from mm_megacontext.cli.main import main
from mm_megacontext.errors import InvalidReader, ReaderFailed
from mm_megacontext.passages.context import Context
from tests.bases.hf.tiny import CHATML, NO_SYSTEM, save_llama, save_llava
from tests.passages.made import context, passage

RENT = context(passage("p1", "Monthly rent 1,480 EUR"), passage("p2", "Notice period 90 days"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load(str(save_llama(tmp_path_factory.mktemp("llama"))), {})


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load(str(save_llava(tmp_path_factory.mktemp("llava"))), {})


class Says:
    """A model that is asked as transformers is, and says one thing."""

    def __init__(self, loaded: Loaded, text: str) -> None:
        self.prompt = ""
        self.pictures = 0
        self._loaded, self._text = loaded, text

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loaded.model, name)

    def generate(self, input_ids: torch.Tensor, **given: Any) -> torch.Tensor:
        self.prompt = self._loaded.tokenizer.decode(input_ids[0])
        self.pictures = len(given.get("pixel_values", ()))
        said = self._loaded.tokenizer(self._text, return_tensors="pt")["input_ids"]
        return torch.cat([input_ids, said], dim=1)


def asked(loaded: Loaded, shown: Context, says: str, **options: Any) -> tuple[Any, Says]:
    model = Says(loaded, says)
    return HfReader(loaded=dataclasses.replace(loaded, model=model), **options).read(shown), model


def test_the_prompt_is_the_models_own_and_the_reply_is_read(llama: Loaded) -> None:
    reading, model = asked(llama, RENT, "1,480 EUR [p1]<|im_end|>")
    assert (reading.text, [c.part for c in reading.cited]) == ("1,480 EUR", ["p1"])
    told = model.prompt
    assert told.startswith("<|im_start|>system\n")
    assert AS_TEXT in told
    assert "> Monthly rent 1,480 EUR" in told
    assert told.endswith("Question: What is the rent?<|im_end|>\n<|im_start|>assistant\n")


def test_it_says_what_generate_says(llama: Loaded) -> None:
    (message,) = RENT.to_messages()
    _, model = asked(llama, RENT, "")
    ids = llama.tokenizer(model.prompt, return_tensors="pt")["input_ids"]
    assert message["content"] in model.prompt
    said = llama.model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
    heard = HfReader(loaded=llama, max_tokens=12).read(RENT).text
    assert heard == llama.tokenizer.decode(said, skip_special_tokens=True).strip()


def test_the_budget_counts_its_own_tokens(llama: Loaded) -> None:
    _, model = asked(llama, RENT, "")
    assert HfReader(loaded=llama).cost(RENT) == len(llama.tokenizer(model.prompt)["input_ids"])


@pytest.mark.parametrize(("template", "first"), [(NO_SYSTEM, "<|im_start|>user\nYou answer"), (None, "You answer")])
def test_templates_without_a_system_message_and_models_without_a_template(
    template: str | None, first: str, tmp_path: Path
) -> None:
    loaded = load(str(save_llama(tmp_path, template)), {})
    _, model = asked(loaded, RENT, "x")
    assert model.prompt.startswith(first)
    assert "> Notice period 90 days" in model.prompt
    assert model.prompt.endswith("Answer:" if template is None else "assistant\n")


def test_a_prompt_longer_than_the_window_is_not_cut(tmp_path: Path) -> None:
    reader = HfReader(str(save_llama(tmp_path, CHATML, max_position_embeddings=300)))
    with pytest.raises(ReaderFailed, match="made for 300; give a budget of 44 or less") as failed:
        reader.read(RENT)
    assert failed.value.code == "too_long"


def test_pictures_are_shown_to_models_that_see(llava: Loaded) -> None:
    picture = Image.new("RGB", (50, 40), "red")
    shown = context(passage("p1", "A plan"), passage("p2", "", kind="image", image=picture))
    reading, model = asked(llava, shown, "red [p2]")
    assert (reading.text, reading.cited[0].part) == ("red", "p2")
    assert model.pictures == 1
    assert model.prompt.count("<image>") == 4  # one for each patch
    assert model.prompt.index("[p2]") < model.prompt.index("<image>") < model.prompt.index("Question:")
    _, model = asked(llava, shown, "red", images=False)
    assert (model.pictures, model.prompt.count("<image>")) == (0, 0)
    assert HfReader(loaded=llava).modalities == ("text", "image")
    with pytest.raises(InvalidReader, match="reads text alone"):
        HfReader(loaded=dataclasses.replace(llava, sees=False), images=True)


def test_the_sight_of_a_real_model_changes_what_it_says(llava: Loaded) -> None:
    """So pixels do arrive: two pictures of one size differ in nothing else."""
    reader = HfReader(loaded=llava, max_tokens=12)
    red, noise = Image.new("RGB", (28, 28), "red"), Image.effect_noise((28, 28), 200).convert("RGB")
    said = [llava.model(**_inputs(llava, picture)).logits[0, -1] for picture in (red, noise)]
    assert not torch.allclose(said[0], said[1])
    assert reader.cost(_with(red)) == reader.cost(_with(noise))


def _with(picture: Image.Image) -> Context:
    return context(passage("p1", "", kind="image", image=picture))


def _inputs(loaded: Loaded, picture: Image.Image) -> Any:
    from mm_megacontext.bases.hf.prompts import inputs_of

    return inputs_of(loaded, _with(picture), images=True)


@pytest.mark.parametrize(
    ("name", "said"), [("nowhere/at-all", "nowhere/at-all cannot be loaded"), ("", "name the model")]
)
def test_models_that_are_none(name: str, said: str) -> None:
    with pytest.raises(InvalidReader, match=said):
        open_reader(f"hf:{name}")


def test_a_directory_that_lacks_its_weights_is_one_line(tmp_path: Path) -> None:
    save_llama(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InvalidReader, match="cannot be loaded") as failed:
        open_reader(f"hf:{tmp_path}")
    assert "\n" not in str(failed.value)


def test_a_memory_of_another_model_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_llama(tmp_path / "model")
    (tmp_path / "notes.txt").write_text("The key of the cellar hangs behind the blue door.")
    with MegaContext.open(tmp_path / "memory") as memory:
        memory.ingest(tmp_path / "notes.txt")
    with MegaContext.open(tmp_path / "memory", reader=f"hf:{tmp_path / 'model'}") as memory:
        answer = memory.ask("Where does the key hang?", budget=3000)
        assert answer.usage.unit == "tokens"
        assert any("blue door" in p.text for p in answer.context.passages)
    assert main(["context", str(tmp_path / "memory"), "Where does the key hang?"]) == 0
    assert "blue door" in capsys.readouterr().out
