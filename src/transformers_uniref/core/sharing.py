"""What configurations, models and processors have in common as things that are saved; processors are pushed, too."""

# mypy: disable-error-code="misc"
# The mixins call the `save_pretrained` of the Transformers class that stands behind them.

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import PreTrainedModel

from .atomic import saving_into
from .hub_reach import reach_options
from .model_names import model_location

_WEIGHTS = re.compile(r"(model|adapter_model)(\.[\w-]+)?(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")
_COMMIT_OPTIONS = ("commit_message", "commit_description", "private", "revision", "create_pr", "license", "base_model")


_pushes: list[Callable[..., Any]] = []


def push_by(push: Callable[..., Any]) -> None:
    """Says who pushes: the package does when this module is imported, for the Hub lies on a higher floor."""
    _pushes[:] = [push]


def pushed(shared: Any, repo_id: str, **options: Any) -> Any:
    """Uploads a model or a processor; see `transformers_uniref.push_to_hub`."""
    (push,) = _pushes
    return push(shared, repo_id, **options)


class SavedWhole:
    """Saves all files or none: when the disk fills up, what a folder held before stays as it was.

    Also keeps Transformers from copying this package's modules next to the weights. It would do that for classes that
    were loaded with `trust_remote_code=True`, and cannot for a package of nested modules; `hub/shim.py` replaces it.
    """

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """See `from_pretrained` of Transformers; the names of models, such as "uniref-pp", are found too.

        A folder of that name in the working directory goes before. An id that is not in the cache fails at once where
        the Hub cannot be reached, the name of released weights (`uniref download --list`) that are not here as well.
        """
        if isinstance(pretrained_model_name_or_path, str):
            pretrained_model_name_or_path = model_location(pretrained_model_name_or_path)
            if "local_files_only" not in kwargs:
                kwargs |= reach_options(pretrained_model_name_or_path, model=issubclass(cls, PreTrainedModel))
        return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)

    @classmethod
    def register_for_auto_class(cls, auto_class: Any = None) -> None:
        """Does nothing: the classes are registered by `import transformers_uniref`, and their code is not copied."""

    def save_pretrained(self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **kwargs: Any) -> Any:
        """Saves into a folder, whole or not at all. See `save_pretrained` of Transformers.

        Args:
            save_directory: made if it is missing.
            push_to_hub: also push what was saved, to `repo_id` (default: the folder's name).
            **kwargs: for Transformers; with `push_to_hub` also the arguments of `push_to_hub`.

        Raises:
            OSError: nothing was written, because of what the error says.
        """
        pushing = push_options(save_directory, kwargs) if push_to_hub else {}
        saved = self.save_whole(save_directory, **kwargs)
        if push_to_hub:
            self.push_to_hub(**pushing)  # type: ignore[attr-defined]
        return saved

    def save_whole(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> Any:
        """What `save_pretrained` of Transformers writes, all or nothing."""
        with saving_into(save_directory) as staged:
            try:
                saved = super().save_pretrained(str(staged), **kwargs)
            except Exception as error:
                # The libraries that write weights and tokenizers have errors of their own for a full disk.
                if isinstance(error, SafetensorError) or type(error) is Exception:
                    raise OSError(f"{save_directory} could not be written: {error}") from error
                raise
            written = {path.name for path in staged.iterdir()}
        if any(_WEIGHTS.fullmatch(name) for name in written):
            _remove_older_weights(Path(save_directory), written)
        # Transformers names the files where it wrote them.
        if isinstance(saved, (list, tuple)):
            return [str(save_directory) + str(path).removeprefix(str(staged)) for path in saved]
        return saved


class SharedProcessor(SavedWhole):
    """A processor that is saved whole and pushed."""

    def push_to_hub(self, repo_id: str, **options: Any) -> Any:
        """Uploads the processor's files, beside a model that the repository may hold already.

        Args and returns: as for a model, `transformers_uniref.push_to_hub`.
        """
        return pushed(self, repo_id, **options)


def push_options(save_directory: str | os.PathLike[str], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Takes out of the arguments of `save_pretrained` what is for `push_to_hub`."""
    options = {name: kwargs.pop(name) for name in (*_COMMIT_OPTIONS, "token") if name in kwargs}
    return {"repo_id": kwargs.pop("repo_id", Path(save_directory).name), **options}


def _remove_older_weights(folder: Path, written: set[str]) -> None:
    """Removes weight files of an earlier save that was divided otherwise, of the same variant."""
    kept = {match.group(1, 2) for name in written if (match := _WEIGHTS.fullmatch(name))}
    for path in folder.iterdir():
        match = _WEIGHTS.fullmatch(path.name)
        if match and path.name not in written and match.group(1, 2) in kept:
            path.unlink()
