"""The place under which palettes and label maps are documented; they are in `core.palette` and `core.mask_reading`."""

from ..core.mask_reading import load_label_map
from ..core.palette import colour_blind_safe, davis_palette, label_image, save_label_map

__all__ = ["colour_blind_safe", "davis_palette", "label_image", "load_label_map", "save_label_map"]
