"""Exported graphs answer as the model does, at sizes that nobody traced, and say so when they do not."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cli_support import tiny_config
from model_support import padded, picture, small_model, stir
from places import EXAMPLES, ROOT
from processor_support import disc, small_processor
from processor_support import picture as photo
from sam_support import sam_model, sam_processor
from transformers_uniref import UniRefModel
from transformers_uniref.core.optional import MissingExtraError
from transformers_uniref.export import PATHS, ExportDiffersError, export_onnx, export_program
from transformers_uniref.export import folder as export_folder
from transformers_uniref.export.paths import OUTPUTS, longest_sentence
from transformers_uniref.export.probes import VARIANTS, probe_inputs
from transformers_uniref.export.tracing import exportable
from transformers_uniref.export.verification import compare
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.modeling.deformable_attention import DeformableSampling

EXAMPLE_SCRIPT = EXAMPLES / "onnx_image.py"


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a ResNet of bottlenecks, under whose weights every part matters."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    model = UniRefModel(tiny_config())
    stir(model)
    model.save_pretrained(folder)
    # No smaller than the smallest picture of a graph, to which others are padded.
    small_processor(size={"shortest_edge": 96, "longest_edge": 160}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(model_folder: Path) -> UniRefModel:
    return UniRefModel.from_pretrained(model_folder).eval()


# Tracing is slow: the quick run has one graph, `-m slow` the others.
@pytest.fixture(scope="module", params=["sentence", pytest.param("examples", marks=pytest.mark.slow)])
def exported(
    request: pytest.FixtureRequest, model_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, dict[str, Any]]:
    """The name of a graph, the folder that `uniref export --onnx` writes for it, and the JSON that it prints."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("exported") / "graphs"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        options = ["--onnx", "--paths", request.param, "--output", str(folder), "--json"]
        assert main(["export", str(model_folder), *options]) == 0
    return request.param, folder, json.loads(printed.getvalue())


def unlike_the_probes(path: str) -> dict[str, torch.Tensor]:
    """Inputs of sizes that neither tracing nor verification has seen."""
    values, mask = padded(picture(4, 110, 290, seed=7), 128, 320)
    inputs = {"pixel_values": values, "pixel_mask": mask}
    if path == "sentence":
        ids = torch.randint(5, 20, (4, 16), generator=torch.Generator().manual_seed(1))
        return {
            **inputs,
            "input_ids": ids,
            "attention_mask": (torch.arange(16) < torch.tensor([[16], [9], [3], [2]])).long(),
        }
    values, mask = padded(picture(16, 90, 130, seed=8), 96, 160)
    masks = torch.zeros(16, 96, 160, dtype=torch.bool)
    masks[:, 20:60, 30:90] = True
    return {
        **inputs,
        "reference_pixel_values": values.unflatten(0, (4, 4)),
        "reference_pixel_mask": mask.unflatten(0, (4, 4)),
        "reference_masks": masks.unflatten(0, (4, 4)),
    }


def run_onnx(folder: Path, path: str, inputs: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / f"{path}.onnx"), providers=["CPUExecutionProvider"])
    outputs = session.run(list(OUTPUTS), {name: value.numpy() for name, value in inputs.items()})
    return dict(zip(OUTPUTS, outputs, strict=True))


# ---------------------------------------------------------------------------------------------------------------- ONNX
@torch.no_grad()
def test_an_onnx_file_answers_as_the_model_does(exported, model: UniRefModel) -> None:
    path, folder, _ = exported
    inputs = unlike_the_probes(path)
    got, expected = run_onnx(folder, path, inputs), model(**inputs)
    for name in OUTPUTS[:-1]:
        np.testing.assert_allclose(got[name], expected[name].numpy(), atol=1e-3, rtol=0, err_msg=name)
    inputs["input_ids" if path == "sentence" else "reference_masks"] = torch.flip(
        inputs["input_ids" if path == "sentence" else "reference_masks"], (-1,)
    )
    assert np.abs(run_onnx(folder, path, inputs)["logits"] - got["logits"]).max() > 0.01  # references are read


def test_the_command_compares_what_it_writes_with_the_model(exported) -> None:
    path, folder, result = exported
    assert result["files"] == sorted(file.name for file in folder.iterdir())
    compared = result["compared"][path]
    assert compared["entries"] >= VARIANTS
    assert set(compared["differences"]) == {"logits", "pred_boxes", "pred_masks"}
    assert 0 < max(compared["differences"].values()) <= 1e-3


