"""Measures of masks: plain functions over numpy arrays, without torch and without models."""

from .boundary import boundary_map, boundary_measure
from .few_shot import class_mean_iou, foreground_background_iou
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

__all__ = [
    "FRAME_RULES",
    "SequenceScores",
    "Statistics",
    "boundary_map",
    "boundary_measure",
    "class_mean_iou",
    "evaluated_frames",
    "foreground_background_iou",
    "frame_scores",
    "intersection_and_union",
    "iou",
    "mean_iou",
    "most_overlapping",
    "overall_iou",
    "precision_at",
    "score_sequence",
    "sequence_statistics",
]
