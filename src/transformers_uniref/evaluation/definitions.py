"""What `uniref evaluate --dataset world` measures, in words. The order is that of the report."""

from __future__ import annotations

import textwrap

from .benchmarks import WORLD_GENERALISED

TEST_SEED = 1000
"""Seed of the held-out scenes that published numbers are measured on. Training draws from another split altogether."""

CLIP_FRAMES = 8
CONFLICT_FRAME = 4

DEFINITIONS: dict[str, dict[str, str]] = {
    "ris": {
        "miou": "one sentence about one object of each picture: mean IoU; no score gate",
        "oiou": "the same answers: all intersections over all unions",
        "right_object": "the same answers: share in which, of all objects in the picture, the one meant has the "
        "highest IoU with the mask",
    },
    "fss": {
        "miou_1shot": "one annotated example of a named shape, all its instances in another picture: mean IoU over "
        "pictures; no score gate",
        "miou_3shot": "the same with three examples",
        "novel_miou_1shot": "one example of a shape that was never trained on",
    },
    "vos": {
        "jf": "all objects of a clip, each given by its mask in the first frame that shows it: J&F over the frames "
        "after that one, the last included",
    },
    "rvos": {
        "jf_text": "a sentence for each object, looked for in every frame anew (session option propagate_text=False): "
        "J&F over all frames",
        "jf_text_mask": "a sentence for each object and, from the frame in which it was found, its predicted masks: "
        "J&F over all frames",
    },
    "sanity": {
        "empty_text_miou": "the questions of ris.miou, asked with a text of special tokens alone: low is right",
        "empty_mask_miou": "the questions of fss.miou_1shot, asked with a mask without a pixel: low is right",
        "swap_rate": "two objects of a picture: share in which, the first one's sentence exchanged for the second "
        "one's, the second has the highest IoU with the mask",
        "conflict_recovery": "the right sentence, and in the first frame the mask of another object: share in which, "
        "four frames later, the object meant has the highest IoU with the mask (clips in which both show then)",
        "absent_empty": "a sentence true of no object in the picture: share of empty masks behind the score gate",
        "present_nonempty": "the sentences of ris.miou: share of masks with a pixel behind the score gate",
    },
}

SOUND_FRAMES, SOUND_FRAMES_PER_SECOND = 16, 4.0

SOUND_DEFINITIONS: dict[str, dict[str, str]] = {
    "sound": {
        "right_object": "the sound of one object of each picture: share in which, of all objects, the one that sounds "
        "has the highest IoU with the mask; no score gate",
        "miou": "the same answers: mean IoU",
        "present_nonempty": "the same sounds: share of masks with a pixel behind the score gate",
        "silence_empty": "silence: share of empty masks behind the score gate",
        "absent_empty": "the sound of a shape that the picture does not have: the same",
    },
    "clips": {
        "right_object": "a sound track in which one object sounds for a second, then another, now and then none: share "
        "of the frames in which one sounds, in which it has the highest IoU with the mask behind the gate",
        "miou": "the same frames: mean IoU",
        "silence_empty": "frames in which none sounds: share of empty masks",
    },
}
"""What `uniref evaluate --dataset world-sound` measures."""

ALL_TARGETS: dict[str, str] = {
    "gIoU": "mean IoU of the union of an answer's objects with the union of those meant; without any meant, 1 for no "
    "answer and 0 otherwise (gRefCOCO, Liu et al. 2023)",
    "cIoU": "the same unions: all intersections over all unions (gRefCOCO)",
    "N-acc": "of the sentences that mean nothing, the share with no answer (gRefCOCO)",
    "T-acc": "of the others, the share with an answer (gRefCOCO)",
    "mIoU_many": "of the sentences that mean several objects, the mean IoU of those unions",
    "AP@0.5": "average precision of single objects at IoU .5, in the order of their scores, a sentence as a picture "
    "of COCO (Lin et al. 2014)",
    "exact_count": "share of sentences answered by as many objects as they mean",
    "count_error": "mean absolute difference of both numbers, in objects",
    "one_as_one": "of the sentences that mean one object, the share answered by exactly one",
}
"""What answers with all objects are measured by, `metrics.AllTargetsScores`."""

POINTED: dict[str, str] = {
    "point": "one click at the place of each object that is farthest from its border: mean IoU; no score gate",
    "point_anywhere": "one click at a random pixel of each object: mean IoU",
    "box": "the box around each object: mean IoU",
    "box_rough": "that box with each side misplaced by 6 % of its extent (standard deviation): mean IoU",
    "scribble": "a bent stroke through each object: mean IoU",
    "clicks_2": "the click of point, and another at the middle of the largest error of the answer, on the object where "
    "it was missed and beside it where it was exceeded: mean IoU",
    "clicks_3": "the same with a third click after the second answer: mean IoU",
}
"""What `world-points` measures, `world_points.evaluate_points`."""

CONVENTIONS = (
    "IoU and J compare masks with the visible part of the object, at the picture's size. J&F is the mean over objects "
    "of each object's mean J and mean F over its frames; in a frame that does not show the object an empty mask counts "
    "1 and any other 0. Objects given by masks share out a clip's pixels, answers to sentences do not. Video sessions "
    "have their default options, the score gates of the model's processor included, unless something else is said."
)


# The keys of `metrics.PROTOCOLS`, for help texts: importing the measures takes too long for these.
PROTOCOL_NAMES = (
    "davis-semi-supervised",
    "davis-unsupervised",
    "ref-davis17",
    "ref-davis17-by-id",
    "youtube-vos",
    "lvos-v1",
    "lvos-v2",
    "mose-v1",
    "mose-v2",
)


def describe_measures(width: int = 100) -> str:
    """All definitions as text, lines wrapped."""
    lines = ["measures, as fractions:"]
    for section, measures in DEFINITIONS.items():
        for name, text in measures.items():
            lines += textwrap.wrap(f"{section}.{name}: {text}", width, initial_indent="  ", subsequent_indent="      ")
    lines += [
        "",
        *textwrap.wrap(CONVENTIONS, width),
        "",
        f"measures of answers with all objects ({WORLD_GENERALISED}, and others that are asked for all targets):",
    ]
    for name, text in [*ALL_TARGETS.items(), ("", ""), *POINTED.items()]:
        if not name:
            lines += ["", "measures of objects that are pointed at (world-points):"]
            continue
        lines += textwrap.wrap(f"{name}: {text}", width, initial_indent="  ", subsequent_indent="      ")
    lines += ["", "measures of sounds (world-sound):"]
    for section, measures in SOUND_DEFINITIONS.items():
        for name, text in measures.items():
            lines += textwrap.wrap(f"{section}.{name}: {text}", width, initial_indent="  ", subsequent_indent="      ")
    return "\n".join(lines)
