"""`uniref segment`: what sentences or annotated examples refer to, in pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.json_writing import to_json
from ..errors import FAILED, UserError, describe, is_users_mistake
from ..loading import (
    add_example_arguments,
    add_model_arguments,
    add_output_arguments,
    introduce_model,
    load_model_and_processor,
    output_folder,
    sound_for,
    tell_unknown_words,
)
from .option_names import option_names
from .option_types import at_least_one, some_of
from .picture_inputs import PictureInput, find_pictures, names_one_file
from .pointing import add_pointing_arguments, check_not_points, pointed_at
from .segment_results import FILES, MOST_OBJECTS, doubts, messages, summary, write_results

if TYPE_CHECKING:
    import numpy as np

    from ...annotation.answering import ModelAnswering
    from ...inference.results import SegmentedObject

MOST_TOLD = 20
"""As `modeling.object_choice.MOST_OBJECTS`, which would import too much here."""

HELP = "segment what sentences, or example pictures with masks, refer to in pictures"
EXAMPLES = (
    'uniref segment photo.jpg --text "the dog on the left" --text "the ball"',
    "uniref segment photo.jpg --reference-image example.jpg --reference-mask example-mask.png",
    'uniref segment photo.jpg --text "all dogs" --targets all',
    "uniref segment photo.jpg --point 120,80 --not-point 200,90",
    'uniref segment photo.jpg --text "the dog" --formats cutout',
    "uniref segment photo.jpg --everything --max-objects 10",
    'uniref segment photos/ "more/*.png" --text "a red car" --formats all --output out/cars --batch-size 4',
    "uniref segment photo.jpg --audio bell.wav --model runs/sound/model",
    'cat photo.jpg | uniref segment - --text "a zebra" --json',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help='a picture: a file, a folder of pictures, a pattern in quotes such as "photos/*.jpg", a file:// URL, or - '
        "for standard input",
    )
    looking = parser.add_argument_group("what to look for")
    looking.add_argument(
        "--text",
        action="append",
        metavar="SENTENCE",
        help="what to look for; repeated, each sentence is an object of its own",
    )
    several = "repeated, several examples of the same thing; together with one --text, both count"
    add_example_arguments(looking, f"an example picture; {several}")
    add_pointing_arguments(looking, in_clip=False)
    looking.add_argument(
        "--everything", action="store_true", help="all objects of the picture, without saying what to look for"
    )
    looking.add_argument(
        "--max-objects",
        type=at_least_one,
        metavar="N",
        help=f"with --everything: so many of the best objects at most (default: {MOST_TOLD})",
    )
    looking.add_argument(
        "--audio",
        type=Path,
        metavar="FILE",
        help="a file with a sound, for models that hear: what sounds so is looked for; together with --text, both "
        "count",
    )
    looking.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="objects that score this or less, 0 to 1, count as absent and get an empty mask; 0: none does (default: "
        "the model's own gate)",
    )
    looking.add_argument(
        "--targets",
        choices=("one", "all"),
        default="one",
        help="one: the best object of each sentence (default); all: every object that it means, none, one or many",
    )
    looking.add_argument(
        "--all",
        action="store_true",
        help="show answers that did not pass the threshold too, and say that they did not",
    )
    add_model_arguments(parser).add_argument(
        "--batch-size",
        type=at_least_one,
        default=1,
        metavar="N",
        help="pictures at a time (default: 1); the results stay the same",
    )
    output = add_output_arguments(parser)
    output.add_argument(
        "--formats",
        type=some_of(tuple(FILES)),
        default=("overlay", "palette"),
        metavar="LIST",
        help="what to write for each picture, with commas between: overlay (overlay.png), palette (mask.png, a label "
        "map with the DAVIS palette), binary (objects/1.png, ...), cutout (cutouts/1.png, ..., the object alone on a "
        "transparent ground), rle (masks.json, COCO's run lengths), or all (default: overlay,palette)",
    )
    output.add_argument("--no-legend", action="store_true", help="leave the legend below the overlay out")
    output.add_argument(
        "--whole-cutouts",
        action="store_true",
        help="cut-outs keep the size of the picture; otherwise they are cropped to their object",
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes the results of each picture; with `--json` what was found goes to standard output, a line a picture."""
    from tqdm import tqdm

    settings = _checked_settings(arguments)
    pictures = find_pictures(arguments.images)
    work = Segmentation(arguments, pictures)
    work.refuse_clashes()
    if not work.many:
        image = pictures[0].read()  # before the model, which takes longer
        [found] = _load(arguments, settings)([(image, arguments.text or [])])
        work.write(pictures[0], image, found)
        return 0
    answering = _load(arguments, settings)
    hidden = True if arguments.quiet else None
    with tqdm(total=len(pictures), desc="segment", unit="picture", file=sys.stderr, disable=hidden) as bar:
        for start in range(0, len(pictures), arguments.batch_size):
            images = work.read(pictures[start : start + arguments.batch_size])
            for picture, image, found in work.answer(images, answering) if images else ():
                work.write(picture, image, found)
            bar.update(min(arguments.batch_size, len(pictures) - start))
    if work.failed:
        print(f"uniref: error: {work.failed} of {len(pictures)} pictures could not be segmented", file=sys.stderr)
    return FAILED if work.failed else 0


