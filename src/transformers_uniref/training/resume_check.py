"""What a configuration changed since a checkpoint was written."""

from __future__ import annotations

import contextlib
from typing import Any

from .config.loop import flattened
from .config.training import config_from_dict

# Options that change how fast a run goes, where its tensors lie or what it reports, but not what it computes: they may
# differ on resume.
FREE_ON_RESUME = (
    "threads",
    "loader_workers",
    "prefetch",
    "log_every",
    "validation",
    "checkpoint",
    "pictures",
    "trackers",
    "save_dtype",
    "image_processor",
    "starts_from",
    "on_nonfinite",
    "sharding",
)
_ABSENT = object()


def changed_options(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """One line an option that differs, such as "optimizer.learning_rate: 0.001 then, 0.002 now".

    Args:
        then, now: configurations as nested dictionaries; options of `FREE_ON_RESUME` are left out.
    """
    # An option that came with a later version had its default then; one of then that is gone is reported below.
    with contextlib.suppress(TypeError, ValueError):
        then = config_from_dict(then).to_dict()
    old, new = flattened(then), flattened(now)
    lines = []
    for name in [*new, *(name for name in old if name not in new)]:
        if name.split(".")[0] in FREE_ON_RESUME:
            continue
        before, after = old.get(name, _ABSENT), new.get(name, _ABSENT)
        if before != after:
            lines.append(f"{name}: {_shown(before)} then, {_shown(after)} now")
    return lines


def _shown(value: Any) -> str:
    return "absent" if value is _ABSENT else repr(value)
