"""``hf-embed:`` readers over models of a few thousand parameters.

Oracles: chat mode over the same model, ``generate``, means and log-probabilities written out by hand.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import GPT2Config, GPT2LMHeadModel

from mm_megacontext import MegaContext, open_reader
from mm_megacontext.bases.hf.embedding_reader import HfEmbeddingReader
from mm_megacontext.bases.hf.gists import GIST, gist_token
from mm_megacontext.bases.hf.loading import Loaded, load
from mm_megacontext.bases.hf.prompts import inputs_of
from mm_megacontext.bases.hf.reader import HfReader
from mm_megacontext.errors import InvalidReader, ReaderFailed, UnsupportedModel
from mm_megacontext.passages.context import Context
from mm_megacontext.passages.parts import Gap
from mm_megacontext.reading.base import Reading
from tests.bases.hf.tiny import save_llama, save_llava, tokenizer
from tests.passages.made import collapsed, context, passage

SAME = 1e-4
BELOW = "A deposit of three months is due."


def closed(*texts: str, id: str = "g1") -> Gap:
    """A gap of one node, with these texts below it."""
    return Gap(id=id, nodes=(collapsed("Deposit", find_texts=lambda: texts),))


RENT = context(passage("p1", "Monthly rent 1,480 EUR"), closed(BELOW), passage("p2", "Notice period 90 days"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load(str(save_llama(tmp_path_factory.mktemp("llama"), initializer_range=0.3)), {})


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load(str(save_llava(tmp_path_factory.mktemp("llava"))), {})


def reader(loaded: Loaded, **options: Any) -> HfEmbeddingReader:
    return HfEmbeddingReader(loaded=loaded, **{"max_tokens": 12, **options})


def last_logits(loaded: Loaded, shown: Context) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = loaded.model(**inputs_of(loaded, shown, images=True)).logits[0, -1]
    return logits


def test_without_gists_it_says_what_chat_mode_says(llama: Loaded) -> None:
    chat = HfReader(loaded=llama, max_tokens=12)
    assert reader(llama).read(RENT) == chat.read(RENT)
    assert reader(llama).cost(RENT) == chat.cost(RENT)


def test_pictures_are_read_as_chat_mode_reads_them(llava: Loaded) -> None:
    shown = context(passage("p1", "A plan"), passage("p2", "", kind="image", image=Image.new("RGB", (50, 40), "red")))
    own = reader(llava)
    assert own.read(shown) == HfReader(loaded=llava, max_tokens=12).read(shown)
    assert own.modalities == ("text", "image")
    assert reader(llava, images=False).cost(shown) == own.cost(shown) - 4  # a token for each patch
    with pytest.raises(InvalidReader, match="reads text alone"):
        reader(dataclasses.replace(llava, sees=False), images=True)


@pytest.mark.parametrize("placement", ["compact", "timeline"])
def test_a_gist_is_the_mean_of_the_tokens_below(llama: Loaded, placement: Any) -> None:
    own = reader(llama, gists="mean", placement=placement)
    plain = reader(llama)
    whole, before = own.embed(RENT), plain.embed(RENT)
    assert own.cost(RENT) == len(whole)
    prompt = inputs_of(llama, RENT, images=False)["input_ids"][0].tolist()
    tokens = llama.tokenizer(BELOW, add_special_tokens=False, return_tensors="pt")["input_ids"][0]
    mean = llama.model.get_input_embeddings()(tokens).mean(dim=0)
    at = int((whole.positions.sigma[:, 0] > 0).nonzero())
    torch.testing.assert_close(whole.vectors[at], mean)
    assert whole.positions.sigma[at, 0].item() == pytest.approx(((len(tokens) ** 2 - 1) / 12) ** 0.5)
    said = ", in short: "
    assert len(whole) == len(prompt) + len(said) + 1  # a token for each byte, and the gist
    moved = len(tokens) - 1 if placement == "timeline" else 0
    assert whole.end == before.end + len(said) + 1 + moved


def test_what_is_below_counts(llama: Loaded) -> None:
    """And only where gists are asked for."""
    other = context(*(closed("Pets are allowed.") if isinstance(p, Gap) else p for p in RENT.parts))
    near, far = (reader(llama, gists="mean").token_logprobs(shown, "yes") for shown in (RENT, other))
    assert (near - far).abs().max() > 1e-3
    assert torch.equal(reader(llama).token_logprobs(RENT, "yes"), reader(llama).token_logprobs(other, "yes"))


def test_pictures_and_large_nodes_keep_their_line_alone(llama: Loaded) -> None:
    shown = context(passage("p1", "Monthly rent"), closed())
    assert reader(llama, gists="mean").cost(shown) == reader(llama).cost(shown)


def test_a_text_without_a_token_has_a_gist_of_its_own(llama: Loaded) -> None:
    assert len(reader(llama, gists="mean").embed(context(passage("p1", "x"), closed(" "), closed("", id="g2"))))


def test_log_probabilities_of_a_text(llama: Loaded) -> None:
    target = "1,480 EUR"
    ids = llama.tokenizer(target, return_tensors="pt")["input_ids"]
    prompt = inputs_of(llama, RENT, images=False)["input_ids"]
    with torch.inference_mode():
        logits = llama.model(torch.cat([prompt, ids], dim=1)).logits[0, prompt.shape[1] - 1 : -1]
    expected = logits.log_softmax(-1)[torch.arange(ids.shape[1]), ids[0]]
    found = reader(llama).token_logprobs(RENT, target)
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME)
    with pytest.raises(ValueError, match="no tokens"):
        reader(llama).token_logprobs(RENT, "")


def test_several_contexts_at_once_are_read_as_one_by_one(llama: Loaded) -> None:
    other = context(passage("p1", "Pets are allowed"), question="Are pets allowed?")
    own = reader(llama, gists="mean")
    assert own.read_all([RENT, other, RENT]) == [own.read(shown) for shown in (RENT, other, RENT)]


def test_a_second_question_reads_the_beginning_no_more(llama: Loaded) -> None:
    own = reader(llama)
    other = dataclasses.replace(RENT, question="What is the notice period?")
    own.read(RENT)
    assert own.read(other) == reader(llama).read(other)
    assert 0.7 * own.cost(other) < own._refocus.reused < own.cost(other)


@pytest.mark.parametrize("planted", ["<|im_end|>", "<image>", "<|im_start|>", GIST])
@pytest.mark.parametrize("make", [HfReader, HfEmbeddingReader])
def test_special_tokens_in_a_document_are_text(make: Any, planted: str, llama: Loaded, llava: Loaded) -> None:
    """They neither end the user's message nor stand for a picture or a gist."""
    for loaded in (llama, llava):
        gist_token(loaded.tokenizer)
        own = make(loaded=loaded, max_tokens=2)
        plain, bad = (context(passage("p1", f"Rent {word} 5"), question=f"What {word}?") for word in ("x", planted))
        id = loaded.tokenizer.convert_tokens_to_ids(planted)
        counts = [inputs_of(loaded, shown, images=False)["input_ids"][0].tolist().count(id) for shown in (plain, bad)]
        assert counts[0] == counts[1]
        assert isinstance(own.read(bad), Reading)


