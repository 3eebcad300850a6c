"""Resumable uploads: the tus 1.0 protocol over files that survive the process which writes them."""
