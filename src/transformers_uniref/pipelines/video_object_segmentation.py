"""`pipeline("video-object-segmentation")`: the objects that masks show, through a clip."""

from __future__ import annotations

from typing import Any

from .video_pipeline import VideoPipeline


class VideoObjectSegmentationPipeline(VideoPipeline):
    """Follows objects that are given by their masks in some frame.

    ```python
    follow = pipeline("video-object-segmentation")
    for frame in follow("clip.mp4", masks="first_frame.png", stream=True):
        frame["masks"][1]
    ```
    """

    references = ("masks",)
    required = ("masks",)

    def __call__(self, video: Any, masks: Any = None, **options: Any) -> Any:
        """Follows objects through one clip.

        Args:
            video: a list of frames, an array (T, H, W, 3), a folder of pictures, a clip's file, or an iterator of
                frames.
            masks: the objects, for the first frame: a label map (H, W) whose values above 0 are object ids (array,
                tensor, PIL image or path; bool, or 0 and 255, is object 1), or binary masks of the objects 1, 2, ... as
                a list or an array (n, H, W). For other frames, too: {frame index: one of these, or {object id: mask}};
                an object appears in the results from its own first frame on, and a later mask corrects it.
            **options: `stream`: return an iterator that computes a frame when it is asked for (default: a list of all);
                `threshold`: an object whose score is not above it counts as absent from a frame (default: the model's
                own gates; 0 for none); `mask_threshold`, `references`, `object_chunk_size`, `output_size`: see
                `UniRefVideoSession`.

        Returns:
            For each frame a dictionary:

            - `frame`: its index.
            - `masks`: {object id: bool array (H, W)}, disjoint, of the video's size.
            - `scores`: {object id: 0..1}.
            - `passed`: {object id: whether the score is above the gate}; the mask is empty where it is not.

        Raises:
            TypeError, ValueError: naming the argument, what came, and what is accepted.
        """
        return super().__call__(video, masks, **options)
