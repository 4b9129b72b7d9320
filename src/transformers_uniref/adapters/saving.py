"""Adapters on the disk: whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from ..core.errors import UsageError, one_line

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, ProcessorMixin


@contextmanager
def replacing_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary folder to write to, and puts it in the place of `folder` at the end.

    When the block raises, `folder` is as it was. The old one is removed only after the new one is complete.

    Raises:
        FileExistsError: `folder` is a file.
        OSError: the system refused to write, such as on a full disk; the message says that the folder is as it was.
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise FileExistsError(f"`folder` must be a folder, got a file: {target}")
    target.parent.mkdir(parents=True, exist_ok=True)
    workshop = target.with_name(f".{target.name}.saving")
    new, old = workshop / "new", workshop / "old"
    if old.is_dir() and not target.exists():
        old.rename(target)  # a process was killed between the two renames below
    shutil.rmtree(workshop, ignore_errors=True)
    try:
        try:
            new.mkdir(parents=True)
            yield new
        except (OSError, SafetensorError) as error:
            raise _explained(error, target) from error
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except BaseException:
            if old.exists():
                old.rename(target)
            raise
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _explained(error: OSError | SafetensorError, target: Path) -> OSError:
    """Says what happened to the folder; safetensors words the system's errors in its own way."""
    before = "what was there before is whole" if target.exists() else "nothing was left behind"
    reason = getattr(error, "strerror", None) or one_line(error)
    explained = OSError(f"{target} was not written ({reason}); {before}")
    explained.errno = getattr(error, "errno", None) or errno.EIO
    return explained


def save_adapter(
    model: PreTrainedModel | PeftModel,
    folder: str | os.PathLike[str],
    processor: ProcessorMixin | None = None,
    state_dict: dict[str, Any] | None = None,
) -> Path:
    """Write the active adapter of `model`, and the processor beside it, over what was in `folder`.

    `AutoModel.from_pretrained(folder)` loads it together with its base, `PeftModel.from_pretrained(base, folder)` puts
    it into a base that is loaded already, and `AutoProcessor.from_pretrained(folder)` finds the processor.

    Args:
        model: a `UniRefModel` or `UniRefSamModel` with an adapter (`add_adapter`, `load_adapter`), or a `PeftModel`
            around one.
        folder: the folder, which appears whole or stays as it was.
        processor: a `UniRefProcessor`, with its tokenizer; None: none is written.
        state_dict: weights to write instead of the model's own.

    Raises:
        ValueError: `model` has no adapter.
        OSError: the system refused, such as on a full disk; what was in `folder` before is whole then.
    """
    if not getattr(model, "peft_config", None):
        raise UsageError(f"model: this {type(model).__name__} has no adapter; see model.add_adapter")
    with replacing_folder(folder) as partial:
        model.save_pretrained(str(partial), state_dict=state_dict)
        if processor is not None:
            processor.save_pretrained(partial)
    return Path(folder)
