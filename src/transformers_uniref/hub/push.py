"""Pushing a model, an adapter or a processor: everything is checked and rendered here, then sent in one commit."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import ModelCard

from ..core.errors import one_line
from ..core.json_writing import to_json
from ..core.push_errors import HubFailureError, PushError, is_refusal
from .cards import complete_card, is_own_work, render_card
from .folder import ADAPTER_CONFIG, CARD_FILE, ModelFolder, read_folder
from .secrets import find_token, refuse_tokens, without_tokens
from .shim import CONFIG_FILE, PROCESSOR_FILE, SHIM_FILE, shim_source, with_auto_map

if TYPE_CHECKING:
    from ..processors.processing_uniref import UniRefProcessor

_REPO_ID = re.compile(r"([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*")
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


@dataclass
class PushPlan:
    """What a push sends, complete before anything is sent.

    Attributes:
        repo_id: where to.
        kind: "model", "adapter" or "processor".
        files: name in the repository to content, or to the file that holds it.
        left_out: what of the folder is not sent.
        card: of the repository.
        card_is_own: somebody wrote the card, and it replaces whatever card the repository has.
    """

    repo_id: str
    kind: str
    files: dict[str, Path | bytes] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    card: str = ""
    card_is_own: bool = False

    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        return {
            name: len(content) if isinstance(content, bytes) else content.stat().st_size
            for name, content in self.files.items()
        }


def push_to_hub(
    what: Any,
    repo_id: str,
    *,
    processor: UniRefProcessor | None = None,
    license: str | None = None,
    base_model: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    commit_message: str | None = None,
    commit_description: str | None = None,
    token: str | bool | None = None,
    **saving: Any,
) -> Any:
    """Uploads a model, an adapter or a processor, with a model card, in one commit.

    The repository is made where it is missing. It gets safetensors, configuration, processor and tokenizer, a card
    rendered from them, and the one file of code that lets `trust_remote_code=True` load it. Pickles are not sent, nor
    is anything else that such a repository does not need.

    Args:
        what: a folder, a UniRef model (with adapters that were added to it: the active one alone), a PEFT model around
            one, or a `UniRefProcessor`.
        repo_id: "NAMESPACE/NAME", or "NAME" in the namespace of the token's owner.
        processor: saved beside a model.
        license: an identifier of the Hub, such as "apache-2.0". Needed unless the folder has a README.md that says it,
            or the repository's card does.
        base_model: Hub id of the model that an adapter is for, where the adapter names a folder; or of the model that
            the weights were fine-tuned from.
        private: whether a new repository is private (default: as the namespace has it).
        revision: branch to commit to, made where it is missing.
        create_pr: open a pull request instead of a commit to the branch.
        commit_message: first line of the commit.
        commit_description: the rest of it.
        token: default: that of HF_TOKEN or of `hf auth login`.
        **saving: for the `save_pretrained` of a model, such as `max_shard_size`.

    Returns:
        The `CommitInfo` of `huggingface_hub`: `commit_url`, `oid`, `pr_url`, ...

    Raises:
        PushError: with one line that says what is wrong. Nothing was sent then, but perhaps an empty repository made.
    """
    secret = find_token(token)
    with tempfile.TemporaryDirectory(prefix="uniref-push-") as saved:
        folder = what if isinstance(what, (str, os.PathLike)) else saved
        if folder is saved:
            what.save_pretrained(saved, **saving)
            if processor is not None:
                processor.save_pretrained(saved)
        elif processor is not None or saving:
            given = ["processor"] if processor is not None else list(saving)
            raise PushError(f"`{given[0]}` goes with a model; a folder is pushed as it is")
        named = None if create_pr or revision in (None, "main") or str(revision).startswith("refs/") else revision
        plan = plan_push(folder, repo_id, license, base_model, named, secret)
        return send(
            plan,
            secret,
            private=private,
            revision=revision,
            create_pr=create_pr,
            message=commit_message,
            description=commit_description,
        )


def plan_push(
    folder: str | os.PathLike[str],
    repo_id: str,
    license: str | None = None,
    base_model: str | None = None,
    revision: str | None = None,
    token: str | None = None,
) -> PushPlan:
    """Everything that a push would send. Reads the folder, and for an adapter its base model's configuration.

    Args:
        folder, repo_id, license, base_model: see `push_to_hub`.
        revision: the branch from which the code in the card loads.
        token: looked for in the files, beside everything that looks like a token.

    Raises:
        PushError: see `push_to_hub`.
    """
    if not _REPO_ID.fullmatch(repo_id):
        raise PushError(f"`repo_id` must be NAMESPACE/NAME or NAME, got {without_tokens(repr(repo_id), token)}")
    if "/" not in repo_id and token is not None:
        repo_id = f"{_owner(token)}/{repo_id}"
    found = read_folder(Path(folder), base_model)
    own_card = _own_card(found)
    stated = license or (own_card and ModelCard(own_card, ignore_metadata_errors=True).data.to_dict().get("license"))
    if not stated and found.kind != "processor":
        raise PushError(
            "the licence of these weights is not known; say it with `license`, such as apache-2.0, or in "
            "the metadata of a README.md in the folder"
        )
    if stated and not _LICENSE.fullmatch(stated):
        raise PushError(f"`license` must be an identifier of the Hub, such as apache-2.0 or other, got {stated!r}")

    plan = PushPlan(repo_id, found.kind, dict(found.files), found.left_out)
    for name in (CONFIG_FILE, PROCESSOR_FILE):
        if name in plan.files:
            plan.files[name] = with_auto_map(found.files[name])
            plan.files[SHIM_FILE] = shim_source().encode()
    if found.kind == "adapter":
        values = {**found.adapter, "base_model_name_or_path": found.base_model}
        plan.files[ADAPTER_CONFIG] = (to_json(values, indent=2, sort_keys=True) + "\n").encode()
    if stated:
        plan.card_is_own = own_card is not None
        if own_card is None:
            plan.card = render_card(found, repo_id, stated, revision)
        else:
            plan.card = complete_card(own_card, found, repo_id, stated)
        plan.files[CARD_FILE] = plan.card.encode()
    refuse_tokens(plan.files, token)
    return plan


def send(
    plan: PushPlan,
    token: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    message: str | None = None,
    description: str | None = None,
) -> Any:
    """Send a plan: make the repository and the branch where they are missing, then one commit.

    A card in the repository that somebody wrote is left alone, unless the folder has such a card too.

    Raises:
        PushError: the Hub refused or could not be reached.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi(token=token)
    try:
        api.create_repo(plan.repo_id, private=private, exist_ok=True)
        if revision and not create_pr and not revision.startswith("refs/"):
            api.create_branch(plan.repo_id, branch=revision, exist_ok=True)
        present = api.list_repo_files(plan.repo_id, revision=None if create_pr else revision)
        files = dict(plan.files)
        replaces = CARD_FILE in files and CARD_FILE in present and not plan.card_is_own
        if replaces and is_own_work(_remote_card(api, plan.repo_id, None if create_pr else revision)):
            del files[CARD_FILE]
        operations: list[Any] = [
            CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
            for name, content in files.items()
        ]
        weights = re.compile({"model": r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?"}.get(plan.kind, r"(?!)"))
        operations += [CommitOperationDelete(name) for name in present if weights.fullmatch(name) and name not in files]
        return api.create_commit(
            plan.repo_id,
            operations,
            commit_message=message or f"Upload {plan.kind}",
            commit_description=description,
            revision=revision,
            create_pr=create_pr,
        )
    except Exception as error:  # the Hub's client, its HTTP library and the file system all raise their own
        raise _told(f"{plan.repo_id} could not be pushed", error, token) from None


def _owner(token: str) -> str:
    from huggingface_hub import HfApi

    try:
        return str(HfApi(token=token).whoami()["name"])
    except Exception as error:  # as above
        raise _told("the Hub does not say whose token this is", error, token) from None


def _told(what: str, error: Exception, token: str) -> Exception:
    """What went wrong, with the error and what caused it, in one line without the token."""
    causes = [error, *([error.__cause__] if error.__cause__ is not None else [])]
    texts = [one_line(cause, None) for cause in causes]
    kind = PushError if is_refusal(error) else HubFailureError
    return kind(f"{what}: {without_tokens(' '.join(texts), token)[:600]}")


def _remote_card(api: Any, repo_id: str, revision: str | None) -> str:
    with tempfile.TemporaryDirectory(prefix="uniref-push-") as folder:
        path = api.hf_hub_download(repo_id, CARD_FILE, revision=revision, local_dir=folder)
        return Path(path).read_text(encoding="utf-8")


def _own_card(found: ModelFolder) -> str | None:
    path = found.path / CARD_FILE
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8")
    return text if is_own_work(text) else None
