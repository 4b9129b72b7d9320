"""The code in a card, which runs as it is pasted: it draws its own picture, or a scene of the procedural world."""

from __future__ import annotations

from dataclasses import dataclass

from .folder import ModelFolder

_PICTURE = """\
image = Image.new("RGB", (320, 240), "white")
ImageDraw.Draw(image).ellipse((40, 60, 160, 180), fill="red")"""
_MASK = """
mask = Image.new("L", image.size)
ImageDraw.Draw(mask).ellipse((40, 60, 160, 180), fill=255)"""

WORLD_CODE = """\
from transformers import pipeline

from transformers_uniref.worlds import World  # the import also makes Transformers know the tasks

scene = World(split="test", seed=1000).image(0)
sentence = next(sentences[0] for sentences in scene["sentences"] if sentences)
[found] = pipeline("referring-segmentation")(scene["image"], text=sentence)
found["mask"].save("mask.png")
print(sentence, found["score"], found["box"])"""


@dataclass(frozen=True)
class CodeBlock:
    """Python that a card shows, and what it says before it."""

    text: str
    source: str


def code_blocks(folder: ModelFolder, repo_id: str, revision: str | None = None) -> list[CodeBlock]:
    """What a card shows of a model or an adapter in this repository."""
    names = "AutoModel, AutoProcessor, pipeline" if folder.kind == "adapter" else "pipeline"
    blocks = []
    if folder.reads_sentences:
        loading = _pipeline(folder, "referring-segmentation", repo_id, revision)
        blocks.append(CodeBlock("By a sentence:", _asking(loading, names, 'image, text="the red circle on the left"')))
    if "few-shot-segmentation" in folder.tasks and (folder.processor is not None or folder.borrows_processor):
        loading = _pipeline(folder, "few-shot-segmentation", repo_id, revision)
        question = "image.rotate(180), reference_images=[image], reference_masks=[np.array(mask)]"
        blocks.append(CodeBlock("By an annotated example:", _asking(loading, names, question, _MASK)))
    if not blocks and folder.kind == "model":
        blocks.append(CodeBlock("The model alone:", _model_alone(folder, repo_id, revision)))
    if folder.kind != "adapter":
        blocks.append(
            CodeBlock(
                "Where the package is installed but shall not be imported, `trust_remote_code=True` does it, through "
                "the one file of code in this repository:",
                _trusting(folder, repo_id, revision),
            )
        )
    return blocks


def _asking(loading: str, names: str, question: str, mask: str = "") -> str:
    numpy = "import numpy as np\n" if mask else ""
    return f"""\
{numpy}import transformers_uniref  # makes Transformers know the model
from PIL import Image, ImageDraw
from transformers import {names}

{_PICTURE}{mask}

{loading}
[found] = segment({question})
found["mask"].save("mask.png")
print(found["score"], found["box"])"""


def _model_alone(folder: ModelFolder, repo_id: str, revision: str | None) -> str:
    sentence = ", input_ids=torch.tensor([[1, 2, 3]])" if folder.config.use_language_references else ""
    return f"""\
import torch
import transformers_uniref  # makes Transformers know the model
from transformers import AutoModel

model = AutoModel.from_pretrained("{repo_id}"{_at(revision)}).eval()
with torch.inference_mode():
    outputs = model(pixel_values=torch.zeros(1, 3, 64, 64){sentence})
print(outputs.pred_masks.shape)"""


def _trusting(folder: ModelFolder, repo_id: str, revision: str | None) -> str:
    classes = {"AutoModel": folder.kind == "model", "AutoProcessor": folder.processor is not None}
    wanted = [name for name, present in classes.items() if present]
    lines = [
        f"{'model' if name == 'AutoModel' else 'processor'} = {name}.from_pretrained("
        f'"{repo_id}"{_at(revision)}, trust_remote_code=True)'
        for name in wanted
    ]
    return "\n".join([f"from transformers import {', '.join(wanted)}", "", *lines])


def _pipeline(folder: ModelFolder, task: str, repo_id: str, revision: str | None) -> str:
    if folder.kind != "adapter":
        return f'segment = pipeline("{task}", model="{repo_id}"{_at(revision)})'
    # `revision` would be looked for in the base model's repository too.
    adapter_at = f', adapter_kwargs={{"revision": "{revision}"}}' if revision else ""
    source = f'"{folder.base_model}"' if folder.borrows_processor else f'"{repo_id}"{_at(revision)}'
    return f"""\
model = AutoModel.from_pretrained("{repo_id}"{adapter_at})  # the base model with this adapter
processor = AutoProcessor.from_pretrained({source})
segment = pipeline("{task}", model=model, processor=processor)"""


def _at(revision: str | None) -> str:
    return f', revision="{revision}"' if revision else ""
