"""`uniref track`: follow objects, given by masks or by sentences, through clips of any length."""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ...core.json_writing import to_json
from ..errors import FAILED, UserError, describe, is_users_mistake
from ..loading import (
    add_model_arguments,
    add_output_arguments,
    introduce_model,
    load_model_and_processor,
    output_folder,
    sound_for,
    tell_unknown_words,
)
from .ending import interruption_between_steps
from .option_names import option_names
from .option_types import at_least_one, some_of
from .pointing import add_pointing_arguments, check_not_points, pointed_at
from .tracking.clips import GivenClip, clip_identity, find_clips, folders_for
from .tracking.outputs import (
    DEFAULT_FORMATS,
    DEFAULT_LONGEST_SIDE,
    FORMATS,
    MOST_COLOURS,
    WITH_PYAV,
    Drawing,
    Outputs,
    TrackedFrame,
)
from .tracking.progress import Progress, has_unfinished, newest_unfinished
from .tracking.prompts import MOST_OBJECTS, Prompts, Span, add_masks, masks_for, read_prompts
from .tracking.summary import Tally

if TYPE_CHECKING:
    from ...media.video.io import ClipInfo
    from ...modeling.shared_model import AnyUniRefModel
    from ...processors.processing_uniref import UniRefProcessor

HELP = "follow objects, given by a mask or by a sentence, through a video"

EXAMPLES = (
    'uniref track clip.mp4 --text "a person riding a bike" --text "the bike"',
    "uniref track frames/ --mask first.png --formats palette,mp4,sheet --output out/followed",
    "uniref track 'frames/*.jpg' --mask dog.png --mask cat.png --mask-at 00040=ball.png",
    'uniref track clip.mp4 --mask first.png --text "1=the dog" --text "3=a ball" --start 100 --stride 2 --json',
    'uniref track clip.mp4 --text "all cars" --targets all --max-objects 12',
    "uniref track clip.mp4 --everything --max-objects 8",
    "uniref track clip.mp4 --point 120,80 --not-point 40=200,90",
    "uniref track clip.mp4 --audio --model runs/sound/model",
    'cat clip.mp4 | uniref track - --text "the red car" --formats rle,webm',
)
NAMES = {"video": "CLIP", "masks": "--mask"}

Load: TypeAlias = "Callable[[], tuple[AnyUniRefModel, UniRefProcessor]]"

NOT_OF_MASKS = frozenset(
    ("verb", "run", "debug", "json", "quiet", "clip", "model", "device", "compile", "mask", "mask_at", "batch_size")
    + ("point", "not_point", "box", "scribble")
    + ("formats", "output", "overwrite", "resume", "tags", "no_legend", "sheet_frames", "gif_side", "gif_colours")
)
"""Arguments on which masks do not depend, or that are compared by their content."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options."""
    parser.add_argument(
        "clip",
        nargs="+",
        metavar="CLIP",
        help="a video file, an animated picture, a folder of frames, a pattern for frames or clips in quotes, a "
        "file:// URL, or - for a video on standard input; of several clips each has its own folder of results",
    )
    add_prompt_arguments(parser)
    add_frame_arguments(parser)
    add_model_arguments(parser)
    add_output_arguments(parser).add_argument(
        "--resume",
        action="store_true",
        help="go on with what an interrupted run of the same command has kept in --output, or else in the newest "
        "folder of this clip; what is complete is left as it is",
    )
    parser.add_argument(
        "--formats",
        type=some_of(tuple(FORMATS)),
        default=DEFAULT_FORMATS,
        metavar="LIST",
        help=f"what to write, some of {', '.join(FORMATS)}, with commas, or all (default: {','.join(DEFAULT_FORMATS)})",
    )
    add_drawing_arguments(parser)