class Segmentation:
    """The pictures of one command, and what becomes of them.

    Attributes:
        many: whether each picture has a folder of its own in `--output`, and a damaged one is left out.
        failed: how many were left out.
    """

    def __init__(self, arguments: argparse.Namespace, pictures: Sequence[PictureInput]) -> None:
        self.arguments = arguments
        self.pictures = pictures
        self.many = not names_one_file(arguments.images)
        self.failed = 0

    def folder(self, picture: PictureInput) -> Path:
        """Where a picture's results go."""
        given: Path | None = self.arguments.output
        return given / picture.name if given is not None and self.many else output_folder(given, picture.name)

    def refuse_clashes(self) -> None:
        """Raises UserError where results would replace others, before anything is computed."""
        if self.arguments.output is None:
            return
        folders = [self.folder(picture) for picture in self.pictures]
        for folder in (self.arguments.output, *folders):
            if folder.exists() and not folder.is_dir():
                raise UserError(f"--output must be a folder, got a file: {folder}")
        names = [FILES[name] for name in self.arguments.formats]
        existing = [folder / name for folder in folders for name in names if (folder / name).exists()]
        if existing and not self.arguments.overwrite:
            shown = ", ".join(str(path.relative_to(self.arguments.output)) for path in existing[:3])
            more = f" and {len(existing) - 3} more" if len(existing) > 3 else ""
            raise UserError(
                f"--output holds {shown}{more} already: {self.arguments.output}; name another folder or "
                "give --overwrite"
            )

    def read(self, pictures: Sequence[PictureInput]) -> list[tuple[PictureInput, np.ndarray]]:
        """Those that can be read; the others are reported."""
        images = []
        for picture in pictures:
            try:
                images.append((picture, picture.read()))
            except Exception as error:
                self._leave_out(picture, error)
        return images

    def answer(
        self, images: Sequence[tuple[PictureInput, np.ndarray]], answering: ModelAnswering
    ) -> Iterator[tuple[PictureInput, np.ndarray, list[SegmentedObject]]]:
        """Those that can be segmented, with what was found; the others are reported."""
        text = self.arguments.text or []
        try:
            found = answering([(image, text) for _, image in images])
        except Exception as error:
            if len(images) > 1 and is_users_mistake(error):
                for one in images:  # not all of them are at fault
                    yield from self.answer([one], answering)
            else:
                self._leave_out(images[0][0], error)
            return
        for (picture, image), objects in zip(images, found, strict=True):
            yield picture, image, objects

    def write(self, picture: PictureInput, image: np.ndarray, found: Sequence[SegmentedObject]) -> None:
        """Writes the results of a picture, all or none, and says so."""
        from ...core.atomic import filling

        if len(found) > MOST_OBJECTS:
            raise UserError(
                f"--targets all found {len(found)} objects in {picture.label}, and a label map holds {MOST_OBJECTS}; "
                "give fewer sentences with --text, or a higher --threshold"
            )
        formats = self.arguments.formats
        folder = self.folder(picture)
        names = [FILES[name] for name in formats]
        with filling(folder, names, overwrite=self.arguments.overwrite) as staged:
            write_results(
                staged,
                formats,
                picture.label,
                image,
                found,
                legend=not self.arguments.no_legend,
                whole_cutouts=self.arguments.whole_cutouts,
            )
        written = ", ".join(str(folder / name) for name in names)
        before = f"{picture.label}: " if self.many else ""
        if not self.arguments.quiet:
            self._say([*messages(found), f"written: {written}"], before)
        self._say(doubts(found, self.arguments.all), before)
        if self.arguments.json:
            print(to_json(summary(picture.label, image, found, folder, formats)), flush=True)

    def _leave_out(self, picture: PictureInput, error: Exception) -> None:
        """Reports a picture at fault; anything else goes on its way."""
        if not is_users_mistake(error):
            raise error
        self.failed += 1
        told = describe(error, option_names(add_arguments))
        self._say([f"uniref: error: {picture.label} is left out: {told}"])
        if self.arguments.json:
            print(to_json({"image": picture.label, "error": told}), flush=True)

    def _say(self, lines: Sequence[str], before: str = "") -> None:
        from tqdm import tqdm

        for line in lines:
            tqdm.write(f"{before}{line}", file=sys.stderr)


