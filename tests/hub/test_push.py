"""Models, adapters and processors are pushed to a Hub over HTTP, and load from there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModel, AutoProcessor

import transformers_uniref
from cli_support import save_tiny_checkpoint
from hub_server import HubServer
from hub_support import TOKEN, hub_for_this_process, run_python
from sam_support import save_sam_checkpoint
from transformers_uniref.conversion.converter import convert_checkpoint
from transformers_uniref.conversion.variants import parse_overrides
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.hub.push import PushError, push_to_hub

MODEL_FILES = {
    ".gitattributes",
    "README.md",
    "config.json",
    "model.safetensors",
    "modeling_uniref_shim.py",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
IN_A_NEW_PROCESS = """
import json, re, sys
from pathlib import Path
from huggingface_hub import hf_hub_download

def code_of(repo_id):
    card = Path(hf_hub_download(repo_id, "README.md")).read_text()
    return re.findall(r"```python\\n(.*?)\\n```", card, flags=re.DOTALL)
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folders")
    save_tiny_checkpoint(folder / "model")
    save_sam_checkpoint(folder / "sam")
    return folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    with hub_for_this_process(tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture(scope="module")
def pushed(hub: HubServer, folders: Path) -> HubServer:
    """The Hub with a model, a UniRef-SAM and an adapter for the model."""
    push_to_hub(folders / "model", "lab/model", license="apache-2.0")
    push_to_hub(folders / "sam", "lab/sam", license="mit")
    make_adapter(folders / "model", folders / "adapter")
    push_to_hub(folders / "adapter", "lab/adapter", license="mit", base_model="lab/model")
    return hub


def make_adapter(base: Path, folder: Path) -> None:
    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LoraConfig(r=4, target_modules=["query", "value"], init_lora_weights=False)
        get_peft_model(AutoModel.from_pretrained(base), config).save_pretrained(folder)


def card_of(hub: HubServer, repo_id: str, revision: str = "main") -> ModelCard:
    return ModelCard(hub.files(repo_id, revision)["README.md"].decode())


def same_weights(one: Any, other: Any) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# ------------------------------------------------------------------------------------------------- what is pushed
def test_a_pushed_model_loads_from_the_hub_as_it_was(pushed: HubServer, folders: Path) -> None:
    assert set(pushed.files("lab/model")) == MODEL_FILES
    loaded, account = AutoModel.from_pretrained("lab/model", output_loading_info=True)
    assert not account["missing_keys"] and not account["unexpected_keys"]
    assert same_weights(loaded, AutoModel.from_pretrained(folders / "model"))
    inputs = AutoProcessor.from_pretrained("lab/model")(images=torch.zeros(3, 40, 60), text="the dog")
    assert loaded(**inputs).pred_masks.isfinite().all()
    assert not hasattr(loaded.config, "auto_map")


def test_a_pushed_uniref_sam_loads_from_the_hub_as_it_was(pushed: HubServer, folders: Path) -> None:
    assert set(pushed.files("lab/sam")) == MODEL_FILES
    assert same_weights(AutoModel.from_pretrained("lab/sam"), AutoModel.from_pretrained(folders / "sam"))
    card = card_of(pushed, "lab/sam")
    assert card.data.tags[:2] == ["uniref", "uniref_sam"]
    assert "SAM ViT, 2 layers of 16, 64 x 64 pixels" in card.text


def test_a_pushed_adapter_loads_onto_its_base_model_from_the_hub(pushed: HubServer, folders: Path) -> None:
    files = pushed.files("lab/adapter")
    assert set(files) == {".gitattributes", "README.md", "adapter_config.json", "adapter_model.safetensors"}
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == "lab/model"
    data = card_of(pushed, "lab/adapter").data
    assert (data.library_name, data.base_model, data.base_model_relation) == ("peft", "lab/model", "adapter")
    assert str(folders) not in "".join(content.decode(errors="replace") for content in files.values())
    adapted = AutoModel.from_pretrained("lab/adapter")
    here = AutoModel.from_pretrained(folders / "adapter")
    assert same_weights(adapted, here)
    assert any("lora" in name for name in adapted.state_dict())


def test_a_converted_checkpoint_keeps_the_name_and_the_digest_of_its_file(hub: HubServer, tmp_path: Path) -> None:
    from oracle_support.folder import find_oracle
    from oracle_support.models import write_checkpoint

    write_checkpoint(find_oracle(), "small_r50", tmp_path / "released.pth")
    overrides = parse_overrides(["text_config.num_attention_heads=4"])
    convert_checkpoint(tmp_path / "released.pth", tmp_path / "converted", text_encoder="none", overrides=overrides)
    push_to_hub(tmp_path / "converted", "lab/converted", license="mit")
    provenance = json.loads(hub.files("lab/converted")["provenance.json"])
    assert (provenance["origin"], provenance["source"]) == ("converted", "released.pth")
    text = card_of(hub, "lab/converted").text
    assert provenance["source_sha256"] in text and "`released.pth`" in text
    assert "none: sentences are given as token ids" in text
    assert same_weights(AutoModel.from_pretrained("lab/converted"), AutoModel.from_pretrained(tmp_path / "converted"))


def test_objects_push_themselves_with_their_card(hub: HubServer, folders: Path) -> None:
    model, processor = AutoModel.from_pretrained(folders / "model"), AutoProcessor.from_pretrained(folders / "model")
    commit = model.push_to_hub("lab/object", processor=processor, license="mit", commit_message="First")
    assert commit.oid == hub.repositories["lab/object"].refs["main"]
    assert hub.repositories["lab/object"].messages[-1] == "First"
    assert set(hub.files("lab/object")) == MODEL_FILES
    processor.text_length = 7
    processor.push_to_hub("lab/object")
    assert AutoProcessor.from_pretrained("lab/object").text_length == 7
    assert card_of(hub, "lab/object").data.license == "mit"
    model.save_pretrained(folders / "saved", push_to_hub=True, repo_id="saved", license="mit")
    assert "model.safetensors" in hub.files("tester/saved")


def test_weights_that_are_divided_otherwise_replace_the_former_files(hub: HubServer, folders: Path) -> None:
    model = AutoModel.from_pretrained(folders / "model")
    model.push_to_hub("lab/shards", license="mit", max_shard_size="500KB")
    assert "model.safetensors.index.json" in hub.files("lab/shards")
    assert same_weights(AutoModel.from_pretrained("lab/shards"), model)
    model.push_to_hub("lab/shards", license="mit")
    assert [name for name in hub.files("lab/shards") if "safetensors" in name] == ["model.safetensors"]


def test_a_push_may_go_to_a_branch_a_pull_request_or_a_private_repository(
    hub: HubServer, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_to_hub(folders / "model", "lab/branches", license="mit", revision="v2", private=True)
    assert "model.safetensors" not in hub.files("lab/branches")
    assert 'revision="v2"' in card_of(hub, "lab/branches", "v2").text
    push_to_hub(folders / "model", "lab/branches", license="mit", create_pr=True)
    assert "model.safetensors" in hub.files("lab/branches", "refs/pr/1")
    AutoModel.from_pretrained("lab/branches", revision="v2")
    monkeypatch.delenv("HF_TOKEN")
    # The very call that has just worked; how the refusal is worded is up to the libraries.
    with pytest.raises(OSError):
        AutoModel.from_pretrained("lab/branches", revision="v2", force_download=True)


# ---------------------------------------------------------------------------------------------------- new processes
def test_the_code_of_the_cards_runs_as_pasted_and_later_from_the_cache_alone(pushed: HubServer, tmp_path: Path) -> None:
    run = (
        IN_A_NEW_PROCESS
        + """
for repo_id in ("lab/model", "lab/sam", "lab/adapter"):
    blocks = code_of(repo_id)
    for block in blocks:
        exec(compile(block, repo_id, "exec"), {})
    print(repo_id, len(blocks), "blocks ran")
"""
    )
    online = run_python(run, tmp_path, pushed)
    assert online.returncode == 0, online.stderr
    assert [line for line in online.stdout.splitlines() if line.endswith("ran")] == [
        "lab/model 3 blocks ran",
        "lab/sam 3 blocks ran",
        "lab/adapter 2 blocks ran",
    ]
    before = len(pushed.requests)
    offline = run_python(run, tmp_path)
    assert offline.returncode == 0, offline.stderr
    assert offline.stdout == online.stdout
    assert len(pushed.requests) == before


def test_trusting_the_code_of_a_repository_loads_it_where_the_package_is_not_imported(
    pushed: HubServer, tmp_path: Path
) -> None:
    run = run_python(
        """
import sys
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoProcessor, pipeline
assert "transformers_uniref" not in sys.modules
kinds = [type(AutoImageProcessor.from_pretrained("lab/model", trust_remote_code=True, backend="pil"))]
for auto in (AutoConfig, AutoModel, AutoProcessor):
    kinds.append(type(auto.from_pretrained("lab/sam", trust_remote_code=True)))
segment = pipeline("referring-segmentation", model="lab/model", trust_remote_code=True)
kinds += [type(segment), type(segment.model)]
segment.model.save_pretrained("copy")
segment.processor.save_pretrained("copy")
AutoModel.from_pretrained("copy")
print(*(kind.__name__ for kind in kinds))
""",
        tmp_path,
        pushed,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [
        "UniRefImageProcessorPil",
        "UniRefSamConfig",
        "UniRefSamModel",
        "UniRefProcessor",
        "ReferringSegmentationPipeline",
        "UniRefModel",
    ]
    saved = sorted(path.name for path in (tmp_path / "copy").iterdir())
    assert saved == [
        "config.json",
        "model.safetensors",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert "auto_map" not in "".join(path.read_text() for path in (tmp_path / "copy").glob("*.json"))


def test_trusting_the_code_of_an_adapters_base_loads_it_where_the_package_is_not_imported(
    pushed: HubServer, folders: Path, tmp_path: Path
) -> None:
    shutil.copytree(folders / "adapter", tmp_path / "whole")
    AutoProcessor.from_pretrained(folders / "model").save_pretrained(tmp_path / "whole")
    push_to_hub(tmp_path / "whole", "lab/adapter-with-processor", license="mit", base_model="lab/model")
    run = run_python(
        """
import sys, torch
from transformers import AutoModel, AutoProcessor
assert "transformers_uniref" not in sys.modules
model = AutoModel.from_pretrained("lab/adapter-with-processor", trust_remote_code=True).eval()
processor = AutoProcessor.from_pretrained("lab/adapter-with-processor", trust_remote_code=True)
inputs = processor(images=torch.zeros(3, 40, 60), text="the dog")
assert model(**inputs).pred_masks.isfinite().all()
added = sum(float(value.abs().sum()) for name, value in model.state_dict().items() if "lora" in name)
print(type(model).__name__, type(processor).__name__, *model.peft_config, added)
""",
        tmp_path / "home",
        pushed,
    )
    assert run.returncode == 0, run.stderr
    *names, added = run.stdout.split()
    assert names == ["UniRefModel", "UniRefProcessor", "default"]
    here = AutoModel.from_pretrained(folders / "adapter").state_dict()
    expected = sum(float(value.abs().sum()) for name, value in here.items() if "lora" in name)
    assert expected > 0 and float(added) == pytest.approx(expected, rel=1e-5)


def test_the_code_of_a_repository_says_what_to_install_where_the_package_is_missing(
    pushed: HubServer, tmp_path: Path
) -> None:
    (tmp_path / "shim.py").write_bytes(pushed.files("lab/model")["modeling_uniref_shim.py"])
    run = run_python(
        """
import sys
sys.path[:] = [path for path in sys.path if not path.endswith("src")]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in getattr(finder, "__name__", "").lower()]
exec(open("shim.py").read())
""",
        tmp_path,
        PYTHONPATH="",
    )
    assert run.returncode == 1
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: This model needs the package transformers-uniref")
    assert last.endswith("pip install transformers-uniref")


# -------------------------------------------------------------------------------------------------------- the token
def test_the_token_is_in_no_output_no_log_and_no_file(folders: Path, hub: HubServer, tmp_path: Path) -> None:
    environment = {"HF_DEBUG": "1", "HF_HUB_VERBOSITY": "debug", "TRANSFORMERS_VERBOSITY": "debug"}
    run = run_python(
        f"""
import logging, sys
logging.basicConfig(level=logging.DEBUG)
from transformers_uniref.frontends.cli.main import main
sys.exit(main(["push", {str(folders / "model")!r}, "lab/quiet", "--license", "mit", "--json"]))
""",
        tmp_path,
        hub,
        **environment,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["repo_id"] == "lab/quiet"
    secret = TOKEN.encode()
    files = [path for folder in (tmp_path, folders) for path in folder.rglob("*") if path.is_file()]
    assert files and not [path for path in files if secret in path.read_bytes()]
    pushed = [files for repository in hub.repositories.values() for files in repository.commits.values()]
    assert pushed and not [name for files in pushed for name, content in files.items() if secret in content]
    assert hub.bodies and not any(secret in body for body in hub.bodies)
    assert TOKEN not in run.stdout + run.stderr + "".join(hub.requests)


def test_an_error_of_the_hub_is_told_without_the_token(hub: HubServer, folders: Path, capsys: Any) -> None:
    hub.refuse["/api/repos/create"] = (403, f"Bearer {TOKEN} may not do this")
    try:
        assert main(["push", str(folders / "model"), "lab/forbidden", "--license", "mit"]) == 2
    finally:
        hub.refuse.clear()
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("uniref: error: lab/forbidden could not be pushed: ") and "403" in last
    assert TOKEN not in last and "***" in last


@pytest.mark.parametrize("token", ["hf_with space0123", "hf_newline0123\n", "hf_umlautü0123"])
def test_a_token_that_cannot_be_one_is_refused_without_showing_it(token: str, folders: Path, hub: HubServer) -> None:
    with pytest.raises(PushError) as caught:
        push_to_hub(folders / "model", "lab/x", license="mit", token=token)
    assert "0123" not in str(caught.value) and "no token has" in str(caught.value)


def test_pushing_without_a_token_says_how_to_get_one(
    folders: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub.constants

    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(PushError, match="hf auth login"):
        push_to_hub(folders / "model", "lab/x", license="mit")


def test_a_wrong_token_and_a_hub_out_of_reach_are_one_line(folders: Path, hub: HubServer, monkeypatch: Any) -> None:
    import huggingface_hub.constants

    with pytest.raises(PushError, match="lab/x could not be pushed: .*401"):
        push_to_hub(folders / "model", "lab/x", license="mit", token="hf_SomebodyElse")
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PushError, match="lab/x could not be pushed: .*refused") as caught:
        push_to_hub(folders / "model", "lab/x", license="mit")
    assert "\n" not in str(caught.value) and isinstance(caught.value, ConnectionError)


def test_names_in_the_cards_code_are_those_of_the_repository(pushed: HubServer) -> None:
    for repo_id in ("lab/model", "lab/sam", "lab/adapter"):
        code = re.findall(r"```python\n(.*?)\n```", card_of(pushed, repo_id).text, flags=re.DOTALL)
        assert code and all(f'"{repo_id}"' in block for block in code)


def test_the_package_offers_the_function(folders: Path) -> None:
    assert transformers_uniref.push_to_hub is push_to_hub
