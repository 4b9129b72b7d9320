"""What makes a repository loadable with `trust_remote_code=True` where this package is installed but not imported.

Transformers reads `auto_map` in three places: in config.json for the configuration and the model, in
processor_config.json for the processor, and in the image processor's section there. Each entry names a class in one
file of the repository, which imports the package; the import registers everything else, the pipeline tasks too. So the
configuration needs no `custom_pipelines`, which would make `pipeline` ask for `trust_remote_code` even from those who
have imported the package. For them the classes of the package win and the entries are not looked at.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..core.families import MODEL_FAMILIES
from ..core.json_writing import to_json

SHIM_FILE = "modeling_uniref_shim.py"
CONFIG_FILE = "config.json"
PROCESSOR_FILE = "processor_config.json"


def shim_source() -> str:
    """The one file of code in a repository."""
    return files(__package__).joinpath(f"templates/{SHIM_FILE}").read_text(encoding="utf-8")


def with_auto_map(file: Path) -> bytes:
    """The content of config.json or processor_config.json with the entries that lead to the shim."""
    values = json.loads(file.read_text(encoding="utf-8"))
    if file.name == CONFIG_FILE:
        family = next(family for family in MODEL_FAMILIES if family.model_type == values["model_type"])
        values["auto_map"] = {"AutoConfig": _entry(family.config_name), "AutoModel": _entry(family.model_name)}
    else:
        values["auto_map"] = {"AutoProcessor": _entry("UniRefProcessor")}
        image_processor: dict[str, Any] | None = values.get("image_processor")
        if image_processor is not None:
            backends = {"torchvision": _entry("UniRefImageProcessor"), "pil": _entry("UniRefImageProcessorPil")}
            image_processor["auto_map"] = {"AutoImageProcessor": backends}
    return (to_json(values, indent=2, sort_keys=True) + "\n").encode()


def _entry(class_name: str) -> str:
    return f"{SHIM_FILE.removesuffix('.py')}.{class_name}"
