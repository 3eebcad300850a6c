"""The workers of a deployment, as they report themselves."""
