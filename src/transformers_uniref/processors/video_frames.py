"""`VideoFrames`, where it was before `media`."""

from ..media.video_frames import VideoFrames

__all__ = ["VideoFrames"]
