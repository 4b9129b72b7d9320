"""Measures of masks over numpy arrays, without torch and without models: plain functions and streaming accumulators.

`docs/protocols.md` says which benchmark uses which.
"""

from .accumulator import Accumulator
from .all_targets_scores import AllTargetsScores
from .boundary import adaptive_radius, boundary_measure, diagonal_radius
from .few_shot import class_mean_iou, foreground_background_iou, image_mean_iou
from .generalized import generalized_measures
from .image_scores import FewShotScores, GeneralizedReferringScores, PhotographScores, ReferringScores
from .instances import average_precision, match_objects
from .outlines import boundary_map
from .proposals import ProposalScores
from .region import intersection_and_union, iou, mean_iou, most_overlapping, overall_iou, precision_at
from .video import (
    FRAME_RULES,
    SequenceScores,
    Statistics,
    evaluated_frames,
    frame_scores,
    score_sequence,
    sequence_statistics,
)
from .video_protocols import PROTOCOLS, VideoProtocol, judged_frames, video_protocol
from .video_scores import VideoScores

__all__ = [
    "FRAME_RULES",
    "PROTOCOLS",
    "Accumulator",
    "AllTargetsScores",
    "FewShotScores",
    "GeneralizedReferringScores",
    "PhotographScores",
    "ProposalScores",
    "ReferringScores",
    "SequenceScores",
    "Statistics",
    "VideoProtocol",
    "VideoScores",
    "adaptive_radius",
    "average_precision",
    "boundary_map",
    "boundary_measure",
    "class_mean_iou",
    "diagonal_radius",
    "evaluated_frames",
    "foreground_background_iou",
    "frame_scores",
    "generalized_measures",
    "image_mean_iou",
    "intersection_and_union",
    "iou",
    "judged_frames",
    "match_objects",
    "mean_iou",
    "most_overlapping",
    "overall_iou",
    "precision_at",
    "score_sequence",
    "sequence_statistics",
    "video_protocol",
]
