"""The training criterion of UniRef++: matching, box, class and mask losses, BoxInst."""

from .criterion import DecoderPredictions, UniRefCriterion
from .matching import Matches, hungarian_match, ota_match

__all__ = ["DecoderPredictions", "Matches", "UniRefCriterion", "hungarian_match", "ota_match"]
