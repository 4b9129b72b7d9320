"""`pipeline("few-shot-segmentation")`: what annotated examples show, in another picture."""

from __future__ import annotations

from typing import Any

from ..processors.pointing import GIVEN
from .image_pipeline import ImagePipeline


class FewShotSegmentationPipeline(ImagePipeline):
    """Finds the same thing as in annotated examples.

    ```python
    find = pipeline("few-shot-segmentation")
    [found] = find("photo.jpg", reference_images=["example.jpg"], reference_masks=["example.png"])
    ```
    """

    references = ("reference_images", "reference_masks", "text", *GIVEN)
    required = ("reference_images", "reference_masks")

    def __call__(
        self,
        image: Any,
        reference_images: Any = None,
        reference_masks: Any = None,
        text: str | None = None,
        **options: Any,
    ) -> Any:
        """Segments one picture, or several.

        Args:
            image: a picture (PIL, path, URL, uint8 array (H, W, 3), ...); a dictionary of `image`, `reference_images`,
                `reference_masks` (and `text`); a list, a generator or a torch dataset of these.
            reference_images: the example, or a list of examples of the same thing; they hold for every picture that
                does not come with its own.
            reference_masks: for each its mask, bool or integer (H, W), 0 and one other value, of its picture's size.
            text: a sentence that describes the thing as well; both references then act together.
            **options: `threshold`: an object whose score, 0 to 1, is not above it gets an empty mask (default: the
                model's own gate, `processor.score_threshold`; 0: every object gets a mask); `mask_threshold`: the
                probability above which a pixel belongs to the object (0.5); `batch_size` and `num_workers`, for several
                pictures.

        Returns:
            For a picture a list with one dictionary:

            - `score`: 0..1, how sure the model is.
            - `label`: the sentence, or None.
            - `mask`: PIL image of mode L and of the (upright) picture's size, 255 where the thing is; empty where the
              answer did not pass.
            - `box`: `{"xmin", "ymin", "xmax", "ymax"}` in pixels, of the model's best guess whether it passed or not.
            - `passed`: whether the score is above the gate.
            - `threshold`: the gate; None for none.
            - `unknown_words`: words of the sentence that mean nothing to the model.

            For a list of pictures a list of such lists; for a generator or a dataset an iterator over them.

        Raises:
            TypeError, ValueError: naming the argument, what came, and what is accepted.
        """
        return super().__call__(image, reference_images, reference_masks, text, **options)
