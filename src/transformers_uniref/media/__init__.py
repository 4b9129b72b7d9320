"""Pictures and clips in and out: frames of any source, palette masks, overlays, video files."""
