"""What one user of the application may ask for. docs/app.md lists these numbers."""

from __future__ import annotations

MAX_UPLOAD_BYTES = 100 * 2**20
"""Of one file that is sent to the server."""

MAX_PICTURE_PIXELS = 32_000_000
"""Width times height of a picture; read from its header, before it is decoded."""

MAX_FRAME_PIXELS = 1920 * 1088
"""Width times height of a clip's frames."""

MAX_FRAMES = 600
"""Of one clip."""

MAX_OBJECTS = 10
"""Sentences about one picture, or objects followed through one clip."""

MAX_SENTENCE_LETTERS = 300
"""Of one sentence; the model reads fewer words than fit in there."""

MAX_MODEL_BYTES = 4 * 2**30
"""Of the files of one model that is fetched from the Hub."""

KEPT_MODELS = 2
"""Models that stay in memory; another one takes the place of the one that was not used for longest."""

QUEUE_LENGTH = 32
"""Requests that wait; one more is told that the queue is full."""

PICTURES_AT_ONCE = 2
CLIPS_AT_ONCE = 2
"""Requests that are worked on at the same time. Pictures do not wait for clips."""

FORGET_AFTER_SECONDS = 3600
"""After this time what a user left behind (a clip being followed, result files) is deleted."""

EDITOR_SIDE = 640
"""Longer side of the picture that is drawn on, in pixels: smaller ones are enlarged, larger ones shrunk."""

SHOWN_SIDES = (480, 1280)
"""Least and largest longer side of overlays, in pixels. Masks keep the size of what was sent."""

LIVE_INTERVAL = 0.1
"""Least seconds between two frames that are shown while a clip is being followed."""
