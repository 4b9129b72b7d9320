"""What `import transformers_uniref` costs and what it makes known."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import transformers_uniref
from transformers_uniref.core.families import DEFAULT_CHECKPOINT
from transformers_uniref.core.import_hooks import after_import
from transformers_uniref.registration import DeferredEntries, DeferredEntry

HEAVY = ("torchvision", "av", "skimage", "datasets", "accelerate", "matplotlib", "peft", "scipy", "pandas")
TASKS = {
    "referring-segmentation": "ReferringSegmentationPipeline",
    "few-shot-segmentation": "FewShotSegmentationPipeline",
    "referring-video-segmentation": "ReferringVideoSegmentationPipeline",
    "video-object-segmentation": "VideoObjectSegmentationPipeline",
}


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_adds_next_to_nothing_to_torch_and_transformers() -> None:
    added = run(
        "import sys, torch, transformers\n"
        "before = set(sys.modules)\n"
        "import transformers_uniref\n"
        "print(*sorted(set(sys.modules) - before))"
    ).split()
    assert all(name.split(".")[0] == "transformers_uniref" for name in added), added
    assert len(added) <= 6, added


def test_import_alone_needs_neither_torch_nor_transformers() -> None:
    loaded = run("import sys, transformers_uniref; print(*sys.modules)").split()
    assert not {"torch", "transformers", "numpy"} & set(loaded)


def test_names_are_exported() -> None:
    assert set(transformers_uniref.__all__) <= set(dir(transformers_uniref))
    for name in transformers_uniref.__all__:
        assert getattr(transformers_uniref, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'UniRefNothing'"):
        _ = transformers_uniref.UniRefNothing


CHECK = """
from transformers_uniref import UniRefConfig, UniRefModel, UniRefImageProcessor, UniRefProcessor
from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.models.auto.image_processing_auto import (
    IMAGE_PROCESSOR_MAPPING, get_image_processor_class_from_name
)
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, processor_class_from_name
assert type(AutoConfig.for_model("uniref")) is UniRefConfig
assert "uniref" in CONFIG_MAPPING and "uniref" in list(CONFIG_MAPPING)
assert UniRefConfig in MODEL_MAPPING and UniRefConfig in MODEL_MAPPING._extra_content.keys()
assert MODEL_MAPPING[UniRefConfig] is UniRefModel
assert PROCESSOR_MAPPING[UniRefConfig] is UniRefProcessor
assert processor_class_from_name("UniRefProcessor") is UniRefProcessor
assert IMAGE_PROCESSOR_MAPPING[UniRefConfig]["pil"].__name__ == "UniRefImageProcessorPil"
assert get_image_processor_class_from_name(UniRefImageProcessor.__name__) is UniRefImageProcessor
"""


@pytest.mark.parametrize(
    "first",
    [
        "from transformers import AutoModel, AutoProcessor, pipeline\nimport transformers_uniref",
        "from transformers_uniref import UniRefModel\nimport importlib\nimportlib.reload(transformers_uniref)",
        "from transformers_uniref import ReferringSegmentationPipeline",
    ],
    ids=["Transformers", "the model, and the package again", "a pipeline"],
)
def test_registration_does_not_depend_on_what_is_imported_first(first: str) -> None:
    run(f"import transformers_uniref\n{first}{CHECK}" if "reload" in first else first + CHECK)


def test_registration_needs_no_optional_package() -> None:
    blocked = "".join(f"sys.modules[{module!r}] = None\n" for module in ("torchvision", "av", "skimage", "matplotlib"))
    run(f"import sys\n{blocked}from transformers_uniref import UniRefProcessor{CHECK}")


def test_other_models_do_not_load_ours_and_registries_keep_no_trace_of_the_wait() -> None:
    run(
        "import inspect, sys, transformers_uniref\n"
        "from transformers import AutoModel, BertConfig\n"
        "AutoModel.from_config(BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=8))\n"
        "assert 'transformers_uniref.modeling.modeling_uniref' not in sys.modules\n"
        "module = sys.modules['transformers.models.auto.configuration_auto']\n"
        "assert type(module.__spec__.loader) is type(inspect.__spec__.loader)\n"
        "assert module.__loader__ is module.__spec__.loader\n"
        "assert 'CONFIG_MAPPING' in inspect.getsource(module)\n" + CHECK
    )


def test_tasks_have_their_pipeline_and_a_default_model() -> None:
    from transformers.pipelines import PIPELINE_REGISTRY, _resolve_impl

    for task, name in TASKS.items():
        _, description, _ = PIPELINE_REGISTRY.check_task(task)
        assert _resolve_impl(description["impl"]) is getattr(transformers_uniref, name)
        assert description["default"]["model"] == (str(DEFAULT_CHECKPOINT), None)


def test_a_listener_hears_of_the_first_import_that_succeeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    heard: list[str] = []
    after_import("awaited_module", lambda module: heard.append(module.NAME))
    file = tmp_path / "awaited_module.py"
    file.write_text("raise RuntimeError")
    assert importlib.util.find_spec("awaited_module") is not None and heard == []
    with pytest.raises(RuntimeError):
        importlib.import_module("awaited_module")
    file.write_text("NAME = 'awaited'  # of another length")
    importlib.invalidate_caches()
    importlib.import_module("awaited_module")
    assert heard == ["awaited"]
    importlib.reload(sys.modules["awaited_module"])
    assert heard == ["awaited"]
    after_import("awaited_module", lambda module: heard.append("at once"))
    assert heard == ["awaited", "at once"]
    del sys.modules["awaited_module"]


def test_registries_can_be_pickled() -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    assert "uniref" in pickle.loads(pickle.dumps(CONFIG_MAPPING))
    assert transformers_uniref.UniRefConfig in pickle.loads(pickle.dumps(MODEL_MAPPING))


def test_deferred_entries_behave_like_a_dictionary() -> None:
    made: list[str] = []

    def make() -> str:
        made.append("once")
        return "late"

    entries = DeferredEntries({"a": "early"}, [DeferredEntry(lambda key: key == "b", lambda: "b", make)])
    assert len(entries) == 2 and "b" in entries and "c" not in entries and list(entries) == ["a", "b"]
    assert made == []
    assert entries["b"] == entries["b"] == "late" and made == ["once"]
    assert dict(entries) == {"a": "early", "b": "late"}
    with pytest.raises(KeyError):
        entries["c"]
    entries = DeferredEntries({}, [DeferredEntry(lambda key: key == "b", lambda: "b", make)])
    entries["b"] = "another"
    assert entries["b"] == "another" and len(entries) == 1
    del entries["b"]
    assert "b" not in entries


def test_modules_that_have_moved_are_found_by_their_old_names() -> None:
    import transformers_uniref.worlds.drawn.world as world
    from transformers_uniref.core.moved_modules import MOVED, PACKAGE

    for old in MOVED:
        module = importlib.import_module(f"{PACKAGE}.{old}")
        assert module is sys.modules[f"{PACKAGE}.{MOVED[old]}"], old
        assert module.__name__ == module.__spec__.name == f"{PACKAGE}.{MOVED[old]}", old
    # What lies in a moved package is not loaded a second time.
    assert importlib.import_module("transformers_uniref.data.world") is world
    assert (
        importlib.import_module("transformers_uniref.cli.main") is sys.modules["transformers_uniref.frontends.cli.main"]
    )
