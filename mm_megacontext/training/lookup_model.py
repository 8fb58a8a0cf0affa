"""One training forward of the native base: a context read once, many questions behind it.

Questions see the context and themselves, not each other: each is what reading gives a single question.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mm_megacontext.bases.native import Inputs, Layer, NativeModel, Prepared
from mm_megacontext.training.data.contexts import Batch
from mm_megacontext.tree.blocks import ROLE_INDEX


class Losses(NamedTuple):
    """Means over answer tokens, in nats; ``right`` is the share of questions whose every answer token is the argmax."""

    answer: Tensor
    copy: Tensor
    right: Tensor
    right_absent: Tensor


class LookupTensors(NamedTuple):
    """A batch as tensors: entries and questions in one sequence."""

    inputs: Inputs
    valid: Tensor
    n_questions: int
    answer_at: Tensor
    targets: Tensor
    copy_from: Tensor


def gist_vectors(tokens: Tensor, embedding: Tensor) -> Tensor:
    """Prefix sums of token embeddings: the mean-pooled gist of tokens a..b is a difference of two rows.

    Args:
        tokens: (n,) int64.
        embedding: (vocab, dim).

    Returns:
        (n + 1, dim) float32.
    """
    with torch.no_grad():
        sums = torch.cumsum(embedding[tokens].double(), dim=0)
        return F.pad(sums, (0, 0, 1, 0)).float()


def to_tensors(batch: Batch, prefix: Tensor, device: torch.device) -> LookupTensors:
    """Join entries and questions into one sequence per context and fill in the gists."""
    b, q, m = batch.question_ids.shape
    ranges = torch.from_numpy(batch.gist_ranges)
    counts = (ranges[..., 1] - ranges[..., 0]).clamp(min=1)
    gists = (prefix[ranges[..., 1]] - prefix[ranges[..., 0]]) / counts[..., None]

    def join(entries: Tensor, questions: Tensor) -> Tensor:
        return torch.cat((entries, questions.reshape(b, q * m, *questions.shape[3:])), dim=1)

    def from_numpy(entries: object, fill: int) -> Tensor:
        tensor = torch.as_tensor(entries)
        return join(tensor, torch.full((b, q, m), fill, dtype=tensor.dtype))

    inputs = Inputs(
        token_ids=join(torch.from_numpy(batch.token_ids), torch.from_numpy(batch.question_ids)),
        vectors=join(gists, torch.zeros(b, q, m, gists.shape[-1])),
        is_vector=from_numpy(batch.lods > 0, 0),
        roles=from_numpy(batch.roles, ROLE_INDEX["question"]),
        line_start=from_numpy(batch.line_start, 0),
        lods=from_numpy(batch.lods, 0),
        mu=join(torch.from_numpy(batch.mu), torch.from_numpy(batch.question_mu)),
        sigma=join(torch.from_numpy(batch.sigma), torch.from_numpy(batch.question_sigma)),
    ).to(device)
    answer_at = torch.from_numpy(batch.answer_at) + torch.arange(q)[:, None] * m
    tensors = (t.to(device) for t in (answer_at, torch.from_numpy(batch.targets), torch.from_numpy(batch.copy_from)))
    return LookupTensors(inputs, torch.from_numpy(batch.valid).to(device), q, *tensors)


def question_mask(valid: Tensor, n_questions: int, length: int) -> Tensor:
    """(batch, 1, questions * length, entries + questions * length): who a question's token may see."""
    positions = torch.arange(n_questions * length, device=valid.device)
    same = positions[:, None] // length == positions[None] // length
    own = same & (positions[None] <= positions[:, None])
    context = valid[:, None, None].expand(-1, 1, len(positions), -1)
    return torch.cat((context, own.expand(len(valid), 1, -1, -1)), dim=-1)


def attend_layer(layer: Layer, x: Tensor, prepared: Prepared, n: int, mask: Tensor) -> Tensor:
    """One layer over ``n`` context entries (causal) and the questions behind them (masked)."""
    tail = x.new_zeros(x.shape[0], prepared.taps.shape[-1], x.shape[-1])
    q, k, v = layer.project(layer.convolution(layer.attention_norm(x), prepared.taps, tail), prepared.at)
    context = F.scaled_dot_product_attention(q[:, :, :n], k[:, :, :n], v[:, :, :n], is_causal=True, enable_gqa=True)
    questions = F.scaled_dot_product_attention(q[:, :, n:], k, v, attn_mask=mask, enable_gqa=True)
    return layer.finish(x, torch.cat((context, questions), dim=2).transpose(1, 2))


def lookup_losses(model: NativeModel, batch: LookupTensors, smoothing: float = 1e-6) -> Losses:
    """Losses of the answers of a batch.

    ``answer`` is the NLL of the mixture of copying and generating; ``copy`` the NLL of pointing at the very leaf that
    states the answer, where there is one.
    """
    b, n = batch.valid.shape
    prepared = model.prepare(batch.inputs)
    x = prepared.x
    mask = question_mask(batch.valid, batch.n_questions, (x.shape[1] - n) // batch.n_questions)
    for layer in model.layers:
        assert isinstance(layer, Layer)
        x = attend_layer(layer, x, prepared, n, mask)
    x = model.norm(x)
    at, targets, source = (t.reshape(b, -1) for t in (batch.answer_at, batch.targets, batch.copy_from))
    reading = x[:, n:].gather(1, at[..., None].expand(-1, -1, x.shape[-1]))
    copyable = batch.valid & ~batch.inputs.is_vector[:, :n]
    pointing, generating = model.copy_head(reading, x[:, :n], copyable[:, None])
    generated = torch.log_softmax(model.vocabulary_logits(reading).float(), dim=-1)
    is_target = (batch.inputs.token_ids[:, None, :n] == targets[..., None]) & copyable[:, None]
    copied = (pointing.exp() * is_target).sum(-1).clamp(min=smoothing).log()
    chosen = generated.gather(-1, targets.clamp(min=0)[..., None]).squeeze(-1)
    nll = -torch.logaddexp(copied, generating + chosen)
    answered, sourced = targets >= 0, source >= 0
    pointed = -pointing.gather(-1, source.clamp(min=0)[..., None]).squeeze(-1)
    answer = (nll * answered).sum() / answered.sum().clamp(min=1)
    copy = (pointed * sourced).sum() / sourced.sum().clamp(min=1)
    return Losses(answer, copy, *_right(nll, answered, sourced, batch.targets.shape))


def _right(nll: Tensor, answered: Tensor, sourced: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Share of questions all of whose answer tokens have probability above one half: with and without an answer."""
    sure = ((nll < 0.693) | ~answered).reshape(shape).all(-1)
    asked, found = answered.reshape(shape).any(-1), sourced.reshape(shape).any(-1)
    absent = asked & ~found
    return (sure & found).sum() / found.sum().clamp(min=1), (sure & absent).sum() / absent.sum().clamp(min=1)
