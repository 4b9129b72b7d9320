"""The processor: pictures, sentences and annotated examples in; masks, boxes and scores out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from transformers.image_processing_base import BatchFeature
from transformers.processing_utils import ProcessorMixin

from ..core import picture_input as inputs
from ..core.errors import KindError, UsageError
from ..core.mask_reading import is_mask
from ..core.masks import binary_mask, nearest_resize
from ..core.score_gate import gate_of, passes
from ..core.sharing import SharedProcessor
from ..modeling.video.merging import merge_masks
from . import post_processing
from .all_targets import ObjectChoice, Targets, read_choice
from .drawn_references import drawn_masks
from .log_mel import audio_extractor as _audio_extractor
from .log_mel import sound_tensors
from .pointing import model_inputs, split_objects
from .targets import instance_masks, make_label
from .text import check_sentence, tokenise
from .video_prompts import VideoPrompting
from .vocabulary import NothingUnderstoodWarning, Reading, UniRefInputs, read_sentence

if TYPE_CHECKING:
    from ..modeling.video.session import UniRefVideoSession, VideoOutput

Shot: TypeAlias = "tuple[Any, np.ndarray]"
"""An annotated example: the picture in the image processor's working form (3, H, W), and its bool mask (H, W)."""


class UniRefProcessor(VideoPrompting, SharedProcessor, ProcessorMixin):
    """Joins the image processor and, for models that read sentences, a tokenizer.

    Args:
        image_processor: `UniRefImageProcessor` or `UniRefImageProcessorPil`.
        tokenizer: any Transformers tokenizer; None for a model whose sentences arrive as token ids, or not at all.
        text_length: tokens per sentence; always padded to it, as in training (`UniRefConfig.text_length`).
        vos_score_threshold: score gate of objects that a mask was given for, in video sessions (released: 0.4).
        rvos_score_threshold: score gate of objects with a sentence, in video sessions (released: 0.3).
        score_threshold: the score gate of pictures, 0 to 1: what tells this model's finds from absences, for sentences
            and examples alike. Pipelines, commands and the application gate with it unless they are given another
            `threshold`. None: no gate.
        video_mask_threshold: `mask_threshold` of video sessions, between 0 and 1, both left out (released: 0.5).
        all_targets: what this model counts as an object with `targets="all"`: some of `threshold` (the gate of
            pictures, instead of `score_threshold`), `least_share`, `least_score`, `same_overlap`, `covered`; see
            `ObjectChoice`.
        known_words: the words that the model was taught, if that was recorded; by them `unknown_words` tells which
            words of a sentence mean nothing to it. Without them the tokenizer decides, see `read_sentence`.
        audio_extractor: for models that hear, `LogMelExtractor` or another feature extractor of Transformers, or its
            saved description.
    """

    def __init__(
        self,
        image_processor: Any,
        tokenizer: Any = None,
        text_length: int = 77,
        chat_template: Any = None,
        score_threshold: float | None = 0.3,
        vos_score_threshold: float | None = 0.4,
        rvos_score_threshold: float | None = 0.3,
        video_mask_threshold: float = 0.5,
        known_words: Iterable[str] | None = None,
        all_targets: Mapping[str, float | None] | None = None,
        audio_extractor: Any = None,
    ) -> None:
        if text_length < 3:
            raise UsageError(f"`text_length` must leave room for a token between two special ones, got {text_length}.")
        if score_threshold is not None and not 0 <= score_threshold <= 1:
            raise UsageError(f"`score_threshold` must be between 0 and 1, got {score_threshold}.")
        if tokenizer is None:
            # The base class has no notion of an absent tokenizer.
            self.check_argument_for_proper_class("image_processor", image_processor)
            self.image_processor = image_processor
            self.tokenizer = None
            self.chat_template = chat_template
        else:
            super().__init__(image_processor, tokenizer, chat_template=chat_template)
        self.text_length = text_length
        self.score_threshold = score_threshold
        # Checked by the session, whose defaults they are.
        self.vos_score_threshold = vos_score_threshold
        self.rvos_score_threshold = rvos_score_threshold
        self.video_mask_threshold = video_mask_threshold
        self.known_words = _checked_words(known_words)
        read_choice(all_targets)  # a mistake shows when the processor is made
        self.all_targets = None if all_targets is None else dict(all_targets)
        self.audio_extractor = _audio_extractor(audio_extractor)

    # ----------------------------------------------------------------------------------------------------- to the model
    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | Sequence[Sequence[str]] | None = None,
        reference_images: Any = None,
        reference_masks: Any = None,
        segmentation_maps: Any = None,
        return_tensors: str | None = "pt",
        size: Any = None,
        return_original_sizes: bool = False,
        reference_points: Any = None,
        reference_boxes: Any = None,
        reference_scribbles: Any = None,
        reference_drawing: Mapping[str, Any] | None = None,
        input_points: Any = None,
        input_labels: Any = None,
        input_boxes: Any = None,
        input_scribbles: Any = None,
        audio: Any = None,
        sampling_rate: int | None = None,
        **images_kwargs: Any,
    ) -> BatchFeature:
        """Pictures and what to look for in them -> the model's input.

        Pictures alone ask for all their objects, one result each.

        The number N of results is the number of sentences, of sounds, or of groups of examples. N equal to the number
        of pictures pairs them up; with one picture all N look at it, and with one *list* of sentences for each picture
        every sentence looks at its own (`image_indices` then says which, and the visual encoder runs once for each
        picture).

        Args:
            images: one picture or a list; PIL, path, uint8 array (H, W, 3), tensor (3, H, W), float in 0..1 and more
                (see `inputs.rgb_array`). EXIF orientation is applied.
            text: a sentence, a list of them, or a list of lists (one for each picture).
            reference_images: annotated examples: one picture; a list of K (K shots of the one picture in `images`); for
                a batch a list with one example, or a list of K examples, for each entry.
            reference_masks: a mask for each reference image, in the same arrangement: (H, W) of 0 and one other value,
                or what else `mask_reading.read_mask` reads, of the size of its (upright) picture.
            segmentation_maps: for training, what ought to be found, for each of the N results: a label map (H, W)
                whose values above 0 are objects; a list or array (n, H, W) of binary masks; an empty list or empty
                masks when it is absent from the picture.
            return_tensors: "pt" (also when None) or "np".
            size: the size rule for this call. Default: the image processor's `few_shot_size` with reference images,
                `video_size` with both reference images and text, `size` otherwise.
            return_original_sizes: add `original_sizes`, int64 (N, 2), height and width: what the post-processing calls
                `target_sizes`. Not an input of the model.
            reference_points, reference_boxes, reference_scribbles: instead of `reference_masks`, one of them: for each
                reference image, in the same arrangement, the points (x, y), the box x0, y0, x1, y1 or the stroke(s) of
                the object in pixels. A mask is drawn from them (`drawn_references`), which says less than a true one.
            reference_drawing: how: the options of `point_mask` (`radius`), `box_mask` (`shape`) or `scribble_mask`
                (`width`).
            input_points, input_labels, input_boxes, input_scribbles: for a model with an encoder of them
                (`use_point_references`), where in the picture itself the object is, in pixels of the upright picture:
                clicks (x, y), each with 1 (default, the object is here) or 0 (it is not); a box x0, y0, x1, y1; a
                stroke, (n, 2) points. For one object its click(s), its box or its stroke, for several a list of that,
                one for each of the N results, as `pointing.split_objects` says. All may be given together.
            audio: N sounds, of models that hear: one (samples,), a list of them or an array (N, samples), floating
                point within -1..1. With `text`, sentence n and sound n speak of one object.
            sampling_rate: samples a second of `audio`, those that the model was trained with.
            **images_kwargs: any other option of the image processor, for this call (`do_resize=False`, ...).

        Returns:
            `pixel_values` (B, 3, H, W), `pixel_mask` (B, H, W); with text `input_ids`, `attention_mask`
            (N, text_length); with audio `audio_values` (N, ...), `audio_mask` (N, T); with references
            `reference_pixel_values` (N, K, 3, H', W'), `reference_pixel_mask` (N, K, H', W'), `reference_masks` bool
            (N, K, H', W'); with what was pointed at `input_points` (N, P, 2), `input_labels` (N, P), -1 where there is
            no click, and `input_boxes` (N, 4), zeros where there is no box, as shares of the picture's sides;
            `image_indices` (N,) where entries and pictures are not paired one to one; with segmentation
            maps `labels`: N dictionaries `boxes` (t, 4) cxcywh relative to the
            unpadded picture, `masks` bool (t, H, W), `class_labels` (t,), all 0.

            With text, its attributes `unknown_words` and `understood` hold for each sentence the words that this model
            does not know, and whether it knows any. They are no keys, so `model(**inputs)` does not see them.

        Raises:
            TypeError, ValueError: naming the argument, what came, and what is accepted.

        Warns:
            NothingUnderstoodWarning: a sentence that has no other reference beside it holds no word that the model
                knows.
        """
        if return_tensors not in (None, "pt", "np"):
            raise UsageError(f"`return_tensors` must be 'pt' or 'np', got {return_tensors!r}.")
        drawn = {"points": reference_points, "boxes": reference_boxes, "scribbles": reference_scribbles}
        drawn = {kind: value for kind, value in drawn.items() if value is not None}
        marks = ([] if reference_masks is None else ["masks"]) + list(drawn)
        if len(marks) > 1:
            raise UsageError(f"`reference_{marks[0]}` and `reference_{marks[1]}` came together; an example needs one.")
        if (reference_images is None) != (not marks):
            given, missing = (marks[0], "images") if marks else ("images", "masks")
            raise UsageError(f"`reference_{given}` came without `reference_{missing}`; an example needs both.")
        if reference_drawing and not drawn:
            raise UsageError("`reference_drawing` came without points, boxes or scribbles to draw.")
        pointing = {
            "input_points": input_points,
            "input_labels": input_labels,
            "input_boxes": input_boxes,
            "input_scribbles": input_scribbles,
        }
        points_at = any(value is not None for value in pointing.values())
        pointed = split_objects(pointing) if points_at else None
        heard = {} if audio is None else sound_tensors(self.audio_extractor, audio, sampling_rate)
        if images is None:
            named = {"reference_images": reference_images, "segmentation_maps": segmentation_maps, "audio": audio}
            for name, value in (named | pointing).items():
                if value is not None:
                    raise UsageError(f"`{name}` came without `images`; there is no picture to segment.")
            if text is None:
                raise UsageError("`images` and `text` are both missing; give at least one.")
            asked, _ = self._sentences(text, None)
            return UniRefInputs(self._tokenise(asked), tensor_type=return_tensors or "pt", readings=self._read(asked))

        order = images_kwargs.pop("input_data_format", None)
        pictures = [self.image_processor.process_image(image, order) for image in inputs.image_list(images)]
        sizes = [_height_width(picture) for picture in pictures]
        groups: list[list[Shot]] | None = None
        sentences: list[str] | None = None
        indices: list[int] | None = None
        if text is not None:
            sentences, indices = self._sentences(text, len(pictures))
        if reference_images is not None:
            if drawn:
                reference_images, sizes_tree = self._sized_references(reference_images, order)
                reference_masks = drawn_masks(drawn, sizes_tree, dict(reference_drawing or {}))
            groups = self._references(reference_images, reference_masks, len(pictures), order)
        indices = _entry_images(len(pictures), sentences, groups, pointed, indices, heard)
        wanted = None if segmentation_maps is None else _wanted_masks(segmentation_maps, [sizes[i] for i in indices])
        options = dict(images_kwargs)
        if size is None:
            rules = self.image_processor
            with_examples = rules.few_shot_size if sentences is None else rules.video_size
            size = rules.size if groups is None else with_examples
            options.setdefault("enlarged_to", self.image_processor.enlarged_to)
        options["size"] = size

        data = self._image_tensors(pictures, options)
        if indices != list(range(len(pictures))):
            data["image_indices"] = torch.tensor(indices)
        if sentences is not None:
            data.update({name: torch.from_numpy(ids) for name, ids in self._tokenise(sentences).items()})
        data.update(heard)
        if groups is not None:
            data.update(self._reference_tensors(groups, options))
        if pointed is not None:
            data.update(model_inputs(pointed, [sizes[index] for index in indices]))
        if return_original_sizes:
            data["original_sizes"] = torch.tensor([sizes[index] for index in indices])
        if wanted is not None:
            valid, padded = _valid_sizes(data["pixel_mask"]), _height_width(data["pixel_mask"])
            data["labels"] = [make_label(masks, valid[i], padded) for masks, i in zip(wanted, indices, strict=True)]
        alone = groups is None and pointed is None and audio is None
        readings = [] if sentences is None else self._read(sentences, alone=alone)
        return UniRefInputs(_to_numpy(data) if return_tensors == "np" else data, readings=readings)

    @property
    def model_input_names(self) -> list[str]:
        """The tensors that `__call__` makes for the model's forward."""
        text = [] if self.tokenizer is None else ["input_ids", "attention_mask"]
        references = ["reference_pixel_values", "reference_pixel_mask", "reference_masks"]
        pointed = ["input_points", "input_labels", "input_boxes"]
        audio = [] if self.audio_extractor is None else ["audio_values", "audio_mask"]
        return ["pixel_values", "pixel_mask", *text, *references, *pointed, "image_indices", *audio]

    def _sentences(self, text: Any, n_images: int | None) -> tuple[list[str], list[int] | None]:
        """Flat, normalised sentences and, when they came in one list for each picture, whose each one is."""
        if self.tokenizer is None:
            raise UsageError(
                "`text` needs a tokenizer and this processor has none: the model takes token ids, so pass "
                "`input_ids` and `attention_mask` to the model yourself."
            )
        if isinstance(text, str):
            return [check_sentence(text)], None
        if not isinstance(text, (list, tuple)):
            raise KindError(f"`text` must be a sentence (str) or a list of sentences, got {type(text).__name__}.")
        if len(text) == 0:
            raise UsageError("`text` is an empty list; give at least one sentence.")
        nested = [isinstance(item, (list, tuple)) for item in text]
        if not any(nested):
            return [check_sentence(sentence) for sentence in text], None
        if not all(nested) or any(len(item) == 0 for item in text):
            raise UsageError("`text` must be a list of sentences, or of non-empty lists of sentences, not a mixture.")
        if n_images is not None and len(text) != n_images:
            raise UsageError(f"`text` must hold one list for each of the {n_images} images, got {len(text)} lists.")
        return [check_sentence(s) for item in text for s in item], [i for i, item in enumerate(text) for _ in item]

    def _tokenise(self, sentences: list[str]) -> dict[str, np.ndarray]:
        return tokenise(sentences, self.tokenizer, self.text_length)

    def unknown_words(self, text: str | Sequence[Any]) -> list[Any]:
        """The words of a sentence that mean nothing to this model.

        A model with `known_words` knows these, and other numbers of them; of any other a word is unknown when its
        tokenizer has no more of it than single characters. Function words and punctuation are never among them.

        Args:
            text: a sentence, or as for `__call__` a list of sentences, or of lists of sentences.

        Returns:
            Words in lower case, each once: a list; for a list of sentences a list of lists, nested as they are.

        Raises:
            TypeError, ValueError: as `__call__` for its `text`.
        """
        if not isinstance(text, str):
            self._sentences(text, None)  # refuses what `__call__` refuses
            return [self.unknown_words(item) for item in text]
        return list(self.read_sentences(text)[0].unknown)

    def read_sentences(self, sentences: str | Sequence[str]) -> list[Reading]:
        """For each sentence the words that this model knows, and those that it does not; see `unknown_words`.

        Raises:
            TypeError, ValueError: as `__call__` for its `text`.
        """
        taught = None if self.known_words is None else set(self.known_words)
        return [read_sentence(one, self.tokenizer, taught) for one in self._sentences(sentences, None)[0]]

    def _read(self, sentences: Sequence[str], alone: bool = True) -> list[Reading]:
        """What the model knows of each sentence; warns of those that say nothing, where nothing else was given."""
        readings = self.read_sentences(sentences)
        for sentence, reading in zip(sentences, readings, strict=True):
            if alone and not reading.is_understood:
                unknown = f" (unknown to this model: {', '.join(reading.unknown)})" if reading.unknown else ""
                warnings.warn(
                    f"nothing in {sentence!r} was understood{unknown}: what is found by it means nothing",
                    NothingUnderstoodWarning,
                    stacklevel=3,
                )
        return readings

    def _image_tensors(self, pictures: list[Any], options: dict[str, Any]) -> dict[str, Any]:
        return dict(self.image_processor(pictures, input_data_format="channels_first", return_tensors="pt", **options))

    def _references(self, images: Any, masks: Any, n_images: int, order: Any) -> list[list[Shot]]:
        """For each entry its K examples."""
        image_tree = inputs.as_tree(images, inputs.is_image, "reference_images")
        mask_tree = inputs.as_tree(masks, is_mask, "reference_masks")
        image_groups = _groups(image_tree, n_images, "reference_images")
        mask_groups = _groups(mask_tree, n_images, "reference_masks")
        shots, mask_counts = [len(group) for group in image_groups], [len(group) for group in mask_groups]
        if shots != mask_counts:
            raise UsageError(
                f"`reference_masks` must hold one mask for each reference image: {shots} images, {mask_counts} masks "
                "(for each entry)."
            )
        if len(set(shots)) > 1:
            raise UsageError(f"`reference_images` must hold equally many examples for each entry, got {shots}.")
        return [
            [self._shot(image, mask, order) for image, mask in zip(image_group, mask_group, strict=True)]
            for image_group, mask_group in zip(image_groups, mask_groups, strict=True)
        ]

    def _sized_references(self, images: Any, order: Any) -> tuple[Any, Any]:
        """Reference images in their arrangement, upright arrays (H, W, 3), and the (height, width) of each."""
        if isinstance(images, (list, tuple)) or not inputs.is_image(images):
            tree = inputs.as_tree(images, inputs.is_image, "reference_images")
            both = [self._sized_references(image, order) for image in tree]
            return [image for image, _ in both], [size for _, size in both]
        picture = inputs.rgb_array(images, "reference_images", order)
        return picture, picture.shape[:2]

    def _shot(self, image: Any, mask: Any, order: Any) -> Shot:
        picture = self.image_processor.process_image(image, order, name="reference_images")
        return picture, binary_mask(mask, _height_width(picture), "reference_masks")

    def _reference_tensors(self, groups: list[list[Shot]], options: dict[str, Any]) -> dict[str, torch.Tensor]:
        shape = (len(groups), len(groups[0]))
        shots = [shot for group in groups for shot in group]
        made = self._image_tensors([picture for picture, _ in shots], options)
        masks = torch.zeros(made["pixel_mask"].shape, dtype=torch.bool)
        for index, size in enumerate(_valid_sizes(made["pixel_mask"])):
            masks[index, : size[0], : size[1]] = torch.from_numpy(nearest_resize(shots[index][1], size))
        return {
            "reference_pixel_values": made["pixel_values"].unflatten(0, shape),
            "reference_pixel_mask": made["pixel_mask"].unflatten(0, shape),
            "reference_masks": masks.to(made["pixel_mask"].device).unflatten(0, shape),
        }

    # --------------------------------------------------------------------------------------------------- from the model
    @property
    def object_choice(self) -> ObjectChoice:
        """What this model counts as an object with `targets="all"`: its `all_targets`, or the defaults."""
        return read_choice(self.all_targets)

    def picture_gate(self, targets: Targets = "one") -> float | None:
        """This model's own gate of pictures; None for none."""
        own = self.object_choice.threshold if targets == "all" else None
        return self.score_threshold if own is None else own

    def post_process_referring_segmentation(
        self,
        outputs: Any,
        target_sizes: Any = None,
        threshold: float | None = None,
        mask_threshold: float = 0.5,
        mask_stride: int | None = None,
        targets: Targets = "one",
        choice: ObjectChoice | None = None,
    ) -> list[dict[str, Any]]:
        return post_processing.post_process_referring_segmentation(
            outputs, target_sizes, threshold, mask_threshold, mask_stride, targets, choice or self.object_choice
        )

    post_process_referring_segmentation.__doc__ = post_processing.post_process_referring_segmentation.__doc__
    post_process_mask_generation = staticmethod(post_processing.post_process_mask_generation)
    post_process_instance_segmentation = staticmethod(post_processing.post_process_instance_segmentation)

    def post_process_answers(
        self,
        outputs: Any,
        target_sizes: Any = None,
        threshold: float | None = None,
        mask_threshold: float = 0.5,
        understood: Sequence[bool] | None = None,
        show_all: bool = False,
        targets: Targets = "one",
    ) -> list[dict[str, Any]]:
        """The best object of each batch entry, gated: what pipelines, commands and the application show.

        An answer passes when its score is above the gate and something of its sentence was understood. One that does
        not pass has an empty mask.

        Args:
            outputs, target_sizes, mask_threshold: as for `post_process_referring_segmentation`.
            threshold: the gate, 0..1, 0 for none. Default: this model's own, `picture_gate(targets)`.
            understood: for each entry that a sentence alone refers to, whether the model knows any word of it
                (`inputs.understood`). Default: all.
            show_all: leave the masks of answers that did not pass.
            targets: as for `post_process_referring_segmentation`.

        Returns:
            As `post_process_referring_segmentation`, and in each dictionary `passed` and `threshold`, the gate (None
            for none).

        Raises:
            ValueError: as `post_process_referring_segmentation`.
        """
        gate = gate_of(threshold, self.picture_gate(targets))
        results = self.post_process_referring_segmentation(
            outputs, target_sizes, mask_threshold=mask_threshold, targets=targets
        )
        for result, heard in zip(results, repeat(True) if understood is None else understood, strict=False):
            result["threshold"] = gate
            result["passed"] = gate is None or (heard and passes(result["score"], gate))
            if not (result["passed"] or show_all):
                result["segmentation"] = torch.zeros_like(result["segmentation"])
                if "objects" in result:
                    result["objects"] = []
        return results

    def post_process_video_masks(self, output: VideoOutput, session: UniRefVideoSession) -> dict[int, torch.Tensor]:
        """One disjoint bool mask for each object of a frame, at the size of the session's results.

        They were made by soft aggregation: the background's channel is the product of all 1 - p_i, an object's is p_i,
        and every pixel goes to the largest, to the smallest id among equals. Nothing is normalised or compared with a
        threshold.

        Args:
            output: a frame's result. Where it has no `object_masks`, its soft `pred_masks` (n, H, W) are merged.
            session: the session that it came from.

        Returns:
            {obj_id: bool (H, W)}; empty when the session has no object yet.

        Raises:
            ValueError: the masks are not of the session's size.
        """
        if not output.object_ids or output.pred_masks is None:
            return {}
        size = session.output_size
        if size is not None and tuple(output.pred_masks.shape[-2:]) != tuple(size):
            raise UsageError(
                f"`output` has masks of size {tuple(output.pred_masks.shape[-2:])}, the session makes {tuple(size)}."
            )
        merged = getattr(output, "object_masks", None)
        if merged is None:
            merged = merge_masks(output.pred_masks.float())
        return dict(zip(map(int, output.object_ids), merged, strict=True))

    # ------------------------------------------------------------------------------------------------- saving, loading
    def to_dict(self) -> dict[str, Any]:
        """As saved in `processor_config.json`. A `tokenizer` of None there says that the folder has none."""
        saved = super().to_dict()
        if self.tokenizer is None:
            saved["tokenizer"] = None
        if self.known_words is None:
            saved.pop("known_words", None)
        if self.all_targets is None:
            saved.pop("all_targets", None)
        if self.audio_extractor is None:
            saved.pop("audio_extractor", None)
        return saved

    def save_pretrained(self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **kwargs: Any) -> Any:
        """Writes `processor_config.json` and the tokenizer's files, if there is one."""
        if self.tokenizer is not None:
            return super().save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)
        os.makedirs(save_directory, exist_ok=True)
        file = os.path.join(save_directory, "processor_config.json")
        self.to_json_file(file)
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", os.path.basename(os.path.normpath(save_directory))), **kwargs)
        return [file]

    @classmethod
    def _get_arguments_from_pretrained(
        cls, pretrained_model_name_or_path: Any, processor_dict: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[Any]:
        if processor_dict is None or processor_dict.get("tokenizer", "present") is not None:
            return super()._get_arguments_from_pretrained(pretrained_model_name_or_path, processor_dict, **kwargs)
        from transformers import AutoImageProcessor

        return [AutoImageProcessor.from_pretrained(pretrained_model_name_or_path, **kwargs), None]


def _checked_words(words: Any) -> list[str] | None:
    """Distinct lower-case words, sorted."""
    if words is None:
        return None
    words = words if isinstance(words, str) else list(words)
    if isinstance(words, str) or not all(isinstance(word, str) and word.strip() for word in words):
        raise KindError(f"`known_words` must be a list of words, got {words!r:.80}.")
    return sorted({word.strip().lower() for word in words})


def _groups(tree: inputs.Tree, n_images: int, name: str) -> list[list[Any]]:
    """One list of examples for each entry."""
    levels = inputs.depth(tree)
    if levels == 0:
        return [[tree]]
    if levels == 1:
        if any(isinstance(item, list) for item in tree):
            raise UsageError(f"`{name}` must be nested equally deep throughout.")
        if n_images == 1:
            return [tree]
        if len(tree) != n_images:
            raise UsageError(
                f"`{name}` must hold one example, or one list of examples, for each of the {n_images} images, "
                f"got {len(tree)}."
            )
        return [[item] for item in tree]
    if levels > 2 or any(inputs.depth(item) != 1 for item in tree):
        raise UsageError(f"`{name}` must be an example, a list of examples or a list of lists of examples.")
    return tree


def _entry_images(
    n_images: int,
    sentences: list[str] | None,
    groups: list[Any] | None,
    pointed: list[Any] | None,
    grouped: list[int] | None,
    heard: Mapping[str, Any],
) -> list[int]:
    """Which picture each entry looks at; `grouped` says it when the sentences came in one list for each picture."""
    named = {
        "text": sentences,
        "audio": heard.get("audio_values"),
        "reference_images": groups,
        "input_points": pointed,
    }
    counts = {name: len(value) for name, value in named.items() if value is not None}
    if len(set(counts.values())) > 1:
        words = {
            "text": "sentences",
            "audio": "sounds",
            "reference_images": "groups of examples",
            "input_points": "objects pointed at",
        }
        found = " and ".join(f"{count} {words[name]}" for name, count in counts.items())
        names = " and ".join(f"`{name}`" for name in counts)
        raise UsageError(f"{names} must describe equally many results, got {found}.")
    if grouped is not None:
        return grouped
    name, count = next(iter(counts.items()), ("images", n_images))
    if count == n_images:
        return list(range(n_images))
    if n_images == 1:
        return [0] * count
    raise UsageError(
        f"`{name}` must describe one result for each of the {n_images} images, got {count}; several for each image go "
        "into one list for each image."
    )


def _wanted_masks(maps: Any, sizes: list[tuple[int, int]]) -> list[np.ndarray]:
    """For each entry the masks (t, H, W) of what ought to be found."""
    whole = is_mask(maps) or (len(sizes) == 1 and not (isinstance(maps, (list, tuple)) and len(maps) == 1))
    entries = [maps] if whole else list(maps)
    if len(entries) != len(sizes):
        raise UsageError(
            f"`segmentation_maps` must hold one item for each of {len(sizes)} results, got {len(entries)}."
        )
    return [instance_masks(entry, size, "segmentation_maps") for entry, size in zip(entries, sizes, strict=True)]


def _height_width(picture: Any) -> tuple[int, int]:
    return int(picture.shape[-2]), int(picture.shape[-1])


def _valid_sizes(pixel_mask: torch.Tensor) -> list[tuple[int, int]]:
    """(height, width) of the picture inside each padded one."""
    return [(int(mask[:, 0].sum()), int(mask[0].sum())) for mask in pixel_mask]


def _to_numpy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.cpu().numpy()
    if isinstance(value, list):
        return [_to_numpy(item) for item in value]
    if isinstance(value, dict):
        return {name: _to_numpy(item) for name, item in value.items()}
    return value
