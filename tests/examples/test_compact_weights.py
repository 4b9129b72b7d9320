"""Models in few bytes, by the example that writes them: what is stored, and that the model answers as before."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoProcessor

from cli_support import save_tiny_checkpoint
from transformers_uniref.worlds import World


def test_the_stored_model_is_small_and_says_the_same(example: Any, tmp_path: Path) -> None:
    given, out = save_tiny_checkpoint(tmp_path / "given"), tmp_path / "out"
    code, said, _ = example("compact_weights", given, out)
    assert code == 0
    share = float(re.search(r"moved by ([\d.]+)%", said)[1])  # type: ignore[index]
    assert 0 < share < 6.25  # what rounding to three digits of mantissa can do to a number
    stored = load_file(out / "model.safetensors")
    dtypes = {name: value.dtype for name, value in stored.items() if value.is_floating_point()}
    assert set(dtypes.values()) == {torch.float16, torch.float8_e4m3fn}
    assert all("text_encoder.embeddings" in name for name, dtype in dtypes.items() if dtype == torch.float8_e4m3fn)

    assert {parameter.dtype for parameter in AutoModel.from_pretrained(out).parameters()} == {torch.float32}


def test_a_trained_model_answers_as_before(example: Any, tmp_path: Path) -> None:
    code, said, _ = example("compact_weights", "uniref-pp", tmp_path / "out")
    assert code == 0, said
    models = [AutoModel.from_pretrained(name).eval() for name in ("uniref-pp", tmp_path / "out")]
    processor = AutoProcessor.from_pretrained(tmp_path / "out")
    for index in range(3):
        scene = World(split="test", size=128).image(index)
        texts = [texts[0] for texts in scene["sentences"] if texts]
        inputs = processor(images=[scene["image"]], text=[texts], return_tensors="pt")
        with torch.inference_mode():
            answers = [model(**inputs) for model in models]
        masks = [answer.pred_masks[:, 0] > 0 for answer in answers]
        overlap = (masks[0] & masks[1]).sum((1, 2)) / (masks[0] | masks[1]).sum((1, 2))
        assert overlap.min() > 0.9


def test_the_scale_of_the_tables_is_taken_out_by_the_norm_behind_them(example: Any, tmp_path: Path) -> None:
    given = save_tiny_checkpoint(tmp_path / "given")
    example("compact_weights", given, tmp_path / "out")
    script = sys.modules["compact_weights"]
    state = AutoModel.from_pretrained(given).state_dict()
    compacted = script.compact(state)
    name = "language_encoder.text_encoder.embeddings.word_embeddings.weight"
    factor = (compacted[name].float().abs().max() / state[name].abs().max()).log2().round()
    assert factor > 3 and torch.isfinite(compacted[name].float()).all()
    back = compacted[name].float() / 2**factor
    assert ((back - state[name]).abs() <= state[name].abs() / 16 + 2.0 ** -(9 + factor)).all()


def test_a_folder_that_holds_something_is_refused(example: Any, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine", encoding="utf-8")
    code, said, _ = example("compact_weights", "uniref-pp", tmp_path)
    assert code == 2 and "is not empty" in said
    assert [file.name for file in tmp_path.iterdir()] == ["note"]