def add_prompt_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options that say what to follow."""
    group = parser.add_argument_group("what to follow")
    group.add_argument(
        "--mask",
        action="append",
        default=[],
        type=Path,
        metavar="FILE_OR_DIR",
        help="objects in the first frame: a PNG of its size, each value above 0 an object; repeated, several such "
        "files, or black and white ones with an object each; or a folder of PNG files named after their frames "
        "(00005.png); for several clips a folder with a folder or PNG for each",
    )
    group.add_argument(
        "--mask-at",
        action="append",
        default=[],
        metavar="FRAME=FILE",
        help="objects that begin, or are corrected, in a later frame, by its number from 0 or its name; repeatable",
    )
    add_pointing_arguments(group, in_clip=True)
    group.add_argument(
        "--text",
        action="append",
        default=[],
        metavar="SENTENCE",
        help="an object to look for; repeated, each sentence is an object of its own; with masks, one sentence for "
        "each of their objects in the order of their numbers, or NUMBER=SENTENCE",
    )
    group.add_argument(
        "--targets",
        choices=("one", "all"),
        default="one",
        help="one: the best object of each sentence (default); all: every object that it means, none, one or many, "
        "with numbers as they appear, their names drawn beside them instead of a legend",
    )
    group.add_argument(
        "--everything",
        action="store_true",
        help="all objects, which get numbers as they appear; they are looked for in the first and in key frames",
    )
    group.add_argument(
        "--max-objects",
        type=at_least_one,
        metavar="N",
        help="most objects at a time with --targets all, of each sentence (default: 8), or --everything (default: 20)",
    )
    group.add_argument(
        "--look-every",
        type=at_least_one,
        metavar="N",
        help="with --everything: key frames are so many of the followed frames apart (default: 5)",
    )
    group.add_argument(
        "--audio",
        nargs="?",
        const="",
        metavar="FILE",
        help="for models that hear: follow what sounds, by the clip's own sound track or by that of another FILE; with "
        "--text both count for each sentence, without it what sounds is an object of its own",
    )
    group.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="an object that scores this or less in a frame, 0 to 1, counts as absent there; 0: none does (default: "
        "the model's own gates, one for objects given by a mask and one for those with a sentence)",
    )
    group.add_argument(
        "--all", action="store_true", help="show also what did not pass the threshold, and say that it did not"
    )


def add_frame_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options that say which frames are followed, and how many objects at once."""
    group = parser.add_argument_group("frames")
    group.add_argument("--start", type=int, default=0, metavar="FRAME", help="first frame, from 0 (default: 0)")
    group.add_argument("--end", type=int, metavar="FRAME", help="frame before which to stop (default: the clip's end)")
    group.add_argument("--stride", type=int, default=1, metavar="N", help="follow every Nth frame only (default: 1)")
    group.add_argument(
        "--damaged",
        choices=("refuse", "keep"),
        default="refuse",
        help="what to do with a video file that is damaged or cut off: refuse it, or keep what can be decoded, with a "
        "warning (default: refuse)",
    )
    group.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help="most objects that go through the network together (default: all); frames go one by one, since each "
        "needs the result of the one before; a smaller number saves memory where objects are many",
    )


def add_drawing_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options that say how overlays, GIF and contact sheet look."""
    group = parser.add_argument_group("drawing")
    group.add_argument("--tags", action="store_true", help="write the objects' names into the overlays, beside them")
    group.add_argument("--no-legend", action="store_true", help="leave the legend below the overlays out")
    group.add_argument(
        "--sheet-frames",
        type=at_least_one,
        default=12,
        metavar="N",
        help="how many evenly spaced frames the contact sheet shows (default: 12)",
    )
    group.add_argument(
        "--gif-side",
        type=at_least_one,
        default=DEFAULT_LONGEST_SIDE,
        metavar="PIXELS",
        help="longer side of the GIF, its legend not counted; smaller clips keep their size "
        f"(default: {DEFAULT_LONGEST_SIDE})",
    )
    group.add_argument(
        "--gif-colours",
        type=int,
        metavar="N",
        help=f"colours of each frame of the GIF, 2 to {MOST_COLOURS}; more are larger files (default: up to 128, fewer "
        "where much moves)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Follows objects through each clip; with `--json` a line for each clip goes to standard output."""
    from ...core.optional import require

    check_arguments(arguments)
    if set(WITH_PYAV) & set(arguments.formats):
        require("av", "video", "uniref track, which writes a video (leave out --formats mp4 and webm to do without),")

    @functools.cache
    def load() -> tuple[AnyUniRefModel, UniRefProcessor]:
        loaded = load_model_and_processor(arguments.model, arguments.device, arguments.dtype, arguments.compile)
        check_not_points(arguments, loaded[0])
        introduce_model(arguments)
        return loaded

    failed = 0
    with ExitStack() as resources:
        clips = find_clips(arguments.clip, resources)
        for option in ("mask_at", "point", "not_point", "box", "scribble"):
            if len(clips) > 1 and getattr(arguments, option):
                raise UserError(f"--{option.replace('_', '-')} is for one clip, got {len(clips)}")
        for clip, folder in zip(clips, folders_for(clips, arguments.output), strict=True):
            try:
                masks = arguments.mask if len(clips) == 1 else masks_for(arguments.mask, clip.name)
                track_clip(arguments, clip, masks, folder, load)
            except Exception as error:
                # Of several clips the others may be good.
                if len(clips) == 1 or not is_users_mistake(error):
                    raise
                failed += 1
                print(
                    f"uniref: error: {clip.shown}: {describe(error, option_names(add_arguments, NAMES))}",
                    file=sys.stderr,
                )
    if failed:
        print(f"uniref: error: {failed} of {len(clips)} clips could not be followed", file=sys.stderr)
    return FAILED if failed else 0


