"""Calibrations as studios have them: read in the formats of their tools, and inspected before a rig is made of them."""
