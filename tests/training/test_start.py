"""What a run starts from and what of it learns: start weights, frozen parts, learning rates, schedules."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, ResNetBackbone, ResNetConfig, SwinBackbone, SwinConfig

pytest.importorskip("accelerate")

from training_support import very_tiny  # noqa: E402
from transformers_uniref.frontends.cli.main import main  # noqa: E402
from transformers_uniref.training.config.loop import OptimizerConfig, ParameterGroupConfig  # noqa: E402
from transformers_uniref.training.data.collation import Collator  # noqa: E402
from transformers_uniref.training.data.samples import Entry, Sample  # noqa: E402
from transformers_uniref.training.loop import TrainingRun  # noqa: E402
from transformers_uniref.training.model.factory import build_model, choose_tokenizer  # noqa: E402
from transformers_uniref.training.model.freezing import freeze_  # noqa: E402
from transformers_uniref.training.model.start_weights import WORD_EMBEDDINGS  # noqa: E402
from transformers_uniref.training.model.tokenizer import build_tokenizer, extend_tokenizer  # noqa: E402
from transformers_uniref.training.step.optimisation import learning_rate_factor, parameter_groups  # noqa: E402

VOCABULARY = 90


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def previous_stage(tmp_path_factory):
    """A model for detection with seven classes: no text encoder, no value encoder, no fusion."""
    folder = tmp_path_factory.mktemp("previous")
    options = ("seed=5", "model.use_language_references=false", "model.use_mask_references=false")
    model = build_model(very_tiny(*options, "model.num_labels=7"), VOCABULARY)
    model.save_pretrained(folder)
    return folder, model.state_dict()


# Start weights


def test_the_next_stage_takes_what_the_last_one_has_and_names_what_is_new(previous_stage):
    folder, weights = previous_stage
    report: list[str] = []
    skip = "initial_weights_skip=[class_heads]"
    model = build_model(very_tiny(f"initial_weights={folder}", skip), VOCABULARY, report)
    state = model.state_dict()
    for name, value in weights.items():
        assert torch.equal(state[name], value) != name.startswith("class_heads"), name
    text = "\n".join(report)
    for module in ("language_encoder", "mask_encoder", "fusion"):
        assert module in next(line for line in report if "new" in line)
    assert "skipped: class_heads (4)" in text


def test_another_shape_is_an_error_unless_it_is_skipped(previous_stage):
    folder, _ = previous_stage
    with pytest.raises(ValueError, match=r"initial_weights.*class_heads.*\(7, 64\) instead of \(1, 64\)"):
        build_model(very_tiny(f"initial_weights={folder}"), VOCABULARY)
    with pytest.raises(ValueError, match="initial_weights_skip: 'no_such_part'"):
        build_model(very_tiny(f"initial_weights={folder}", "initial_weights_skip=[no_such_part]"), VOCABULARY)


def test_tensors_that_the_new_model_does_not_have_are_named(previous_stage, tmp_path):
    build_model(very_tiny(), VOCABULARY).save_pretrained(tmp_path)
    report: list[str] = []
    detection = ("model.use_language_references=false", "model.use_mask_references=false")
    build_model(very_tiny(f"initial_weights={tmp_path}", *detection), VOCABULARY, report)
    assert "fusion" in next(line for line in report if "not used" in line)


def test_public_backbone_and_text_weights_bring_their_sizes_and_the_tokenizer(tmp_path):
    torch.manual_seed(3)
    backbone = ResNetBackbone(
        ResNetConfig(embedding_size=8, hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1], layer_type="basic")
    )
    backbone.save_pretrained(tmp_path / "resnet")
    tokenizer = build_tokenizer(["red", "star"], 24)
    text = BertModel(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=24,
        )
    )
    text.save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    options = [f"backbone_weights={tmp_path}/resnet", f"text_weights={tmp_path}/bert"]
    config = very_tiny(*options, "model.backbone_norm=frozen", "text.config={hidden_dropout_prob: 0.3}")
    chosen = choose_tokenizer(config, ["other", "words"])
    assert chosen.tokenize("red star") == ["red", "star"]
    report: list[str] = []
    model = build_model(config, len(chosen), report)
    assert model.visual_encoder.backbone.channels == [8, 12, 16, 20]
    assert model.config.text_config.hidden_dropout_prob == 0.3
    own = model.visual_encoder.backbone.state_dict()
    for name, value in backbone.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.equal(own[name], value), name
    encoder = model.language_encoder.text_encoder.state_dict()
    for name, value in encoder.items():
        assert torch.equal(value, text.state_dict()[name]), name
    assert len(report) == 2  # nothing is new and nothing unused


def test_a_swin_backbone_is_taken_too(tmp_path):
    swin = SwinConfig(embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=2, image_size=64)
    SwinBackbone(swin).save_pretrained(tmp_path)
    report: list[str] = []
    model = build_model(very_tiny(f"backbone_weights={tmp_path}"), VOCABULARY, report)
    assert model.config.backbone_config.model_type == "swin"
    assert report[0].startswith("backbone_weights") and not any("not used" in line for line in report)


def test_a_model_that_reads_sentences_needs_a_tokenizer_from_somewhere(previous_stage, tmp_path):
    folder, _ = previous_stage
    with pytest.raises(ValueError, match="text_weights: empty"):
        choose_tokenizer(very_tiny(), [])
    with pytest.raises(ValueError, match="initial_weights: no tokenizer"):
        choose_tokenizer(very_tiny(f"initial_weights={folder}"), [])


def test_new_words_extend_the_vocabulary_and_the_old_ones_keep_their_embeddings(tmp_path):
    known = build_tokenizer(["red", "star", "the"], 24)
    start = build_model(very_tiny(), len(known))
    rows = start.state_dict()[WORD_EMBEDDINGS]
    start.save_pretrained(tmp_path)
    known.save_pretrained(tmp_path)
    config = very_tiny(f"initial_weights={tmp_path}", "extend_vocabulary=true")
    tokenizer = choose_tokenizer(config, ["cow", "a", "red", "bus"])
    assert tokenizer.tokenize("the red cow") == ["the", "red", "cow"] and "bus" in tokenizer.get_vocab()
    assert {token: tokenizer.get_vocab()[token] for token in known.get_vocab()} == known.get_vocab()
    report: list[str] = []
    model = build_model(config, len(tokenizer), report)
    extended = model.state_dict()[WORD_EMBEDDINGS]
    assert extended.shape == (len(known) + 2, rows.shape[1]) and torch.equal(extended[: len(known)], rows)
    spread = extended[len(known) :].std() / rows.std()
    assert 0.3 < spread < 3  # as large as words are, or the text encoder would not find them
    assert "  new words in the vocabulary: 2" in report
    # Without the option the tokenizer stays, and the new word is spelled.
    assert choose_tokenizer(very_tiny(f"initial_weights={tmp_path}"), ["cow"]).tokenize("cow") == ["c", "##o", "##w"]


def test_only_the_vocabulary_of_a_previous_stage_can_be_extended():
    with pytest.raises(ValueError, match="extend_vocabulary: there is nothing to extend"):
        very_tiny("extend_vocabulary=true")
    with pytest.raises(TypeError, match="extend_vocabulary: the tokenizer is a dict"):
        extend_tokenizer({"a": 0}, ["b"], 24)


# What learns, and how fast


def test_learning_rates_follow_the_names_as_in_the_released_recipe():
    model = build_model(very_tiny(), VOCABULARY)
    config = OptimizerConfig(
        learning_rate=1e-4,
        weight_decay=0.05,
        decay="all",
        groups=[
            ParameterGroupConfig("text_encoder", learning_rate=1e-5),
            ParameterGroupConfig("backbone", factor=0.1),
            ParameterGroupConfig("sampling_offsets|reference_points", factor=0.1),
        ],
    )
    groups = parameter_groups(model, config)
    assert [(group["name"], group["lr"], group["weight_decay"]) for group in groups] == [
        ("base", 1e-4, 0.05),
        ("text_encoder", 1e-5, 0.05),
        ("backbone", pytest.approx(1e-5), 0.05),
        ("sampling_offsets|reference_points", pytest.approx(1e-5), 0.05),
    ]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    offsets = {id(p) for name, p in model.named_parameters() if "sampling_offsets" in name}
    assert {id(p) for p in groups[3]["params"]} == offsets
    with pytest.raises(ValueError, match="optimizer.groups: 'no_such'.*visual_encoder"):
        parameter_groups(model, OptimizerConfig(groups=[ParameterGroupConfig("no_such")]))


def test_frozen_parts_get_no_gradient_but_keep_their_dropout(tmp_path):
    config = very_tiny("steps=1", "frozen=[text_encoder, backbone.embedder]", "text.dropout=0.5")
    run = TrainingRun(config, tmp_path)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    assert run.run()
    for name, parameter in run.model.named_parameters():
        frozen = "text_encoder" in name or "backbone.embedder" in name
        assert parameter.requires_grad != frozen
        if frozen:
            assert torch.equal(parameter, before[name])
    encoder = run.model.language_encoder.text_encoder
    assert encoder.training and any(isinstance(m, torch.nn.Dropout) and m.p == 0.5 for m in encoder.modules())
    with pytest.raises(ValueError, match="frozen: 'res9'"):
        freeze_(run.model, ["res9"])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"schedule": "constant", "warmup_steps": 0}, {0: 1.0, 50: 1.0, 99: 1.0}),
        ({"schedule": "constant", "warmup_steps": 4}, {0: 0.25, 3: 1.0, 50: 1.0}),
        (
            {"schedule": "step", "warmup_steps": 0, "milestones": [30, 60]},
            {0: 1.0, 29: 1.0, 30: 0.1, 59: 0.1, 60: 0.01},
        ),
        ({"schedule": "cosine", "warmup_steps": 0, "final_share": 0.0}, {0: 1.0, 50: 0.5, 100: 0.0}),
    ],
)
def test_schedules(options, expected):
    config = OptimizerConfig(**options)
    assert {step: learning_rate_factor(step, 100, config) for step in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("optimizer.schedule=step", "milestones"),
        ("optimizer.milestones=[5]", "milestones"),
        ("optimizer.groups=[{pattern: '('}]", "regular expression"),
        ("optimizer.groups=[{pattern: x, factor: 0}]", "frozen"),
        ("optimizer.betas=[0.9]", "betas"),
        ("frozen=['*']", "frozen"),
        ("trackers=[mlflow]", "trackers"),
        ("checkpoint.best=ris/iou", "checkpoint.best"),
        ("accumulation=0", "accumulation"),
        ("on_nonfinite=ignore", "on_nonfinite"),
    ],
)
def test_options_of_the_loop_are_checked(override, named):
    with pytest.raises(ValueError, match=named):
        very_tiny(override)


# The plan


def test_a_dry_run_prints_the_plan_and_writes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "world-smoke", "--dry-run", "--override", "frozen=[text_encoder]"]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "60 steps on 1 process(es)" in text and "activations: not counted" in text
    assert main([*arguments, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["modules"]["language_encoder.text_encoder"]["trainable"] == 0
    assert plan["trainable"] == plan["parameters"] - plan["modules"]["language_encoder.text_encoder"]["parameters"]
    memory = plan["memory"]
    assert memory["gradients"] == 4 * plan["trainable"] and memory["optimizer"] == 8 * plan["trainable"]
    assert memory["total"] == sum(memory[name] for name in ("parameters", "gradients", "optimizer", "average"))
    assert not list(tmp_path.iterdir())


# Trainer


class Pictures(torch.utils.data.Dataset):
    """A bright square that a sentence asks for."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        image = np.full((64, 64, 3), 40, dtype=np.uint8)
        mask = np.zeros((64, 64), dtype=bool)
        mask[8 : 8 + 4 * (index % 3 + 3), 16:48] = True
        image[mask] = 220
        others = np.zeros((0, 64, 64), dtype=bool)
        return Sample(image, [Entry(task="ris", target=mask, others=others, sentence="the red star")])


def test_the_trainer_of_transformers_trains_the_model(tmp_path):
    from transformers import Trainer, TrainingArguments

    tokenizer = build_tokenizer(["the", "red", "star"], 24)
    model = build_model(very_tiny(), len(tokenizer))
    collator = Collator(tokenizer, 24)
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=6,
        per_device_train_batch_size=2,
        per_device_eval_batch_size=2,
        gradient_accumulation_steps=2,
        activation_checkpointing=True,
        learning_rate=2e-3,
        remove_unused_columns=False,
        prediction_loss_only=True,
        report_to=[],
        logging_steps=1,
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        seed=0,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=Pictures(12),
        eval_dataset=Pictures(4),
        data_collator=lambda samples: collator(samples).inputs,
    )
    trainer.train()
    losses = [record["loss"] for record in trainer.state.log_history if "loss" in record]
    assert len(losses) == 6 and losses[-1] < 0.9 * losses[0]
    # One micro-batch's loss is about 20: a sum over the accumulated ones would be twice that.
    assert losses[0] < 30
    assert trainer.evaluate()["eval_loss"] < losses[0]
    trainer.save_model(tmp_path / "saved")
    assert (tmp_path / "saved" / "model.safetensors").is_file()
