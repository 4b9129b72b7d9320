"""Models as things that are saved whole, and pushed with a card and a processor."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias

from transformers import PreTrainedModel

from ..core.sharing import SavedWhole, push_options, pushed

if TYPE_CHECKING:
    from .modeling_uniref import UniRefModel
    from .modeling_uniref_sam import UniRefSamModel

AnyUniRefModel: TypeAlias = "UniRefModel | UniRefSamModel"
"""A model of either family."""


class SharedModel(SavedWhole, PreTrainedModel):
    """A model that is saved whole, and pushed with its card and its processor."""

    def save_pretrained(  # type: ignore[override]
        self,
        save_directory: str | os.PathLike[str],
        is_main_process: bool = True,
        state_dict: dict[str, Any] | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> None:
        """Saves weights and configuration into a folder, whole or not at all. See `PreTrainedModel.save_pretrained`.

        Args:
            save_directory: made if it is missing.
            is_main_process: whether this process is the one that writes.
            state_dict: other weights than the model's own.
            push_to_hub: also push the model, to `repo_id` (default: the folder's name).
            **kwargs: for Transformers (`max_shard_size`, `variant`, `save_original_format`, ...); with `push_to_hub`
                also the arguments of `push_to_hub`.

        Raises:
            OSError: nothing was written, because of what the error says.
        """
        pushing = push_options(save_directory, kwargs) if push_to_hub else {}
        options = {"is_main_process": is_main_process, "state_dict": state_dict, **kwargs}
        here = self.should_save_on_this_rank(is_main_process)
        if kwargs.get("distributed_checkpoint") or not here:
            # Several processes write into one folder, or this one does not write: there is nothing to move.
            PreTrainedModel.save_pretrained(self, save_directory, **options)
        else:
            self.save_whole(save_directory, **options)
        if push_to_hub and here:
            self.push_to_hub(**pushing)

    def push_to_hub(self, repo_id: str, **options: Any) -> Any:  # type: ignore[override]
        """Uploads weights, configuration and a model card in one commit.

        Args:
            repo_id: "NAMESPACE/NAME", or "NAME" in the namespace of the token's owner.
            **options: those of `transformers_uniref.push_to_hub`: `processor`, `license`, `private`, `revision`, ...

        Returns:
            The `CommitInfo` of `huggingface_hub`.
        """
        return pushed(self, repo_id, **options)