def test_the_files_are_valid_and_their_dimensions_have_names(exported) -> None:
    import onnx

    path, folder, _ = exported
    description = json.loads((folder / "export.json").read_text())
    graph = description["graphs"][path]
    file = folder / graph["file"]
    onnx.checker.check_model(str(file))
    inputs = onnx.load(str(file)).graph.input
    assert {given.name for given in inputs} == set(graph["inputs"]) == set(PATHS[path].inputs)
    for given in inputs:
        dims = given.type.tensor_type.shape.dim
        assert [dim.dim_param or dim.dim_value for dim in dims] == graph["inputs"][given.name]["shape"]
    if path == "sentence":
        assert description["sentences"]["tokenizer"] in {file.name for file in folder.iterdir()}


def test_the_example_needs_no_torch_and_finds_what_the_pipeline_finds(
    exported, model_folder: Path, tmp_path: Path
) -> None:
    from transformers import pipeline

    path, folder, _ = exported
    image, example = Image.fromarray(photo(90, 150, 3)), Image.fromarray(photo(100, 130, 4))
    mask = disc(100, 130)
    image.save(tmp_path / "image.png")
    example.save(tmp_path / "example.png")
    Image.fromarray(mask * 255).save(tmp_path / "mask.png")
    asked = ["--text", "The red T-shirt!"]
    if path == "sentence":
        expected = pipeline("referring-segmentation", str(model_folder))(image, text=asked[1], threshold=0)
    else:
        asked = ["--example", str(tmp_path / "example.png"), "--mask", str(tmp_path / "mask.png")]
        few_shot = pipeline("few-shot-segmentation", str(model_folder))
        expected = few_shot(image, reference_images=[example], reference_masks=[mask], threshold=0)
    program = (
        "import runpy, sys; sys.modules['torch'] = sys.modules['transformers'] = None; "
        f"sys.argv[0] = {str(EXAMPLE_SCRIPT)!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    output = tmp_path / "found.png"
    command = [sys.executable, "-c", program, str(folder), str(tmp_path / "image.png"), *asked]
    done = subprocess.run([*command, "--output", str(output)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    found = expected[0] if isinstance(expected, list) else expected
    assert result["score"] == pytest.approx(found["score"], abs=1e-3)
    theirs, ours = np.asarray(found["mask"]).astype(bool), np.asarray(Image.open(output)).astype(bool)
    assert ours.shape == theirs.shape == (90, 150)
    assert (ours != theirs).mean() < 0.01


# -------------------------------------------------------------------------------------------------------- torch.export
@pytest.mark.slow
@torch.no_grad()
def test_a_program_runs_without_the_model(model: UniRefModel, tmp_path: Path) -> None:
    written = export_program(model, small_processor(), tmp_path / "program", paths=["sentence"])
    assert {"sentence.pt2", "export.json", "tokenizer.json"} <= set(written.files)
    assert max(written.agreements["sentence"].differences.values()) <= 1e-3
    inputs = unlike_the_probes("sentence")
    outputs = torch.export.load(tmp_path / "program" / "sentence.pt2").module()(**inputs)
    torch.testing.assert_close(outputs[0], model(**inputs).logits, atol=1e-3, rtol=0)


# -------------------------------------------------------------------------------------------------------- verification
def own_runner(model: UniRefModel, path: str, change: Any) -> Any:
    module = PATHS[path].module(model).eval()

    def run(inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        outputs = module(**{name: torch.from_numpy(value) for name, value in inputs.items()})
        return [change(name, output.numpy().copy()) for name, output in zip(OUTPUTS, outputs, strict=True)]

    return run


def test_a_graph_that_differs_is_found_out() -> None:
    model = small_model()

    def spoil(spoilt: str, by: float) -> Any:
        def change(name: str, value: np.ndarray) -> np.ndarray:
            if name == spoilt:
                value.flat[-1] += by
            return value

        return own_runner(model, "sentence", change)

    with exportable(model):
        agreement = compare(model, "sentence", spoil("logits", 5e-4))
        assert agreement.differences["logits"] == pytest.approx(5e-4, rel=0.01)
        assert agreement.differences["pred_masks"] == 0 and agreement.entries == 7 and agreement.reordered == 0
        for name in ("logits", "pred_boxes", "pred_masks"):
            for by in (2e-3, float("nan")):
                with pytest.raises(ExportDiffersError, match="accepted: at most 0.001"):
                    compare(model, "sentence", spoil(name, by))
        with pytest.raises(ExportDiffersError, match="image_sizes differ"):
            compare(model, "sentence", spoil("image_sizes", 1))
        # Entries whose queries are others are left out, and said to be; but some have to remain.
        assert compare(model, "sentence", spoil("proposals", 1)).reordered > 0
        with pytest.raises(ExportDiffersError, match="over 0 entries"):
            compare(model, "sentence", own_runner(model, "sentence", lambda n, v: v + 1 if n == "proposals" else v))


def test_nothing_is_written_when_a_graph_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    monkeypatch.setattr(export_folder, "trace", lambda model, name: None)
    monkeypatch.setattr(torch.export, "save", lambda program, file: Path(file).write_bytes(b"graph"))
    monkeypatch.setattr(torch.export, "load", lambda file: None)
    wrong = own_runner(model, "sentence", lambda name, value: value + 1 if name == "logits" else value)
    monkeypatch.setattr(export_folder, "program_runner", lambda program: wrong)
    with pytest.raises(ExportDiffersError, match="logits 1.0e"):
        export_program(model, small_processor(), tmp_path / "there", paths=["sentence"])
    assert not list(tmp_path.iterdir())
    written = export_program(model, small_processor(), tmp_path / "there", paths=["sentence"], verify=False)
    assert written.agreements == {} and (tmp_path / "there" / "sentence.pt2").read_bytes() == b"graph"
    with pytest.raises(FileExistsError, match="sentence.pt2, export.json already"):
        export_program(model, small_processor(), tmp_path / "there", paths=["sentence"], verify=False)


def test_probes_differ_in_everything_that_may_vary() -> None:
    model = small_model()
    probes = [probe_inputs(model, "examples", variant) for variant in range(VARIANTS)]
    assert len({tuple(probe["pixel_values"].shape[-2:]) for probe in probes}) == VARIANTS
    assert {probe["pixel_values"].shape[0] for probe in probes} == {1, 2, 3}
    assert {probe["reference_masks"].shape[1] for probe in probes} == {1, 2, 3}
    assert any(not probe["pixel_mask"].all() for probe in probes)
    lengths = {probe_inputs(model, "sentence", variant)["input_ids"].shape[1] for variant in range(VARIANTS)}
    assert len(lengths) == VARIANTS
    again = probe_inputs(model, "examples", 2)
    assert all(torch.equal(again[name], value) for name, value in probes[2].items())


# ---------------------------------------------------------------------------------------------------------- the model
def test_the_model_is_left_as_it_was() -> None:
    model = small_model(fusion_bf16=True).train()
    with pytest.raises(RuntimeError, match="stop"), exportable(model):
        assert not model.training and not model.config.fusion_bf16
        assert not [module for module in model.modules() if isinstance(module, DeformableSampling)]
        raise RuntimeError("stop")
    assert model.training and model.config.fusion_bf16
    assert [module for module in model.modules() if isinstance(module, DeformableSampling)]


def test_the_longest_sentence_is_what_the_text_encoder_has_positions_for() -> None:
    assert longest_sentence(small_model()) == 32
    text = {"model_type": "roberta", "vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": 34, "pad_token_id": 1}
    assert longest_sentence(small_model(text_config=text)) == 32


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        (lambda: torch.nn.Linear(1, 1), {}, TypeError, "model must be a UniRefModel, got Linear"),
        (lambda: small_model().bfloat16(), {}, ValueError, "on a CPU in float32 to be exported, got torch.bfloat16"),
        (small_model, {"paths": ["video"]}, ValueError, r"\(sentence, examples\), got video"),
        (small_model, {"paths": []}, ValueError, r"\(sentence, examples\), got none"),
        (
            lambda: small_model(use_mask_references=False),
            {"paths": ["sentence", "examples"]},
            ValueError,
            r"\(sentence\), got examples",
        ),
    ],
)
def test_what_cannot_be_exported_is_refused(make, options, error, message, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        export_program(make(), small_processor(), tmp_path / "there", **options)
    assert not list(tmp_path.iterdir())


def test_a_sam_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="got UniRefSamModel: UniRef-SAM has no export"):
        export_program(sam_model(), sam_processor(), tmp_path / "there")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_told_with_its_extra(package: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r'pip install "transformers-uniref\[onnx\]"'):
        export_onnx(small_model(), small_processor(), tmp_path / "there", verify=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["uniref-pp", "--paths", "sentence"], "--paths and --verify go with --onnx or --torch"),
        (["uniref-pp", "--no-verify"], "--paths and --verify go with --onnx or --torch"),
        (["there-is-none", "--torch"], "NAME cannot be loaded from there-is-none"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_page_about_export_runs_with_the_bundled_model(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    page = (ROOT / "docs" / "export.md").read_text()
    names: dict[str, Any] = {}
    for block in re.findall(r"```py(?:thon)?\n(.*?)```", page, flags=re.DOTALL):
        exec(compile(block, "docs/export.md", "exec"), names)
    assert "largest difference from PyTorch" in capsys.readouterr().out
    assert names["result"]["segmentation"].shape == (128, 128)