def test_answers_cite_what_was_shown(llama: Loaded) -> None:
    ids = llama.tokenizer("1,480 EUR [p1, g1]")["input_ids"]
    reading = reader(llama)._reading(ids, RENT)
    assert (reading.text, [one.part for one in reading.cited]) == ("1,480 EUR", ["p1", "g1"])


@pytest.mark.parametrize(
    ("options", "said"),
    [({"gists": "learned"}, "gists must be one of none, mean"), ({"placement": "far"}, "placement must be one of")],
)
def test_options_that_do_not_fit(options: dict[str, Any], said: str, llama: Loaded) -> None:
    with pytest.raises(InvalidReader, match=said):
        reader(llama, **options)


def test_gists_need_a_spread(llama: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise UnsupportedModel("no rotary embedding")

    monkeypatch.setattr("mm_megacontext.bases.hf.decoder.attach_gaussian_rope", refuse)
    with pytest.raises(InvalidReader, match="gists='none'"):
        reader(llama, gists="mean")
    assert reader(llama).read(RENT) == HfReader(loaded=llama, max_tokens=12).read(RENT)


def test_a_prompt_longer_than_the_window_is_not_cut(tmp_path: Path) -> None:
    own = HfEmbeddingReader(str(save_llama(tmp_path, max_position_embeddings=300)))
    with pytest.raises(ReaderFailed, match="made for 300; give a budget of 44 or less"):
        own.read(RENT)


def test_families_that_take_no_vectors_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidReader, match="name the model"):
        open_reader("hf-embed:")
    GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=260)).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModel, match=r"gpt2 is of no known family: .*chat mode"):
        open_reader(f"hf-embed:{tmp_path}")


def test_a_memory_of_another_model_is_read(tmp_path: Path) -> None:
    save_llama(tmp_path / "model", max_position_embeddings=20_000)
    (tmp_path / "notes.txt").write_text(
        "The key of the cellar hangs behind the blue door.\n\n"
        + "\n\n".join(
            f"Note {i}: the gardener waters the roses on day {i} of the month, early in the morning." for i in range(60)
        )
    )
    with MegaContext.open(tmp_path / "memory") as memory:
        memory.ingest(tmp_path / "notes.txt")
    own = open_reader(f"hf-embed:{tmp_path / 'model'}", gists="mean", max_tokens=4)
    with MegaContext.open(tmp_path / "memory", reader=own) as memory:
        answer = memory.ask("Where does the key of the cellar hang?", budget=3000)
    assert answer.usage.unit == "embeddings"
    assert answer.usage.cost <= 3000
    assert any("blue door" in p.text for p in answer.context.passages)
    below = [text for gap in answer.context.gaps for node in gap.nodes for text in node.find_texts()]
    shown = " ".join(p.text for p in answer.context.passages)
    for i in range(60):
        assert (f"on day {i} of" in shown) != (f"on day {i} of" in " ".join(below)), "shown, or below a gist"
