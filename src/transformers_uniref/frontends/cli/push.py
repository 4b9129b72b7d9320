"""`uniref push`: a model, an adapter or a processor to the Hub, with a model card."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ...core.json_writing import to_json

HELP = "upload a model folder, an adapter or a processor to the Hub, with a model card made from it"
EXAMPLES = ("uniref push runs/world/final me/my-model --license apache-2.0 --dry-run",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options. There is none for the token: others could read it in the list of processes."""
    parser.epilog = "The access token is that of HF_TOKEN or of `hf auth login`."
    parser.add_argument(
        "folder", metavar="FOLDER", help="a model, an adapter of PEFT, a processor, or the name of a model that is here"
    )
    parser.add_argument("repo_id", metavar="REPO_ID", help="NAMESPACE/NAME, or NAME in your own namespace")
    parser.add_argument(
        "--license", metavar="ID", help="licence of the weights, such as apache-2.0 (needed unless a README.md says it)"
    )
    parser.add_argument(
        "--base-model",
        metavar="ID",
        help="Hub id of the model that the adapter is for, or that the weights were fine-tuned from",
    )
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to commit to, made where it is missing")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request instead")
    parser.add_argument("--message", metavar="TEXT", help="of the commit")
    parser.add_argument(
        "--dry-run", action="store_true", help="show the files and the card, send nothing; needs no token"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Checks and renders everything, then sends it; a dry run prints the card to standard output."""
    from transformers.utils import logging

    from ...core.model_names import model_location
    from ...hub.push import plan_push, send
    from ...hub.secrets import find_token

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    token = None if arguments.dry_run else find_token(None)
    plan = plan_push(
        model_location(arguments.folder),
        arguments.repo_id,
        arguments.license,
        arguments.base_model,
        None if arguments.create_pr else arguments.revision,
        token,
    )
    sizes = plan.sizes()
    for name, size in sizes.items():
        print(f"{size:>13,}  {name}", file=sys.stderr)
    if plan.left_out:
        print(f"left out: {', '.join(plan.left_out)}", file=sys.stderr)
    result: dict[str, Any] = {"repo_id": plan.repo_id, "kind": plan.kind, "files": sizes, "left_out": plan.left_out}
    if token is None:
        print("nothing was sent (--dry-run)", file=sys.stderr)
        print(to_json({**result, "card": plan.card}) if arguments.json else plan.card)
        return 0
    commit = send(
        plan,
        token,
        private=True if arguments.private else None,
        revision=arguments.revision,
        create_pr=arguments.create_pr,
        message=arguments.message,
    )
    print(f"pushed: {commit.pr_url or commit.commit_url}", file=sys.stderr)
    if arguments.json:
        print(to_json({**result, "commit": commit.oid, "url": str(commit.commit_url), "pull_request": commit.pr_url}))
    return 0
