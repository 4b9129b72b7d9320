"""`pipeline("referring-segmentation")`: what a sentence refers to, in a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import UsageError
from ..processors.pointing import GIVEN
from .image_pipeline import ImagePipeline


class ReferringSegmentationPipeline(ImagePipeline):
    """Finds what sentences, clicks, boxes or scribbles refer to in pictures.

    ```python
    find = pipeline("referring-segmentation")
    [dog] = find("photo.jpg", text="the dog on the left")
    dog["mask"].save("dog.png")
    dog, ball = find("photo.jpg", text=["the dog on the left", "the ball"])
    cars = find("street.jpg", text="all cars", targets="all")  # none, one or many
    [clicked] = find("photo.jpg", input_points=[(120, 80), (200, 90)], input_labels=[1, 0])
    for found in find(({"image": image, "text": text} for image, text in pairs), batch_size=8):
        ...
    ```
    """

    references = ("text", *GIVEN)

    def _check_references(self, given: Mapping[str, Any]) -> None:
        wanted = [name for name in self.references if name != "input_labels"]
        if all(given.get(name) is None for name in wanted):
            raise UsageError(f"`text` is missing: the task {self.task!r} needs one of {', '.join(wanted)}.")

    def __call__(self, image: Any, text: str | list[str] | None = None, **options: Any) -> Any:
        """Segments one picture, or several.

        Args:
            image: a picture (PIL, path, URL, uint8 array (H, W, 3), ...); a dictionary `{"image": ..., "text": ...}`;
                a list, a generator or a torch dataset of these.
            text: a sentence, or a list of sentences, each an object of its own; they hold for every picture that does
                not come with its own.
            **options: `input_points`, `input_labels`, `input_boxes`, `input_scribbles`: where objects are, alone or
                beside the sentences, see `UniRefProcessor`; a model without an encoder of them gets a drawn mask.
                `targets`: "one" (default), the best object of each sentence, or "all", every object that it
                means, none, one or many; `threshold`: an object whose score, 0 to 1, is not above it gets an empty mask
                (default: the model's own gate, `processor.score_threshold`; 0: every object gets a mask);
                `mask_threshold`: the probability above which a pixel belongs to the object (0.5); `batch_size` and
                `num_workers`, for several pictures.

        Returns:
            For a picture a list with one dictionary for each sentence, in their order; with `targets="all"` one for
            each object, those of a sentence after each other, best first, and none for a sentence that means nothing
            there:

            - `score`: 0..1, how sure the model is.
            - `label`: the sentence, or None.
            - `mask`: PIL image of mode L and of the (upright) picture's size, 255 where the object is; empty where the
              answer did not pass.
            - `box`: `{"xmin", "ymin", "xmax", "ymax"}` in pixels, of the model's best guess whether it passed or not.
            - `passed`: whether the score is above the gate and the model knows any word of the sentence.
            - `threshold`: the gate; None for none.
            - `unknown_words`: words of the sentence that mean nothing to the model.

            For a list of pictures a list of such lists; for a generator or a dataset an iterator over them.

        Raises:
            TypeError, ValueError: naming the argument, what came, and what is accepted.
        """
        return super().__call__(image, text, **options)
