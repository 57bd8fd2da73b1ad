"""Personal data out of texts before they are kept: pure, and the same whatever pieces a text comes in."""

from inference.masking.kinds import Kind
from inference.masking.window import Masked, Masker, mask
from inference.masking.written import mask_json

__all__ = ["Kind", "Masked", "Masker", "mask", "mask_json"]
