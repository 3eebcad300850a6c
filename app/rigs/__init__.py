"""Rigs: registering, reading and archiving calibrated sets of cameras."""
