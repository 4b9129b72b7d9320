"""`uniref app`: the web application on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..loading import add_model_arguments, add_quiet_argument, introduce_model

HELP = "try sentences, examples and videos in a browser"
EXAMPLES = ("uniref app", "uniref app --model models/merged --port 7870")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine alone)"
    )
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free one from 7860 on)")
    parser.add_argument("--share", action="store_true", help="ask Gradio for a public address; needs network")
    parser.add_argument(
        "--models-root", type=Path, metavar="DIR", help="let users choose the model folders that lie in this folder"
    )
    parser.add_argument(
        "--allow-folders",
        action="store_true",
        help="let users name any model folder of this machine; with a local address only",
    )
    parser.add_argument("--no-hub", action="store_true", help="do not let users name a model of the Hub")
    add_model_arguments(parser, tuning=False)
    add_quiet_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serves until Ctrl-C."""
    from ..app.server import serve
    from ..app.settings import AppSettings

    settings = AppSettings(
        host=arguments.host,
        port=arguments.port,
        share=arguments.share,
        model=arguments.model,
        device=arguments.device,
        dtype=arguments.dtype,
        models_root=arguments.models_root,
        allow_folders=arguments.allow_folders,
        hub=not arguments.no_hub,
    )
    introduce_model(arguments)
    serve(settings)
    return 0
