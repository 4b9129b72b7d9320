"""Uploading a data set to the Hub, and telling a Hub id from a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..core.errors import one_line
from ..core.push_errors import is_refusal

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_id(text: str) -> bool:
    """Whether `text` has the form NAMESPACE/NAME of a Hub id and is no folder that exists."""
    return bool(_HUB_ID.fullmatch(text)) and not Path(text).exists()


def local_folder(hub_id: str) -> Path:
    """Where a data set that is only named by its Hub id is built: in the cache of huggingface_hub."""
    from huggingface_hub import cached_assets_path

    return cached_assets_path("transformers_uniref", namespace="datasets", subfolder=hub_id.replace("/", "--"))


def push(folder: Path, hub_id: str, *, private: bool = True, message: str, api: Any = None) -> str:
    """Upload a data set, card included. What is there already is not sent again.

    Args:
        folder: Parquet files and a card.
        hub_id: NAMESPACE/NAME.
        private: of a repository that is made now. Most of these data may not be passed on.
        message: of the commit.
        api: a `huggingface_hub.HfApi`; default: one with the user's login.

    Returns:
        The address.

    Raises:
        OSError: it failed; the folder is untouched.
    """
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    try:
        api.create_repo(hub_id, repo_type="dataset", private=private, exist_ok=True)
        api.upload_folder(
            repo_id=hub_id,
            folder_path=folder,
            repo_type="dataset",
            ignore_patterns=[".build/*", ".*", "data/.*"],
            commit_message=message,
        )
    except Exception as error:
        # The client raises errors of its own and of its transport; for the user all of them are one.
        kind = OSError if is_refusal(error) else ConnectionError
        raise kind(
            f"uploading {folder} to {hub_id} failed ({one_line(error)}); try again, "
            "what is there already is not sent twice"
        ) from error
    return f"https://huggingface.co/datasets/{hub_id}"
