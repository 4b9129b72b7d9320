"""Without an optional package everything else works, and what needs it says which extra brings it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import transformers_uniref
from places import ROOT
from transformers_uniref.core.optional import MissingExtraError

EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
MODULE_OF = {"pyyaml": "yaml", "flash-attn": "flash_attn", "ray[data]": "ray"}
FOR_CONTRIBUTORS = ("docs", "test", "dev", "all")


def modules_of(extra: str) -> set[str]:
    """The modules that the packages of an extra bring."""
    names = {re.split(r"[<>=~!; ]", requirement)[0] for requirement in EXTRAS[extra]}
    return {MODULE_OF.get(name, name) for name in names}


# PyYAML is named by an extra, but Transformers needs it too.
OPTIONAL = sorted(set().union(*(modules_of(extra) for extra in EXTRAS if extra not in FOR_CONTRIBUTORS)) - {"yaml"})


def finders_that_miss(packages: set[str]) -> list[Any]:
    """`sys.meta_path` as it would be were these packages not installed."""

    class Forgetful(PathFinder):
        @classmethod
        def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> Any:
            return None if fullname.split(".")[0] in packages else PathFinder.find_spec(fullname, path, target)

    return [Forgetful if finder is PathFinder else finder for finder in sys.meta_path]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Takes packages away for the length of a test, and with them what this package has imported of itself."""

    def take_away(*packages: str) -> None:
        for name in list(sys.modules):
            ours = name.startswith(("transformers_uniref.training", "transformers_uniref.annotation"))
            if name.split(".")[0] in packages or ours:
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "meta_path", finders_that_miss(set(packages)))

    yield take_away


# ---------------------------------------------------------------------------------------------- what needs which extra
def clip_in(folder: Path) -> Path:
    """A clip of one frame; no clip at all where none can be written."""
    file = folder / "clip.mp4"
    file.write_bytes(b"")
    if find_spec("av") is not None:
        from transformers_uniref.media.video.io import VideoWriter

        with VideoWriter(file) as writer:
            writer.write(np.zeros((16, 16, 3), dtype=np.uint8))
    return file


def read_a_clip(folder: Path) -> None:
    from transformers_uniref.media.video.io import probe_clip

    probe_clip(clip_in(folder))


def start_a_session_on_a_clip(folder: Path) -> None:
    from processor_support import small_processor

    small_processor().init_video_session(video=str(clip_in(folder)))


def write_a_clip(folder: Path) -> None:
    from transformers_uniref.media.video.io import VideoWriter

    with VideoWriter(folder / "written.mp4") as writer:
        writer.write(np.zeros((16, 16, 3), dtype=np.uint8))


def take_the_schema(folder: Path) -> None:
    from transformers_uniref.datasets.schema import features

    features()


def make_a_world(folder: Path) -> None:
    from transformers_uniref.worlds.drawn.records import world_dataset

    world_dataset("stills", "train", 1)


def stream_a_world(folder: Path) -> None:
    from transformers_uniref.worlds.drawn.records import world_stream

    world_stream("stills", "train", 1)


def make_a_referring_world(folder: Path) -> None:
    from transformers_uniref.worlds.drawn.datasets import ris_dataset

    ris_dataset("train", 1)


def convert_coco_masks(folder: Path) -> None:
    from transformers_uniref.datasets.converters.coco_masks import to_rle

    to_rle([[1, 1, 6, 1, 6, 6]], (8, 8))


def read_large_json(folder: Path) -> None:
    from transformers_uniref.datasets.converters.json_index import build_keyed_index
    from transformers_uniref.datasets.converters.source_tree import SourceTree

    source = SourceTree(Path(transformers_uniref.__file__).parent / "checkpoints" / "uniref-pp")
    build_keyed_index(source, "config.json", folder)


def train(folder: Path) -> None:
    import transformers_uniref.training.loop  # noqa: F401


def augment(folder: Path) -> None:
    from transformers_uniref.training.data.kornia_augmentation import _augmentations

    _augmentations()


def make_an_adapter(folder: Path) -> None:
    from model_support import small_model
    from transformers_uniref.adapters.presets import adapter_config

    adapter_config("lora", small_model())


def share_an_evaluation(folder: Path) -> None:
    from transformers_uniref.core.processes import launched_processes

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        launched_processes("eval", "evaluating")


def annotate_over_a_cluster(folder: Path) -> None:
    from transformers_uniref.annotation.ray_data import annotate_dataset
    from transformers_uniref.annotation.settings import AnnotationSettings

    class Dataset:
        def map_batches(self, *_: Any, **__: Any) -> None:
            """Takes the place of a cluster."""

    annotate_dataset(Dataset(), AnnotationSettings(text_column="caption"))


def report_to_a_tracker(folder: Path) -> None:
    from transformers_uniref.training.trackers import build_accelerator

    build_accelerator(folder, "no", ["wandb"])


def write_onnx(folder: Path) -> None:
    from transformers_uniref.export.folder import require_onnx

    require_onnx()


def compare_onnx(folder: Path) -> None:
    from transformers_uniref.export.folder import require_onnx

    require_onnx(verify=True)


def serve_the_page(folder: Path) -> None:
    from transformers_uniref.frontends.app.server import running
    from transformers_uniref.frontends.app.settings import AppSettings

    with running(AppSettings()):
        pass


