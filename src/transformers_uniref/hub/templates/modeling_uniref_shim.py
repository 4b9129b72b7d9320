"""Lets `trust_remote_code=True` load this repository. The code itself is in the package transformers-uniref."""

try:
    from transformers_uniref import (
        UniRefConfig,
        UniRefImageProcessor,
        UniRefImageProcessorPil,
        UniRefModel,
        UniRefProcessor,
        UniRefSamConfig,
        UniRefSamModel,
    )
except ModuleNotFoundError as error:
    if error.name != "transformers_uniref":
        raise
    raise ImportError(
        "This model needs the package transformers-uniref, which is not installed: pip install transformers-uniref"
    ) from None

__all__ = [
    "UniRefConfig",
    "UniRefImageProcessor",
    "UniRefImageProcessorPil",
    "UniRefModel",
    "UniRefProcessor",
    "UniRefSamConfig",
    "UniRefSamModel",
]
