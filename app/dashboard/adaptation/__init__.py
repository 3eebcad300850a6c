"""The pages of adaptations: one as it runs and what it came to, and the list of all."""