def draw_a_figure(folder: Path) -> None:
    from transformers_uniref.visualization import plot_masks

    plot_masks(np.zeros((4, 4, 3), np.uint8), {1: np.ones((4, 4), bool)})


def hand_over_to_supervision(folder: Path) -> None:
    from transformers_uniref.interchange import AnnotatedImage, AnnotatedObject, to_supervision

    to_supervision(AnnotatedImage((4, 4), [AnnotatedObject(np.ones((4, 4), bool))]))


def fetch_weights(folder: Path) -> None:
    from transformers_uniref.conversion.transfer import from_web

    from_web("https://example.invalid/weights.pth", folder / "weights.pth")


NEEDS: list[tuple[str, str, Callable[[Path], None]]] = [
    ("video", "av", read_a_clip),
    ("video", "av", write_a_clip),
    ("video", "av", start_a_session_on_a_clip),
    ("data", "datasets", take_the_schema),
    ("data", "datasets", make_a_world),
    ("data", "datasets", stream_a_world),
    ("data", "datasets", make_a_referring_world),
    ("data", "pycocotools", convert_coco_masks),
    ("data", "ijson", read_large_json),
    ("train", "accelerate", train),
    ("train", "kornia", augment),
    ("train", "peft", make_an_adapter),
    ("eval", "accelerate", share_an_evaluation),
    ("trackers", "wandb", report_to_a_tracker),
    ("ray", "ray", annotate_over_a_cluster),
    ("onnx", "onnx", write_onnx),
    ("onnx", "onnxscript", write_onnx),
    ("onnx", "onnxruntime", compare_onnx),
    ("app", "gradio", serve_the_page),
    ("app", "av", serve_the_page),
    ("plot", "matplotlib", draw_a_figure),
    ("download", "gdown", fetch_weights),
    ("interchange", "supervision", hand_over_to_supervision),
]

# Not asked for by name: `uniref train` reports to the other trackers by the same lines, Transformers looks for
# flash-attn itself, and users import `evaluate` to load our modules.
NOT_LISTED = {"tensorboard", "trackio", "flash_attn", "evaluate"}
# What a package of the extra brings along itself.
BROUGHT_ALONG = {"eval": {"datasets"}, "interchange": {"matplotlib"}}


@pytest.mark.parametrize(("extra", "package", "use"), NEEDS, ids=[f"{p} {use.__name__}" for _, p, use in NEEDS])
def test_what_is_missing_is_told_with_its_extra(
    extra: str, package: str, use: Callable[[Path], None], without: Callable[..., None], tmp_path: Path
) -> None:
    without(package)
    with pytest.raises(MissingExtraError, match=re.escape(f'pip install "transformers-uniref[{extra}]"')):
        use(tmp_path)
    assert not [file for file in tmp_path.iterdir() if file.name != "clip.mp4"]


# Tried with the rest: these need several processes, an account, a browser or a network.
NOT_ALONE = {"eval", "trackers", "app", "download"}


@pytest.mark.parametrize("extra", sorted({extra for extra, _, _ in NEEDS} - NOT_ALONE))
def test_an_extra_alone_brings_what_it_promises(extra: str, without: Callable[..., None], tmp_path: Path) -> None:
    there = modules_of(extra) | BROUGHT_ALONG.get(extra, set())
    uses = [use for of, package, use in NEEDS if of == extra and find_spec(package) is not None]
    if not uses:
        pytest.skip(f"the packages of the extra {extra} are not installed")
    without(*(set(OPTIONAL) - there))
    for use in dict.fromkeys(uses):
        use(tmp_path)


def test_every_optional_package_is_tried() -> None:
    assert set(OPTIONAL) <= {package for _, package, _ in NEEDS} | NOT_LISTED


PROGRAM = f"""
import sys
from importlib.machinery import PathFinder
packages = {sorted({*OPTIONAL, "torchvision", "pyarrow", "pandas"})!r}
class Forgetful(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        return None if fullname.split(".")[0] in packages else PathFinder.find_spec(fullname, path, target)
sys.meta_path = [Forgetful if finder is PathFinder else finder for finder in sys.meta_path]
import numpy as np
import transformers_uniref
from transformers import pipeline
from transformers_uniref.frontends.cli.main import main
image = np.zeros((64, 64, 3), np.uint8); image[16:40, 16:40] = (255, 0, 0)
mask = image[..., 0] > 0
pipeline("referring-segmentation")(image, text="the red square")
pipeline("few-shot-segmentation")(image, reference_images=[image], reference_masks=[mask])
assert len(list(pipeline("video-object-segmentation")([image, image], masks=mask.astype(np.uint8)))) > 0
assert len(list(pipeline("referring-video-segmentation")([image, image], text="the red square"))) > 0
for arguments in (
    ["track", "x.mp4", "--text", "dog"],
    ["export", "uniref-pp", "--onnx"],
    ["train", "world-smoke", "--output", "run"],
):
    assert main(arguments) == 2, arguments
assert not set(packages) & {{name.split(".")[0] for name in sys.modules}}
"""


def test_the_core_works_without_any_extra(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())
    lines = [line for line in done.stderr.splitlines() if "error" in line]
    for line, extra in zip(lines, ("video", "onnx", "train"), strict=True):
        assert line.startswith("uniref: error: ") and f'pip install "transformers-uniref[{extra}]"' in line
