"""What ``mmctx port-model`` tries, where it is easily wrong. Oracle: the model's own ``generate``."""

from __future__ import annotations

from pathlib import Path

from mm_megacontext.bases.hf.compatibility import check_all
from mm_megacontext.bases.hf.loading import load
from tests.bases.hf.tiny import save_llama


def test_a_reply_that_ends_early_is_compared_to_its_end(tmp_path: Path) -> None:
    """As SmolLM2 ends its reply here after twelve tokens; what ``generate`` ends with is no part of a reply."""
    loaded = load(str(save_llama(tmp_path, initializer_range=0.3)), {})
    name = "what is generated is what generate gives"
    for _ in range(2):
        (check,) = (check for check in check_all(loaded) if check.name == name)
        assert check.passed, check.detail
        loaded.model.generation_config.eos_token_id = list(range(0, 260, 2))
    assert not check.detail.endswith("of 16 tokens")