def _checked_settings(arguments: argparse.Namespace) -> Any:
    """Refuses what contradicts itself or cannot be read, before anything is loaded."""
    from ...annotation.settings import AnnotationSettings
    from ...core.masks import binary_mask
    from ...core.picture_input import rgb_array
    from ...processors.text import check_sentence

    text = arguments.text or []
    examples, masks = len(arguments.reference_image), len(arguments.reference_mask)
    pointed, heard = pointed_at(arguments), arguments.audio is not None
    if frame := next((frame for frame in pointed if frame), None):
        raise UserError(f"--point, --not-point, --box and --scribble of a picture have no frame, got {frame}=")
    if not (text or examples or masks or pointed or heard or arguments.everything):
        raise UserError(
            "say what to look for: --text, --audio, --reference-image with --reference-mask, --point, --box or "
            "--scribble, or --everything"
        )
    if pointed and not names_one_file(arguments.images):
        raise UserError("--point, --not-point, --box and --scribble are about one picture; name one file as IMAGE")
    if pointed and len(text) > 1:
        raise UserError(f"with --point, --box or --scribble, --text may be given once, got {len(text)} sentences")
    if arguments.everything and (text or examples or masks or pointed or heard):
        raise UserError(
            "--everything asks for all objects: it does not go with --text, --audio, --reference-image, --point, --box "
            "or --scribble"
        )
    if arguments.max_objects is not None and not arguments.everything:
        raise UserError("--max-objects needs --everything")
    if (arguments.max_objects or 0) > MOST_OBJECTS:
        raise UserError(f"--max-objects must be {MOST_OBJECTS} at most, got {arguments.max_objects}")
    if examples != masks:
        raise UserError(f"--reference-image and --reference-mask must come in pairs, got {examples} and {masks}")
    if examples and len(text) > 1:
        raise UserError(f"with --reference-image, --text may be given once, got {len(text)} sentences")
    if len(text) > MOST_OBJECTS:
        raise UserError(f"--text may be given {MOST_OBJECTS} times at most, got {len(text)} sentences")
    for sentence in text:
        check_sentence(sentence, "--text")
    images = [rgb_array(file, "--reference-image") for file in arguments.reference_image]
    return AnnotationSettings(
        text_column="--text" if text else None,
        audio=arguments.audio,
        reference_images=images,
        reference_masks=[
            binary_mask(file, image.shape[:2], "--reference-mask")
            for file, image in zip(arguments.reference_mask, images, strict=True)
        ],
        pointed=pointed.get(""),
        threshold=arguments.threshold,
        show_all=arguments.all,
        targets=arguments.targets,
        everything=arguments.everything,
        max_objects=arguments.max_objects or MOST_TOLD,
    )


def _load(arguments: argparse.Namespace, settings: Any) -> ModelAnswering:
    """The model, ready to be asked; words that it does not know are told."""
    from ...annotation.answering import ModelAnswering

    model, processor = load_model_and_processor(arguments.model, arguments.device, arguments.dtype, arguments.compile)
    if arguments.text and processor.tokenizer is None:
        raise UserError(f"--text needs a model that reads sentences, this one has no tokenizer: {arguments.model}")
    if arguments.reference_image and not model.config.use_mask_references:
        raise UserError(f"--reference-image needs a model that reads examples, this one does not: {arguments.model}")
    check_not_points(arguments, model)
    if arguments.audio is not None:
        settings = replace(settings, **sound_for(processor, arguments.audio, arguments.model))
    introduce_model(arguments)
    tell_unknown_words(processor, arguments.text or [])
    return ModelAnswering(model, processor, settings)
