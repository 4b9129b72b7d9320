"""`uniref train`: train a model from a configuration."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ...core.errors import UsageError
from ...core.json_writing import to_json

HELP = "train a model from a configuration"
EXAMPLES = (
    "uniref train --list",
    "uniref train world-smoke --output runs/smoke",
    "uniref train few-shot-lora --output runs/mine --override datasets.0.source=data/mine --dry-run",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("config", nargs="?", help="name of a bundled configuration (see --list) or path of a YAML file")
    parser.add_argument("--output", type=Path, help="folder of the run: checkpoints/, log.jsonl, in the end final/")
    parser.add_argument("--resume", action="store_true", help="continue from the newest checkpoint of --output")
    parser.add_argument("--force", action="store_true", help="resume although the configuration changed")
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one option, such as steps=100 or optimizer.learning_rate=1e-3; may be repeated",
    )
    parser.add_argument(
        "--peft",
        metavar="NAME",
        help="train an adapter of the model in initial_weights instead of the model: lora, dora or lora-light; final/ "
        "then holds the adapter",
    )
    parser.add_argument(
        "--peft-config",
        type=Path,
        metavar="FILE",
        help="JSON or YAML: arguments of LoraConfig that change --peft NAME, or without that a whole PEFT "
        "configuration with its peft_type, such as an adapter_config.json",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="build model and data, print what would be trained, the memory that takes, steps, data, and what still "
        "has to be set, and stop",
    )
    parser.add_argument(
        "--list", action="store_true", help="name the bundled recipes, what each is for and its size, and stop"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Train; 0 when the run is complete, 130 when it was interrupted and can be resumed."""
    from ...training.config.training import config_from_dict, load_config

    if arguments.list:
        from ...training.config.recipes import describe_recipes, recipe_table

        recipes = describe_recipes()
        print(to_json({"recipes": recipes}) if arguments.json else recipe_table(recipes))
        return 0
    if arguments.config is None:
        raise UsageError("config: missing; give a bundled name (--list shows them) or a YAML file")
    config = load_config(arguments.config, arguments.override)
    if arguments.peft is not None or arguments.peft_config is not None:
        from ...adapters.presets import read_config_values

        values = {} if arguments.peft_config is None else read_config_values(arguments.peft_config)
        peft = {"preset": arguments.peft or "", "config": values}
        config = config_from_dict({**config.to_dict(), "peft": peft})
    if arguments.dry_run:
        from ...training.run_plan import build_plan, plan_text

        plan = build_plan(config, processes=int(os.environ.get("WORLD_SIZE", "1")))
        print(to_json(plan) if arguments.json else plan_text(plan))
        return 0
    if arguments.output is None:
        raise UsageError("--output: missing; give the folder that the run is written to")
    from ...training.loop import train

    complete = train(config, arguments.output, resume=arguments.resume, force=arguments.force)
    if not complete and os.environ.get("RANK", "0") == "0":
        print("uniref: continue with --resume", file=sys.stderr)
    final = arguments.output / "final"
    if arguments.json:
        result = {"complete": complete, "output": str(arguments.output), "final": str(final) if complete else None}
        print(to_json(result))
    return 0 if complete else 130
