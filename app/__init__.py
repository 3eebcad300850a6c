"""The API service: HTTP in front, rows and artifacts behind, the science called through models."""
