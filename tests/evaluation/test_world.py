"""`uniref evaluate`: that the measures tell good answers from bad ones, and what the command prints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertTokenizer

from cli_support import tiny_config
from transformers_uniref import UniRefImageProcessorPil, UniRefModel, UniRefProcessor
from transformers_uniref.core.provenance import weights_fingerprint
from transformers_uniref.evaluation.definitions import CLIP_FRAMES, DEFINITIONS
from transformers_uniref.evaluation.model_answers import ModelAnswers
from transformers_uniref.evaluation.tally import Tally
from transformers_uniref.evaluation.world import FEW_SHOT_TESTS, evaluate_world
from transformers_uniref.evaluation.world_questions import clip_questions, picture_questions
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.inference.results import SegmentedObject
from transformers_uniref.worlds.drawn.world import World, vocabulary

SIZE, SEED, IMAGES, CLIPS = 64, 3, 8, 3
LOW_IS_RIGHT = {"empty_text_miou", "empty_mask_miou"}


class Omniscient:
    """Knows the scenes and answers right; a subclass errs in one way."""

    def __init__(self) -> None:
        world = World("test", SIZE, SEED)
        self.pictures = {q.image.tobytes(): world.image(i) for i, q in self._numbered(world)}
        self.queries = {}
        for options in FEW_SHOT_TESTS.values():
            for index in range(IMAGES):
                scene = world.few_shot(index, **options)
                self.queries[scene["image"].tobytes()] = scene
        self.clips = {}
        for index in range(CLIPS):
            clip = world.clip(index, frames=CLIP_FRAMES)
            self.clips[clip["frames"].tobytes()] = clip

    @staticmethod
    def _numbered(world: World) -> list[tuple[int, object]]:
        questions = {q.image.tobytes(): q for q in picture_questions(world, IMAGES)}
        found = []
        for index in range(3 * IMAGES):
            image = world.image(index)["image"].tobytes()
            if image in questions:
                found.append((index, questions[image]))
        assert len(found) == IMAGES
        return found

    def meant(self, sentences: Sequence[Sequence[str]] | Mapping[int, Sequence[str]], sentence: str | None) -> list:
        numbered = sentences.items() if isinstance(sentences, Mapping) else enumerate(sentences)
        return [number for number, of_object in numbered if sentence in of_object]

    def to_sentences(
        self, images: Sequence[np.ndarray], sentences: Sequence[Sequence[str | None]]
    ) -> list[list[SegmentedObject]]:
        return [
            [self.to_sentence(self.pictures[image.tobytes()], sentence) for sentence in of_image]
            for image, of_image in zip(images, sentences, strict=True)
        ]

    def to_sentence(self, scene: dict, sentence: str | None) -> SegmentedObject:
        numbers = self.meant(scene["sentences"], sentence)
        if not numbers:
            return SegmentedObject(np.zeros((SIZE, SIZE), dtype=bool), score=0.1)
        assert len(numbers) == 1
        return SegmentedObject(scene["masks"][numbers[0]], score=0.9)

    def to_examples(
        self, images: Sequence[np.ndarray], examples: Sequence[np.ndarray], masks: Sequence[np.ndarray]
    ) -> list[SegmentedObject]:
        scenes = [self.queries[image.tobytes()] for image in images]
        for scene, of_image in zip(scenes, examples, strict=True):
            # The same pictures are asked about with one example and with three, the first of which is that one.
            assert np.array_equal(of_image, scene["reference_images"][: len(of_image)])
        return [
            SegmentedObject(scene["mask"] & mask.any(), score=0.9 if mask.any() else 0.1)
            for scene, mask in zip(scenes, masks, strict=True)
        ]

    def to_masks(
        self, frames: np.ndarray, label_maps: np.ndarray, first_frames: Mapping[int, int]
    ) -> dict[int, np.ndarray]:
        for number, time in first_frames.items():
            assert (label_maps[time] == number).any() and not (label_maps[:time] == number).any()
        return {number: self.clips[frames.tobytes()]["label_maps"] == number for number in first_frames}

    def to_clip_sentences(
        self,
        frames: np.ndarray,
        sentences: Mapping[int, str],
        first_masks: Mapping[int, np.ndarray],
        propagate: bool,
    ) -> dict[int, np.ndarray]:
        clip = self.clips[frames.tobytes()]
        found = {}
        for number, sentence in sentences.items():
            (meant,) = self.meant(clip["sentences"], sentence)
            found[number] = clip["label_maps"] == meant
        return found


class IgnoresReferences(Omniscient):
    """Always finds the same object, whatever is said, as a model does that never learned to read references."""

    def to_sentence(self, scene: dict, sentence: str | None) -> SegmentedObject:
        return SegmentedObject(scene["masks"][0], score=0.9)

    def to_examples(
        self, images: Sequence[np.ndarray], examples: Sequence[np.ndarray], masks: Sequence[np.ndarray]
    ) -> list[SegmentedObject]:
        return super().to_examples(images, examples, [np.ones_like(mask) for mask in masks])


class FollowsMasks(Omniscient):
    """Stays on the mask that it was given first, whatever the sentence says."""

    def to_clip_sentences(
        self,
        frames: np.ndarray,
        sentences: Mapping[int, str],
        first_masks: Mapping[int, np.ndarray],
        propagate: bool,
    ) -> dict[int, np.ndarray]:
        clip = self.clips[frames.tobytes()]
        found = super().to_clip_sentences(frames, sentences, first_masks, propagate)
        for number, mask in first_masks.items():
            found[number] = clip["label_maps"] == np.bincount(clip["label_maps"][0][mask]).argmax()
        return found


class KeepsFirstMask(Omniscient):
    def to_masks(
        self, frames: np.ndarray, label_maps: np.ndarray, first_frames: Mapping[int, int]
    ) -> dict[int, np.ndarray]:
        shape = label_maps.shape
        return {n: np.broadcast_to(label_maps[time] == n, shape) for n, time in first_frames.items()}


def measured(answers: object, **options: object) -> dict:
    return evaluate_world(answers, seed=SEED, images=IMAGES, clips=CLIPS, size=SIZE, batch_size=5, **options).to_dict()


def test_right_answers_score_1_everywhere() -> None:
    result = measured(Omniscient())
    for section, measures in DEFINITIONS.items():
        for name in measures:
            assert result[section][name] == (0 if name in LOW_IS_RIGHT else 1), name
            assert result["standard_errors"][section][name] == 0
    counts = result["counts"]
    assert counts["ris"] == dict.fromkeys(DEFINITIONS["ris"], IMAGES)
    assert counts["fss"] == dict.fromkeys(DEFINITIONS["fss"], IMAGES)
    assert counts["vos"]["jf"] >= 2 * CLIPS and counts["sanity"]["conflict_recovery"] >= CLIPS
    details = result["details"]["sanity"]
    assert (details["absent_score_85th_percentile"], details["present_score_5th_percentile"]) == (0.1, 0.9)
    assert result["details"]["ris"]["precision_0.9"] == result["details"]["fss"]["miou_1shot_by_class"] == 1


def test_ignored_references_show_although_objects_are_found() -> None:
    result = measured(IgnoresReferences())
    sanity = result["sanity"]
    assert 0 < result["ris"]["miou"] == sanity["empty_text_miou"] == result["ris"]["right_object"] < 0.7
    assert sanity["swap_rate"] < 0.7 and result["details"]["sanity"]["swap_both_right"] == 0
    assert sanity["empty_mask_miou"] == 1
    assert (sanity["absent_empty"], sanity["present_nonempty"]) == (0, 1)


def test_a_followed_mask_is_no_recovery() -> None:
    result = measured(FollowsMasks())
    assert result["sanity"]["conflict_recovery"] == 0
    assert result["details"]["sanity"]["conflict_mask_followed"] == 1
    assert result["rvos"]["jf_text_mask"] == 1


def test_standing_still_loses_what_moves() -> None:
    result = measured(KeepsFirstMask())
    assert 0.05 < result["vos"]["jf"] < 0.9
    details = result["details"]["vos"]
    assert result["vos"]["jf"] == pytest.approx((details["j"] + details["f"]) / 2, abs=2e-6)


def test_the_gate_decides_what_counts_as_absent() -> None:
    at_most = measured(Omniscient(), threshold=0.9)["sanity"]
    assert (at_most["present_nonempty"], at_most["absent_empty"]) == (0, 1)
    # An empty mask says "absent" whatever its score.
    at_least = measured(Omniscient(), threshold=0.0)["sanity"]
    assert (at_least["present_nonempty"], at_least["absent_empty"]) == (1, 1)


def test_questions_are_fixed_by_the_seed_and_true_of_their_objects() -> None:
    world = World("test", SIZE, SEED)
    first, again, others = (list(picture_questions(World("test", SIZE, seed), 6)) for seed in (SEED, SEED, SEED + 1))
    assert [q.sentence for q in first] == [q.sentence for q in again] != [q.sentence for q in others]
    assert all(a.target != a.other and a.sentence != a.other_sentence for a in first)
    assert [q.sentence for q in picture_questions(world, 3)] == [q.sentence for q in first[:3]]
    for question in clip_questions(world, CLIPS, CLIP_FRAMES):
        for number, other in question.conflicts.items():
            assert number != other
            assert question.masks(number)[0].any() and question.masks(other)[0].any()


def test_a_tally_knows_means_ratios_and_errors_of_scenes() -> None:
    tally = Tally()
    for scene, value in enumerate([0.0, 1.0, 1.0, 0.0]):
        tally.add("mean", scene, value)
        for _ in range(3):
            tally.add("three alike a scene", scene, value)
        tally.add("ratio", scene, value, weight=2 + value)
    assert tally.value("mean") == tally.value("three alike a scene") == 0.5
    # Asking three times about a scene makes nothing surer.
    assert tally.standard_error("mean") == tally.standard_error("three alike a scene") == pytest.approx((1 / 12) ** 0.5)
    assert (tally.value("ratio"), tally.count("three alike a scene")) == (0.2, 12)
    assert tally.value("nothing") is None and tally.standard_error("nothing") is None


# ------------------------------------------------------------------------------------------------------- with a network
@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights that knows the world's words."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *vocabulary()]
    config = tiny_config(len(words), d_model=64)
    folder = tmp_path_factory.mktemp("model")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        UniRefModel(config).save_pretrained(folder)
    tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)})
    image_processor = UniRefImageProcessorPil(size={"shortest_edge": SIZE, "longest_edge": 2 * SIZE})
    UniRefProcessor(image_processor, tokenizer, text_length=24, score_threshold=0.25).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def answers(folder: Path) -> ModelAnswers:
    return ModelAnswers(UniRefModel.from_pretrained(folder).eval(), UniRefProcessor.from_pretrained(folder))


def command(folder: Path, *options: str) -> list[str]:
    small = ["--images", "2", "--clips", "1", "--size", str(SIZE)]
    return ["evaluate", "--dataset", "world", "--split", "test", "--model", str(folder), *small, *options]


def test_the_command_prints_every_measure_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(folder, "--seed", "5", "--json")) == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert {section: list(result[section]) for section in DEFINITIONS} == {s: list(m) for s, m in DEFINITIONS.items()}
    assert set(result) - set(DEFINITIONS) == {"counts", "standard_errors", "details", "settings"}
    values = [value for section in DEFINITIONS for value in result[section].values()]
    assert all(value is None or 0 <= value <= 1 for value in values)
    assert result["settings"]["seed"] == 5 and result["settings"]["images"] == 2
    # The gate is the one that the model's folder names.
    assert result["settings"]["threshold"] == 0.25
    assert result["settings"]["weights"] == weights_fingerprint(folder)
    assert "ris.miou" in shown.err and "measured in" in shown.err


def test_the_command_prints_a_table_and_another_seed_draws_other_scenes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = []
    for seed in ("5", "6"):
        assert main(command(folder, "--seed", seed)) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] != tables[1]
    for table in tables:
        names = [line.split()[0] for line in table.splitlines()[1:]]
        assert names == [f"{section}.{name}" for section, measures in DEFINITIONS.items() for name in measures]


def test_batches_change_nothing(answers: ModelAnswers) -> None:
    world = World("test", SIZE, SEED)
    questions = list(picture_questions(world, 3))
    images = [q.image for q in questions]
    sentences = [[q.sentence, None, q.absent] for q in questions]
    together = answers.to_sentences(images, sentences)
    one_by_one = [answers.to_sentences([i], [s])[0] for i, s in zip(images, sentences, strict=True)]
    scores = [[[answer.score for answer in of_image] for of_image in found] for found in (together, one_by_one)]
    assert np.allclose(*scores, atol=1e-5)
    assert [len(found) for found in together] == [3, 3, 3]


def test_a_text_that_says_nothing_has_special_tokens_alone(answers: ModelAnswers) -> None:
    picture = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    tokens = answers._about(picture, ["the red star", None]).inputs
    tokenizer = answers.processor.tokenizer
    assert tokens["input_ids"].shape == (2, 24)
    assert tokens["input_ids"][1, :3].tolist() == [
        tokenizer.cls_token_id,
        tokenizer.sep_token_id,
        tokenizer.pad_token_id,
    ]
    assert tokens["attention_mask"].sum(1).tolist() == [5, 2]


def test_sentences_about_one_clip_are_answered_as_if_each_were_alone(answers: ModelAnswers) -> None:
    question = next(clip_questions(World("test", SIZE, SEED), 1, 4))
    sentences = dict(list(question.sentences.items())[:2])
    first = {max(sentences): question.masks(question.conflicts[max(sentences)])[0]}
    together = answers.to_clip_sentences(question.frames, sentences, first, propagate=True)
    assert set(together) == set(sentences)
    for number, sentence in sentences.items():
        own = {number: first[number]} if number in first else {}
        alone = answers.to_clip_sentences(question.frames, {number: sentence}, own, propagate=True)[number]
        assert alone.shape == (4, SIZE, SIZE) and (together[number] != alone).mean() < 1e-3
    assert np.array_equal(together[max(sentences)][0], first[max(sentences)])


def test_objects_given_by_masks_start_with_them_and_share_out_the_pixels(answers: ModelAnswers) -> None:
    question = next(clip_questions(World("test", SIZE, SEED), 1, 4))
    found = answers.to_masks(question.frames, question.label_maps, {1: 0, 2: 2})
    assert np.array_equal(found[1][0], question.masks(1)[0])
    assert np.array_equal(found[2][2] & ~found[1][2], question.masks(2)[2] & ~found[1][2])
    assert not found[2][:2].any() and not (found[1] & found[2]).any()


def test_examples_without_a_pixel_reach_the_model(answers: ModelAnswers) -> None:
    scene = World("test", SIZE, SEED).few_shot(0, shots=2)
    images, examples, masks = [scene["image"]] * 2, [scene["reference_images"]] * 2, scene["reference_masks"]
    empty = np.zeros_like(masks)
    seen = []

    def watch(module: torch.nn.Module, arguments: tuple, options: dict) -> None:
        seen.append(options["reference_masks"].flatten(2).sum(-1))

    handle = answers.model.register_forward_pre_hook(watch, with_kwargs=True)
    try:
        found = answers.to_examples(images, examples, [masks, empty])
    finally:
        handle.remove()
    assert (seen[0][0] > 0).all() and (seen[0][1] == 0).all()
    assert [answer.mask.shape for answer in found] == [(SIZE, SIZE)] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--images", "0"], "--images: must be 1 or more, got 0"),
        (["--split", "train"], "--split: invalid choice: 'train'"),
        (["--dataset", "coco"], "--dataset: invalid choice"),
        (["--threshold", "2"], "--threshold must be between 0 and 1, got 2.0"),
        (["--size", "16"], "size must be at least 64, got 16"),
        (["--seed", "-1"], "seed must be at least 0, got -1"),
    ],
)
def test_a_mistake_is_named(options: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(command(folder, *options))
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    shown = capsys.readouterr()
    assert shown.out == "" and message in shown.err and "Traceback" not in shown.err


def test_a_model_without_sentences_cannot_be_asked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    other = tmp_path / "silent"
    other.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(folder / name, other)
    UniRefProcessor(UniRefImageProcessorPil()).save_pretrained(other)
    assert main(command(other)) == 2
    assert "must do all four tasks, this one has no tokenizer" in capsys.readouterr().err


def test_help_says_what_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert all(text in shown for measures in DEFINITIONS.values() for text in measures.values())