def check_arguments(arguments: argparse.Namespace) -> None:
    """Refuses what cannot be, before anything is read."""
    pointed, heard = pointed_at(arguments), arguments.audio is not None
    if not (arguments.mask or arguments.mask_at or arguments.text or arguments.everything or pointed or heard):
        raise UserError(
            "say what to follow: --mask, --mask-at, --text, --audio, --point, --box or --scribble, or --everything"
        )
    if arguments.targets == "all" and heard:
        raise UserError("--targets all goes with --text alone, not with --audio")
    if arguments.targets == "all" and not arguments.text:
        raise UserError("--targets all needs --text")
    if arguments.max_objects is not None and arguments.targets != "all" and not arguments.everything:
        raise UserError("--max-objects needs --targets all or --everything")
    if arguments.look_every is not None and not arguments.everything:
        raise UserError("--look-every needs --everything")
    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise UserError(f"--threshold must be between 0 and 1, got {arguments.threshold}")
    if arguments.start < 0:
        raise UserError(f"--start must be 0 or more, got {arguments.start}")
    if arguments.end is not None and arguments.end <= arguments.start:
        raise UserError(f"--end must be above --start, {arguments.start}, got {arguments.end}")
    if arguments.gif_colours is not None and not 2 <= arguments.gif_colours <= MOST_COLOURS:
        raise UserError(f"--gif-colours must be from 2 to {MOST_COLOURS}, got {arguments.gif_colours}")
    for option in ("stride", "batch_size"):
        value = getattr(arguments, option)
        if value is not None and value < 1:
            raise UserError(f"--{option.replace('_', '-')} must be 1 or more, got {value}")


def track_clip(
    arguments: argparse.Namespace, clip: GivenClip, masks: list[Path], folder: Path | None, load: Load
) -> None:
    """Follows the objects through one clip and writes its results, all or none; keeps what an interruption leaves."""
    from ...media.video.io import probe_clip

    names = [FORMATS[name] for name in arguments.formats]
    target = folder or (newest_unfinished(clip.name) if arguments.resume else None) or output_folder(None, clip.name)
    if arguments.resume and not has_unfinished(target) and all((target / name).exists() for name in names):
        print(f"{clip.shown}: complete in {target}, left as it is", file=sys.stderr)
        return
    info = probe_clip(clip.source, arguments.damaged)
    span = Span(arguments.start, arguments.end, arguments.stride)
    if info.num_frames is not None and info.kind != "video" and span.start >= info.num_frames:
        raise UserError(f"--start must be one of the clip's {info.num_frames} frames, from 0, got {span.start}")
    given = arguments.mask_at, arguments.text, info, span, arguments.targets, pointed_at(arguments), arguments.audio
    prompts = read_prompts(masks, *given)
    with Progress(clip.shown, target, names, overwrite=arguments.overwrite, resume=arguments.resume) as progress:
        model, processor = load()
        session = start_session(arguments, prompts, model, processor, info, span)
        tell_unknown_words(processor, [*prompts.sentences.values(), *prompts.for_all])
        progress.begin(_identity(arguments, info, prompts, model, processor), session, span.count(info.num_frames))
        tallies = make_tallies(arguments, prompts, processor)
        outputs = Outputs(
            arguments.formats,
            progress.folder,
            clip.shown,
            info.frames_per_second / span.stride,
            {number: tally.text for number, tally in tallies.items()},
            prompts.names(),
            Drawing(
                # Who will appear is not known, and a legend that grows would change the size of a video's frames.
                arguments.tags or arguments.targets == "all" or arguments.everything,
                not arguments.no_legend and arguments.targets == "one",
                arguments.sheet_frames,
                arguments.gif_side,
                arguments.gif_colours,
            ),
        )
        before, started = progress.count, time.perf_counter()
        with outputs:
            follow(info, span, prompts, progress, session, model, processor, tallies, outputs, arguments.quiet)
        seconds = (time.perf_counter() - started) / max(1, progress.count - before)
        progress.finish()
    report(arguments, clip, target, progress.count, seconds, tallies, prompts.for_all)


