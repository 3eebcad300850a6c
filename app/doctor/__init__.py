"""``rigfuse doctor``: looks a deployment over from its settings and says what is wrong and what to do."""
