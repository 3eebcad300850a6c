"""Poses: synchronised frames in, fused heatmaps, 2D and 3D joints out."""