def _identity(
    arguments: argparse.Namespace, info: ClipInfo, prompts: Prompts, model: AnyUniRefModel, processor: UniRefProcessor
) -> Any:
    """All that masks depend on, by the name of the option: what a run that goes on with another one must share."""
    from ...core.model_digest import model_digest

    given = {
        f"--{name.replace('_', '-')}": value for name, value in vars(arguments).items() if name not in NOT_OF_MASKS
    }
    return {
        **given,
        "CLIP": clip_identity(info),
        "--mask": prompts.identity(),
        "--model": model_digest(model, processor).hexdigest(),
    }


def start_session(
    arguments: argparse.Namespace,
    prompts: Prompts,
    model: AnyUniRefModel,
    processor: UniRefProcessor,
    info: ClipInfo,
    span: Span,
) -> Any:
    """A streaming session with the sentences and the sound in it."""
    session = processor.init_video_session(
        inference_device=model.device,
        dtype=model.dtype,
        object_chunk_size=arguments.batch_size,
        threshold=0 if arguments.all else arguments.threshold,
    )
    if prompts.sound is not None:
        heard = sound_for(processor, prompts.sound, arguments.model)
        rate = info.frames_per_second
        heard["audio"] = heard["audio"][round(span.start / rate * heard["sampling_rate"]) :]
        for number in prompts.sounding:
            text = prompts.sentences.get(number)
            processor.add_audio_prompt(session, number, **heard, text=text, frames_per_second=rate / span.stride)
    elif prompts.sentences:
        processor.add_text_prompt(session, obj_ids=list(prompts.sentences), text=list(prompts.sentences.values()))
    if prompts.for_all:
        most = {} if arguments.max_objects is None else {"max_objects": arguments.max_objects}
        processor.add_text_prompt(session, None, prompts.for_all, targets="all", **most)
        # Numbers of masks that wait for their frame are taken.
        session.memory.last_id = max(prompts.masked(), default=0)
    if arguments.everything:
        given = {"max_objects": arguments.max_objects, "every": arguments.look_every}
        processor.add_everything_prompt(session, **{name: value for name, value in given.items() if value})
    return session


def make_tallies(arguments: argparse.Namespace, prompts: Prompts, processor: UniRefProcessor) -> dict[int, Tally]:
    """What is counted about each object, with its gate and what the model knows of its sentence."""
    from ...core.score_gate import gate_of

    tallies = {}
    for number in prompts.objects():
        sentence = prompts.sentences.get(number)
        reading = None if sentence is None else processor.read_sentences([sentence])[0]
        said = reading is not None or number in prompts.sounding
        own = processor.rvos_score_threshold if said else processor.vos_score_threshold
        unknown = () if reading is None else reading.unknown
        sure = {*prompts.given(), *prompts.sounding}
        heard = reading is None or number in sure or reading.is_understood
        tallies[number] = Tally(sentence, gate_of(arguments.threshold, own), unknown, heard)
    return tallies


