"""`pipeline("referring-video-segmentation")`: what sentences refer to, through a clip."""

from __future__ import annotations

from typing import Any

from .video_pipeline import SESSION_OPTIONS, VideoPipeline


class ReferringVideoSegmentationPipeline(VideoPipeline):
    """Finds what sentences refer to and follows it; with masks as well, both references act together.

    ```python
    follow = pipeline("referring-video-segmentation")
    for frame in follow("clip.mp4", text=["a person riding a bike", "the dog"], stream=True):
        frame["masks"][1]
    for frame in follow("clip.mp4", text="all cars", targets="all", stream=True):
        frame["masks"].values()  # none, one or many
    ```
    """

    references = ("text", "masks")
    required = ("text",)
    session_options = (*SESSION_OPTIONS, "propagate_text")
    masks_apart = True
    asking = ("targets", "max_objects", "patience")

    def __call__(
        self, video: Any, text: str | list[str] | dict[int, str] | None = None, masks: Any = None, **options: Any
    ) -> Any:
        """Follows objects through one clip.

        Args:
            video: a list of frames, an array (T, H, W, 3), a folder of pictures, a clip's file, or an iterator of
                frames.
            text: a sentence, a list of sentences (objects 1, 2, ... or, with `masks`, their objects in the order of
                their ids), or a dictionary {object id: sentence}.
            masks: masks of the same objects, as for `video-object-segmentation`.
            **options: `stream`: return an iterator that computes a frame when it is asked for (default: a list of all);
                `threshold`: an object whose score is not above it counts as absent from a frame (default: the model's
                own gates; 0 for none); `targets`: "one" (default), the best object of each sentence, or "all", every
                object that it means, with ids as they appear, beside those of `masks`, where `max_objects` and
                `patience` are as `UniRefVideoSession.add_text_for_all` says; `mask_threshold`, `references`,
                `propagate_text`, `object_chunk_size`, `output_size`: see `UniRefVideoSession`.

        Returns:
            For each frame a dictionary:

            - `frame`: its index.
            - `masks`: {object id: bool array (H, W)}, of the video's size; two sentences may mean the same pixels.
            - `scores`: {object id: 0..1}.
            - `passed`: {object id: whether the score is above the gate}; the mask is empty where it is not.
            - `labels`: {object id: its sentence, or the one that found it}.
            - `unknown_words`: {object id: words of its sentence that mean nothing to the model}.

            Where nothing was found in any frame, a warning says the best score and the gate.

        Raises:
            TypeError, ValueError: naming the argument, what came, and what is accepted.
        """
        return super().__call__(video, text, masks, **options)
