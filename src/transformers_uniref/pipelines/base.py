"""What the four pipelines share: their parts, how their arguments are sorted, and how they are saved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import Pipeline

from ..core.errors import KindError, UsageError

if TYPE_CHECKING:
    from ..modeling.shared_model import AnyUniRefModel
    from ..processors.processing_uniref import UniRefProcessor


class UniRefPipeline(Pipeline):
    """A model and its processor, behind one call.

    Args:
        model: a UniRef model.
        processor: its processor.
        task: the task's name.
        **options: those of Transformers' pipelines (`device`, `batch_size`, ...), and defaults for this pipeline's own
            arguments.

    Raises:
        ValueError: another kind of model, or no processor.
        TypeError: an argument that the task does not have.

    Attributes:
        references: the arguments that say what to look for, in the order in which they may be given without a name.
        required: those without which the task has no meaning.
    """

    references: tuple[str, ...] = ()
    required: tuple[str, ...] = ()

    model: AnyUniRefModel
    processor: UniRefProcessor

    _load_processor: Any = True
    # The image processor and the tokenizer come with the processor; a model that reads no sentences has no tokenizer.
    _load_image_processor: Any = False
    _load_tokenizer: Any = False
    _load_feature_extractor: Any = False

    def __init__(self, model: AnyUniRefModel, processor: UniRefProcessor | None = None, **options: Any) -> None:
        kind = getattr(getattr(model, "config", None), "model_type", None)
        if not str(kind).startswith("uniref"):
            raise UsageError(f"`model` must be a UniRef model, got {type(model).__name__} of model type {kind!r}.")
        if processor is None:
            raise UsageError("`processor` is missing: give the model's UniRefProcessor.")
        # Transformers hands on what it has used itself.
        options.pop("local_files_only", None)
        super().__init__(model=model, processor=processor, **options)

    def _sort_arguments(self, given: Mapping[str, Any], *stages: Iterable[str]) -> tuple[dict[str, Any], ...]:
        """The arguments of each stage, out of all that were given.

        Raises:
            TypeError: an argument that no stage has.
        """
        named = [list(stage) for stage in stages]
        accepted = [name for stage in named for name in stage]
        for name in given:
            if name not in accepted:
                raise KindError(
                    f"`{name}` is no argument of the task {self.task!r}; there are {', '.join(sorted(accepted))}."
                )
        return tuple({name: given[name] for name in stage if name in given} for stage in named)

    def _check_references(self, given: Mapping[str, Any]) -> None:
        """Raises ValueError when a reference is missing without which the task has no meaning."""
        for name in self.required:
            if given.get(name) is None:
                raise UsageError(f"`{name}` is missing: the task {self.task!r} needs {' and '.join(self.required)}.")

    def _named(self, unnamed: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name; a reference of None is none."""
        given = {**dict(zip(self.references, unnamed, strict=False)), **named}
        return {name: value for name, value in given.items() if not (name in self.references and value is None)}

    def save_pretrained(self, save_directory: str | os.PathLike[str], **kwargs: Any) -> None:
        """Writes model and processor into a folder that `pipeline`, `AutoModel` and `AutoProcessor` load.

        Args:
            save_directory: made if it is missing.
            **kwargs: for the `save_pretrained` of the model.

        Raises:
            FileExistsError: `save_directory` is a file.
        """
        folder = Path(save_directory)
        if folder.is_file():
            raise FileExistsError(f"`save_directory` must be a folder, got a file: {folder}")
        self.model.save_pretrained(folder, **kwargs)
        self.processor.save_pretrained(folder)

    def push_to_hub(self, repo_id: str, **options: Any) -> Any:
        """Uploads model, processor and a model card in one commit; see `transformers_uniref.push_to_hub`."""
        return self.model.push_to_hub(repo_id, processor=self.processor, **options)