def follow(
    info: ClipInfo,
    span: Span,
    prompts: Prompts,
    progress: Progress,
    session: Any,
    model: AnyUniRefModel,
    processor: UniRefProcessor,
    tallies: dict[int, Tally],
    outputs: Outputs,
    quiet: bool = False,
) -> None:
    """Streams the clip through the session, writing each frame's results as they come.

    Raises:
        KeyboardInterrupt: between two frames, when the user wants that.
    """
    from tqdm import tqdm

    from ...inference.clips import frame_label_map, next_frame
    from ...media.video.io import read_clip

    frames = read_clip(info, start=span.start, end=span.end, stride=span.stride)
    waiting = prompts.frames()
    begin, count = 0.0, 0
    hidden = quiet or not sys.stderr.isatty()
    with (
        interruption_between_steps() as interrupted,
        tqdm(frames, total=progress.total, unit="frame", file=sys.stderr, disable=hidden) as shown,
    ):
        for frame in shown:
            if count == 0:
                begin = frame.time
                prompts.check_sizes((frame.image.shape[0], frame.image.shape[1]))
            name = info.name(frame.index)
            stored = progress.stored(count, name)
            if stored is not None:
                found = stored
            else:
                with progress.step():
                    add_masks(session, processor, prompts.masks.get(frame.index, ()), count)
                    if frame.index in prompts.pointed:
                        processor.add_pointed_prompt(
                            session,
                            count,
                            prompts.pointed_object,
                            (frame.image.shape[0], frame.image.shape[1]),
                            **prompts.pointed[frame.index],
                        )
                    found = next_frame(model, processor, session, frame.image)
            waiting.discard(frame.index)
            for number, item in found.items():
                if number not in tallies:  # a sentence for all objects has found it, or --everything
                    tallies[number] = Tally(item.label, session.gate_of(number))
                    outputs.introduce(number, item.label)
            if max(found, default=0) > MOST_OBJECTS:
                raise UserError(f"--everything found more than {MOST_OBJECTS} objects, as many as a label map holds")
            labels = frame_label_map(found, (frame.image.shape[0], frame.image.shape[1]))
            result = TrackedFrame(name, frame, frame.time - begin, found, labels, outputs.overlay(frame, labels))
            if stored is None:
                progress.add(result)
            outputs.write(result)
            for number, item in found.items():
                given = number in prompts.given(frame.index)
                tallies[number].add(frame.index, item.is_found, item.score, given)
            count += 1
            if stored is None:
                progress.save_now_and_then()
            if interrupted():
                raise KeyboardInterrupt
    if waiting:
        option = "--mask-at" if min(waiting) in prompts.masks else "--point"
        raise UserError(f"{option} names frame {min(waiting)}, but the clip ended before it: {info.path}")
    if count < progress.count:
        raise UserError(f"--resume needs the same clip, which had {progress.count} frames and has {count}: {info.path}")


def report(
    arguments: argparse.Namespace,
    clip: GivenClip,
    folder: Path,
    count: int,
    seconds: float,
    tallies: dict[int, Tally],
    for_all: list[str],
) -> None:
    """Says what was done on standard error, and with `--json` on standard output too."""
    written = {name: str(folder / FORMATS[name]) for name in arguments.formats}
    lines = [f"{clip.shown}: {count} frames, {seconds:.3f} seconds each"]
    lines += [tally.sentence(number) for number, tally in tallies.items()]
    lines += [f"written: {', '.join(written.values())}"]
    missing = sorted(set(for_all) - {tally.text for tally in tallies.values()}, key=for_all.index)
    lines += [f"{sentence}: no object was found" for sentence in missing]
    lines += ["no object was found"] if arguments.everything and not tallies else []
    doubts = [tally.doubt(number, arguments.all) for number, tally in tallies.items()]
    for line in [*([] if arguments.quiet else lines), *filter(None, doubts)]:
        print(line, file=sys.stderr)
    if arguments.json:
        summary = {"clip": clip.shown, "frames": count, "seconds_per_frame": round(seconds, 6)}
        objects = [tally.summary(number) for number, tally in tallies.items()]
        print(to_json({**summary, "objects": objects, "outputs": written}), flush=True)
