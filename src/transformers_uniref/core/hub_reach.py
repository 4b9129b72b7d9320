"""Whether the Hub can be reached: without it, what is not in the cache is missing at once.

`huggingface_hub` tries six times, with pauses of 46 seconds in all, for each file that is not in the cache.
"""

from __future__ import annotations

import os
import time
from typing import Any

from .model_names import is_name

_SECONDS_TO_ANSWER = 5.0
_SECONDS_REMEMBERED = 60.0
_answers: dict[str, tuple[float, bool]] = {}


def reach_options(source: Any, *, model: bool = False) -> dict[str, Any]:
    """Options for `from_pretrained` of Transformers: `local_files_only` where only the cache could have `source`.

    Args:
        source: a folder or the id of a repository.
        model: whether a model is to be loaded, with which Transformers also looks for an adapter.
    """
    from huggingface_hub import constants

    here = not isinstance(source, (str, os.PathLike)) or os.path.exists(source) or is_name(str(source))
    if here or constants.is_offline_mode() or is_reachable(constants.ENDPOINT):
        return {}
    local: dict[str, Any] = {"local_files_only": True}
    return {**local, "adapter_kwargs": local} if model else local


def is_reachable(endpoint: str) -> bool:
    """Whether a server answers, whatever it says; the answer is remembered for a minute.

    Args:
        endpoint: its URL. Proxies are those of `huggingface_hub`.
    """
    known = _answers.get(endpoint)
    if known is None or time.monotonic() - known[0] > _SECONDS_REMEMBERED:
        known = _answers[endpoint] = (time.monotonic(), _answers_now(endpoint))
    return known[1]


def why_not_here(source: Any) -> str:
    """For a message about an id that could not be loaded; empty where it is here, or the Hub was asked."""
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if os.path.exists(source):
        return ""
    try:
        kept = [try_to_load_from_cache(str(source), name) for name in ("config.json", "adapter_config.json")]
    except HFValidationError:  # no name that a repository could have
        return "there is no such folder"
    if any(isinstance(file, str) for file in kept):
        return ""
    if constants.is_offline_mode():
        return "there is no such folder, it is not in the cache, and HF_HUB_OFFLINE forbids to ask the Hub"
    if not is_reachable(constants.ENDPOINT):
        return f"there is no such folder, it is not in the cache, and {constants.ENDPOINT} cannot be reached"
    return ""


def _answers_now(endpoint: str) -> bool:
    from huggingface_hub import get_session

    try:
        get_session().head(endpoint, timeout=_SECONDS_TO_ANSWER)
    except Exception:  # the HTTP library has errors of its own, and it is not always the same library
        return False
    return True
