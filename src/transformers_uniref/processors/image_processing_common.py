"""What the PIL and the torchvision image processors share: options, sizes, and how they read a user's pictures."""

from __future__ import annotations

from typing import Annotated, Any

from huggingface_hub.errors import StrictDataclassError
from transformers.image_processing_base import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor, get_size_dict
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.processing_utils import ImagesKwargs
from transformers.utils.type_validators import image_size_validator

from ..core import picture_input as inputs
from ..core.errors import KindError, UsageError
from ..core.sharing import SavedWhole
from .image_sizes import limited_size, padded_size, resized_size

PIXEL_MEAN = [123.675, 116.28, 103.53]
PIXEL_STD = [58.395, 57.12, 57.375]


class UniRefImageProcessorKwargs(ImagesKwargs, total=False):
    """Options beyond Transformers' own.

    Attributes:
        few_shot_size: the size rule for a picture that is segmented by annotated examples, and for the examples.
        video_size: the size rule for the frames of a video, and for a picture with a sentence and examples.
        pad_size_divisor: the padded height and width are multiples of this.
        enlarged_to: a size rule beyond which no picture is enlarged by the three others, as enlarging adds nothing that
            was not there: a smaller one gets no larger than this rule makes it. None (default): there is no limit. A
            call with a `size` of its own has none either, unless it gives one.
    """

    few_shot_size: Annotated[int | list[int] | tuple[int, ...] | dict[str, int] | None, image_size_validator()]
    video_size: Annotated[int | list[int] | tuple[int, ...] | dict[str, int] | None, image_size_validator()]
    pad_size_divisor: int | None
    enlarged_to: Annotated[int | list[int] | tuple[int, ...] | dict[str, int] | None, image_size_validator()]


class UniRefImageProcessorBase(SavedWhole, BaseImageProcessor):
    """The released preprocessing, independent of the backend.

    Pictures are uint8 RGB; resized (`size`, antialiased bilinear on 8 bits); normalised on the 0..255 scale; padded
    with 0 at the right and at the bottom to the batch's largest size (or to `pad_size`) and to a multiple of
    `pad_size_divisor`. Giving only `size` sets `few_shot_size` and `video_size` as well.
    """

    valid_kwargs = UniRefImageProcessorKwargs
    model_input_names = ["pixel_values", "pixel_mask"]

    do_convert_rgb = True
    do_resize = True
    size = {"shortest_edge": 800, "longest_edge": 1333}
    few_shot_size = {"shortest_edge": 480, "longest_edge": 768}
    video_size = {"shortest_edge": 480, "longest_edge": 1333}
    default_to_square = False
    resample = PILImageResampling.BILINEAR
    do_rescale = False
    do_normalize = True
    image_mean = PIXEL_MEAN
    image_std = PIXEL_STD
    do_pad = True
    pad_size_divisor = 32
    enlarged_to = None

    def __init__(self, **kwargs: Any) -> None:
        kwargs.pop("auto_map", None)  # of the repository it came from; a copy that is saved has none
        if kwargs.get("size") is not None:
            for name in ("few_shot_size", "video_size"):
                if kwargs.get(name) is None:
                    kwargs[name] = kwargs["size"]
        super().__init__(**kwargs)

    def __call__(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        """See `preprocess`."""
        return self.preprocess(images, *args, **kwargs)

    def preprocess(self, images: Any, **kwargs: Any) -> BatchFeature:
        """Pictures -> network input.

        Args:
            images: one picture, a list, or a stack; what counts as a picture says `inputs.rgb_array`.
            **kwargs: any option of this processor, for this call only; `return_tensors` "pt" (default) or "np".

        Returns:
            `pixel_values` float (B, 3, H, W) and `pixel_mask` int64 (B, H, W), 1 = picture, 0 = padding.

        Raises:
            TypeError, ValueError: not a readable picture (see `inputs.rgb_array`); an unknown option or size rule.
        """
        if kwargs.get("return_tensors") is None:
            kwargs["return_tensors"] = "pt"
        if kwargs.get("size") is not None:
            kwargs.setdefault("enlarged_to", None)
        # Transformers' validation knows every notation of a size but its own class.
        kwargs = {name: dict(value) if isinstance(value, SizeDict) else value for name, value in kwargs.items()}
        try:
            return super().preprocess(images, **kwargs)
        except StrictDataclassError as error:
            raise KindError(f"An option of the image processor has the wrong type. {error}") from error

    def get_resized_size(self, height: int, width: int, size: Any = None) -> tuple[int, int]:
        """The (height, width) that a picture is resized to, by `size` or by the processor's own rules."""
        if size is not None:
            return resized_size(height, width, self.as_size(size, "size"))
        return limited_size(height, width, self.as_size(self.size, "size"), self.enlarged_to)

    def as_size(self, size: Any, name: str) -> SizeDict:
        """A size rule in any notation that Transformers knows (470, {"shortest_edge": 470}, ...) as a `SizeDict`."""
        if isinstance(size, SizeDict):
            return size
        return SizeDict(**get_size_dict(size, default_to_square=False, param_name=name))

    def _standardize_kwargs(  # type: ignore[override]
        self, few_shot_size: Any = None, video_size: Any = None, enlarged_to: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        kwargs = super()._standardize_kwargs(**kwargs)
        own = {"few_shot_size": few_shot_size, "video_size": video_size, "enlarged_to": enlarged_to}
        for name, value in own.items():
            kwargs[name] = None if value is None else self.as_size(value, name)
        return kwargs

    def _prepare_images_structure(self, images: Any, expected_ndims: int = 3) -> list[Any]:
        return inputs.image_list(images)

    def _padded_size(self, sizes: list[tuple[int, int]], do_pad: bool, divisor: int | None, pad_size: Any) -> Any:
        if do_pad:
            return padded_size(sizes, divisor, pad_size)
        if len(set(sizes)) > 1:
            raise UsageError(f"`do_pad=False` needs pictures of one size after resizing, got {sorted(set(sizes))}.")
        return sizes[0]
