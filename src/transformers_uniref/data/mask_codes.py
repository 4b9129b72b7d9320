"""The place under which run lengths and PNG masks are documented; they are `core.mask_codes`."""

from ..core.mask_codes import decode_png, decode_rle, encode_png, encode_rle, flat_runs, runs_to_flat

__all__ = ["decode_png", "decode_rle", "encode_png", "encode_rle", "flat_runs", "runs_to_flat"]
