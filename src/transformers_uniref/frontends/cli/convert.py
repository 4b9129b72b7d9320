"""`uniref convert`: turn a released UniRef++ checkpoint into a folder that Transformers loads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ...core.json_writing import to_json
from ..errors import UserError

HELP = "turn a released UniRef++ checkpoint, or a SAM model, into a UniRef folder"
EXAMPLES = (
    "uniref convert video_r50.pth models/uniref-r50",
    "uniref convert --sam facebook/sam-vit-base models/uniref-sam --text-encoder none",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "original",
        help="released checkpoint of any stage, ResNet-50, Swin or SAM; with --sam the folder or Hub id of a SAM model",
    )
    parser.add_argument("output_dir", type=Path, help="folder to write; must not exist yet, or be empty")
    parser.add_argument(
        "--sam",
        action="store_true",
        help="ORIGINAL is a Transformers SAM model: build an untrained UniRef-SAM around it, whose fusion changes "
        "nothing until it is trained",
    )
    parser.add_argument(
        "--text-encoder",
        metavar="DIR_OR_ID",
        help="folder or Hub id that the tokenizer is taken from (default: google-bert/bert-base-uncased or "
        "FacebookAI/roberta-base, whichever the checkpoint holds); 'none': no tokenizer, the model takes token ids. "
        "With --sam the text encoder's weights come from there as well; 'none': the model reads no sentences",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="NAME=VALUE",
        help="set a configuration option that the tensors cannot tell, such as text_config.num_attention_heads=4; "
        "may be repeated",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the model that OUTPUT_DIR already holds")
    parser.add_argument("--json", action="store_true", help="print the full account as JSON on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Convert; the account goes to standard error, with `--json` every tensor's fate to standard output."""
    if not arguments.sam and Path(arguments.original).is_dir():
        raise UserError(
            f"{arguments.original}: is a folder, not a checkpoint file (a Transformers SAM model needs --sam)"
        )
    from ...conversion.converter import convert_checkpoint
    from ...conversion.sam_plug_in import build_around_sam
    from ...conversion.variants import parse_overrides

    convert = build_around_sam if arguments.sam else convert_checkpoint
    account = convert(
        arguments.original,
        arguments.output_dir,
        text_encoder=arguments.text_encoder,
        overrides=parse_overrides(arguments.overrides),
        overwrite=arguments.overwrite,
    )
    print(account.summary(), file=sys.stderr)
    print(f"written: {account.output_dir}", file=sys.stderr)
    if arguments.json:
        print(to_json(account.to_dict()))
    return 0
