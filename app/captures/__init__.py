"""Captures: sealed, validated sets of labelled frames."""
