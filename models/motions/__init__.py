"""Recorded human motion for the synthetic worlds: readers of common formats, and a library that draws from them."""

from models.motions.library import MotionLibrary

__all__ = ["MotionLibrary"]
