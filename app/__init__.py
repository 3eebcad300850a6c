"""The API service: HTTP in front, rows and artifacts behind, the science called through models."""

import os

# Requests run side by side, one to a core. Left alone, OpenBLAS also splits each of them over all cores, and its
# threads spin while they wait for one another: on two busy cores a pose request took four times as long. It reads
# this once, when NumPy is imported, which is after this package is.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
