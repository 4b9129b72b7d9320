"""The place under which the reader of users' masks is documented; it is `core.mask_reading`."""

from ..core.mask_reading import GivenMask, alone, is_mask, load_label_map, read_mask

__all__ = ["GivenMask", "alone", "is_mask", "load_label_map", "read_mask"]
