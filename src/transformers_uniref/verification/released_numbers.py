"""The released code's numbers against this machine's: a small model of its architecture, with weights made by a rule.

The released code computed them once, on a CPU in float32 (`tests/oracle/README.md`); `tests/project/test_oracle.py`
compares many more. Here are enough to tell that a processor, a build of PyTorch or a precision computes the same.
"""

from __future__ import annotations

import gzip
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .drawn_inputs import image_case_inputs, video_inputs
from .drawn_weights import original_state_dict

if TYPE_CHECKING:
    from ..modeling.shared_model import AnyUniRefModel
    from ..processors.processing_uniref import UniRefProcessor

FOLDER = Path(__file__).parent
FAMILY = "small_r50"
IMAGE_CASES = {"ris": "a sentence", "fss1": "an example", "rvos": "a frame by mask and sentence"}
CLIP_CASE, CLIP = "vos", 2  # of several drawn clips the one that the oracle took
CLIP_STEP = 4  # of the stored soft masks, which are every second pixel

# The tolerances of the tests (`tests/support/noise.py`): what the released code differs from itself, and some.
LOGITS = BOXES = 5e-5
MASKS = 2e-3
CLIP_MASKS = 1e-2


@dataclass(frozen=True)
class Comparison:
    """One quantity of one case.

    Attributes:
        what: for people.
        difference: the largest, absolute.
        allowed: what rounding explains.
    """

    what: str
    difference: float
    allowed: float

    @property
    def is_equal(self) -> bool:
        """Whether it is within what is allowed."""
        return self.difference <= self.allowed


def compare_with_released_code(device: Any) -> list[Comparison]:
    """Builds the small model as a released file, converts it, and lets it answer on this device, in float32 as then."""
    import torch

    with np.load(FOLDER / "released_numbers.npz") as file:
        expected = {name: file[name] for name in file.files}
    model, processor = _small_model()
    model = model.to(device).eval()
    compared = []
    for case, title in IMAGE_CASES.items():
        with torch.inference_mode():
            outputs = model(**{**_inputs(case, processor, device), "num_masks": 1})
        logits, boxes = (getattr(outputs, name).float().cpu().numpy() for name in ("logits", "pred_boxes"))
        masks = [outputs.pred_masks[entry, 0].float().cpu().numpy() for entry in range(len(logits))]
        stored = [expected[f"{case}/mask{entry}"] for entry in range(len(logits))]
        compared += [
            _compared(f"{title}: scores", [logits], [expected[f"{case}/pred_logits"]], LOGITS),
            _compared(f"{title}: boxes", [boxes], [expected[f"{case}/pred_boxes"]], BOXES),
            _compared(f"{title}: masks", masks, stored, MASKS),
        ]
    found = _followed(model, processor)
    wanted = [expected[f"{CLIP_CASE}/{frame}"] for frame in range(len(found))]
    compared.append(_compared("a clip by masks: soft masks", found, wanted, CLIP_MASKS))
    return compared


def _small_model() -> tuple[Any, UniRefProcessor]:
    import torch
    from transformers import AutoModel, AutoProcessor

    from ..conversion.converter import convert_checkpoint

    with gzip.open(FOLDER / "small_model.json.gz", "rt") as file:
        described = json.load(file)
    with tempfile.TemporaryDirectory(prefix="uniref-verify-") as folder:
        original, converted = Path(folder) / "small.pth", Path(folder) / "small"
        torch.save({"model": original_state_dict(described["entries"])}, original)
        heads = {"text_config.num_attention_heads": described["heads"]}
        convert_checkpoint(original, converted, text_encoder="none", overrides=heads)
        processor = AutoProcessor.from_pretrained(converted)
        return AutoModel.from_pretrained(converted, dtype=torch.float32), processor


def _inputs(case: str, processor: UniRefProcessor, device: Any) -> dict[str, Any]:
    import torch

    drawn = {name: torch.from_numpy(array) for name, array in image_case_inputs().items()}
    sentences: dict[str, Any] = {}
    if case == "ris":
        made = processor(images=[drawn["ris/image0"], drawn["ris/image1"]], do_resize=False)
    elif case == "fss1":
        made = processor(
            images=drawn["fss/image"],
            reference_images=[drawn["fss/support_image0"]],
            reference_masks=[drawn["fss/support_mask0"].numpy()],
            do_resize=False,
        )
    else:
        frames, masks = drawn["vos/images"], drawn["vos/masks"].numpy()
        made = processor(
            images=frames[2], reference_images=list(frames[:2]), reference_masks=list(masks[:2]), do_resize=False
        )
    if case in ("ris", "rvos"):
        sentences = {name: drawn[f"{case}/{name}"] for name in ("input_ids", "attention_mask")}
    values = {**made, **sentences}
    return {name: value.to(device) if hasattr(value, "to") else value for name, value in values.items()}


def _followed(model: AnyUniRefModel, processor: UniRefProcessor) -> list[np.ndarray]:
    """Soft masks of the objects of each frame of the clip."""
    drawn = {name.split("/")[1]: value for name, value in video_inputs([CLIP]).items()}
    processor.image_processor.do_resize = False
    session = processor.init_video_session(
        list(drawn["frames"].transpose(0, 2, 3, 1)), output_size=(180, 260), vos_score_threshold=0.3
    )
    processor.add_mask_prompt(session, 0, 1, [drawn["mask_object1_frame0"]])
    processor.add_mask_prompt(session, 2, 2, [drawn["mask_object2_frame2"]])
    step = 2 * CLIP_STEP
    found = []
    for output in model.propagate_in_video_iterator(session):
        assert output.pred_masks is not None
        found.append(output.pred_masks[:, ::step, ::step].float().cpu().numpy())
    return found


def _compared(what: str, found: list[np.ndarray], wanted: list[np.ndarray], allowed: float) -> Comparison:
    differences = [float(np.abs(one - other).max()) for one, other in zip(found, wanted, strict=True)]
    return Comparison(what, max(differences), allowed)
