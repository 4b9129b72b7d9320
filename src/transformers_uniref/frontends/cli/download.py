"""`uniref download`: the authors' weights by name, converted and ready for `--model`."""

from __future__ import annotations

import argparse
import sys
import textwrap
from typing import Any

from ...core.json_writing import to_json
from ..errors import UserError, describe
from ..loading import add_quiet_argument

HELP = "fetch the authors' weights by name, check and convert them; then --model NAME finds them"
EXAMPLES = (
    "uniref download --list",
    "uniref download uniref-pp-r50",
    "uniref download uniref-pp-r50 --from ~/Downloads/video-joint_r50.pth",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options."""
    parser.epilog = (
        "Models go to the folder that UNIREF_HOME names (default: uniref beside the cache of the Hub). UNIREF_MIRROR "
        "names an owner on the Hub whose copies are asked for first. A transfer that broke off is gone on with."
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of the names that --list shows")
    parser.add_argument("--list", action="store_true", help="show the names, what each does, and what is here already")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="URL_OR_FILE_OR_HUB_ID",
        help="another place than the authors' file: an address, a file of this machine, or a repository of the Hub "
        "with the original file or the converted model",
    )
    parser.add_argument(
        "--text-encoder",
        metavar="DIR_OR_ID",
        help="folder or Hub id that the tokenizer is taken from (default: google-bert/bert-base-uncased); 'none': no "
        "tokenizer, the model takes token ids",
    )
    parser.add_argument(
        "--keep-original", action="store_true", help="keep the original file beside the converted model"
    )
    parser.add_argument("--force", action="store_true", help="fetch again and replace what is here")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    add_quiet_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Downloads, or lists."""
    from ...conversion.download import download

    if arguments.list:
        return _list(arguments)
    if arguments.name is None:
        raise UserError("NAME is missing: which weights? uniref download --list shows the names")
    told = None if arguments.quiet else lambda line: print(f"uniref: {line}", file=sys.stderr)
    with _ProgressBar(arguments.name, arguments.quiet) as progress:
        made = download(
            arguments.name,
            arguments.source,
            text_encoder=arguments.text_encoder,
            keep_original=arguments.keep_original,
            force=arguments.force,
            progress=progress,
            tell=told,
        )
    if arguments.json:
        print(to_json(made.to_dict()))
    elif not arguments.quiet:
        print(f"{'already here' if made.was_here else 'ready'}: {made.folder}", file=sys.stderr)
        print(f"use it: --model {made.name}, or AutoModel.from_pretrained({made.name!r})", file=sys.stderr)
    return 0


def fetch_if_wanted(arguments: argparse.Namespace) -> None:
    """With `--download`: fetches the model that `--model` names, where it is one of the authors' and not here."""
    from ...core.model_home import is_here
    from ...core.model_names import model_location
    from ...core.released_models import RELEASED_BY_NAME

    name = arguments.model
    if not getattr(arguments, "download", False) or name not in RELEASED_BY_NAME or is_here(name):
        return
    from ...conversion.download import DownloadError, download
    from ...core.model_names import NotDownloadedError

    try:
        model_location(name)  # a folder of that name goes before
    except NotDownloadedError:
        quiet = getattr(arguments, "quiet", False)
        told = None if quiet else lambda line: print(f"uniref: {line}", file=sys.stderr)
        try:
            with _ProgressBar(name, quiet) as progress:
                download(name, progress=progress, tell=told)
        except DownloadError as error:  # the verb at hand lacks the option that helps
            names = {"text_encoder": f"uniref download {name} --text-encoder DIR"}
            raise UserError(describe(error, names)) from error


def _list(arguments: argparse.Namespace) -> int:
    from ...core.model_home import is_here, is_partly_here, model_folder
    from ...core.released_models import AUTHORS, CODE_LICENSE, RELEASED

    states = {
        weights.name: "here" if is_here(weights.name) else "in part" if is_partly_here(weights.name) else "-"
        for weights in RELEASED
    }
    if arguments.json:
        entries: list[dict[str, Any]] = [
            {
                "name": weights.name,
                "here": states[weights.name] == "here",
                "partly_here": states[weights.name] == "in part",
                "folder": str(model_folder(weights.name)),
                "backbone": weights.backbone,
                "stage": weights.stage,
                "tasks": list(weights.tasks),
                "parameters": weights.parameters,
                "megabytes": weights.megabytes,
                "source": weights.page,
                "license_of_the_code": CODE_LICENSE,
                "license_of_the_weights": None,
                "published": [vars(figure) for figure in weights.figures],
            }
            for weights in RELEASED
        ]
        print(to_json(entries))
        return 0
    for weights in RELEASED:
        size = f"{weights.megabytes} MB, {weights.parameters / 1e6:.0f} million parameters"
        print(f"{weights.name:<27}{states[weights.name]:<9}{weights.backbone}, {weights.stage}; {size}")
        print(f"    does: {', '.join(weights.tasks) or 'finds objects of 365 classes, follows no reference'}")
        shown: dict[str, str] = {}
        for figure in weights.figures:
            shown.setdefault(figure.title, f"{figure.title} {figure.value:g} ({figure.measure})")
        if shown:
            print(
                textwrap.fill(
                    f"published: {', '.join(shown.values())}", 110, initial_indent="    ", subsequent_indent="        "
                )
            )
    print(
        f"\nThe figures are the authors' ({AUTHORS}),\nnot measured here. Their code is under the {CODE_LICENSE} "
        "licence; the weights name none."
    )
    return 0


class _ProgressBar:
    """A bar on standard error that begins with the first bytes."""

    def __init__(self, name: str, quiet: bool) -> None:
        self.name = name
        self.quiet = quiet
        self.bar: Any = None

    def __enter__(self) -> _ProgressBar:
        return self

    def __call__(self, done: int, total: int | None) -> None:
        if self.quiet:
            return
        if self.bar is None:
            from tqdm import tqdm

            self.bar = tqdm(desc=self.name, initial=done, total=total, unit="B", unit_scale=True, file=sys.stderr)
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
