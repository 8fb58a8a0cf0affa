"""``mmctx port-model`` on tiny random models; what holds for each family stands in tests/bases/hf."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mm_megacontext.bases.hf.families import FAMILIES
from mm_megacontext.cli.main import main
from mm_megacontext.errors import InvalidReader
from mm_megacontext.models import READERS, open_reader
from tests.bases.hf.tiny import save_llama, save_llava

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.portability
def test_a_model_is_tried_and_its_config_opens_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_llama(tmp_path / "model")
    file = tmp_path / "reader.json"
    assert main(["port-model", str(model), "--dtype", "float32", "--write", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passed"]
    assert (told["model_type"], told["adapter"].rpartition(".")[2], told["boxes"]) == ("llama", "Family", None)
    assert len(told["checks"]) == 6, told["checks"]
    reader = open_reader(str(file), gists="mean")
    assert reader.id.startswith(f"hf-embed:{model}/gists=mean")


@pytest.mark.portability
def test_a_model_that_sees_is_tried_with_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["port-model", str(save_llava(tmp_path / "model")), "--dtype", "float32"]) == 0
    said = capsys.readouterr().out
    assert "llava, adapter" in said
    assert "ok     so does one with a picture" in said
    assert "FAILED" not in said


@pytest.mark.portability
def test_a_family_without_an_adapter_is_refused_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_llama(tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(
        json.dumps(config | {"model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"]})
    )
    file = tmp_path / "reader.json"
    assert main(["port-model", str(model), "--write", str(file)]) != 0
    assert "gpt_neox is of no known family" in capsys.readouterr().err
    assert not file.exists()


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.json")), ids=lambda file: file.stem)
def test_configs_name_readers_and_families_that_there_are(file: Path) -> None:
    config = json.loads(file.read_text())
    assert config["reader"].partition(":")[0] in READERS
    assert config["model_type"] in FAMILIES


def test_a_file_that_is_no_config_is_refused(tmp_path: Path) -> None:
    for content in ("", "[]", '{"options": {}}', '{"reader": 3}', '{"reader": "a.json"}'):
        (tmp_path / "reader.json").write_text(content)
        with pytest.raises(InvalidReader, match=r"reader\.json"):
            open_reader(str(tmp_path / "reader.json"))
