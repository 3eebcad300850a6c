"""Documents as no worker writes them, for readers that must bear what they find."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st


def anything(names: Sequence[str]) -> st.SearchStrategy[Any]:
    """Values of any kind and nesting, whose keys are among ``names``."""
    return st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=4),
        max_leaves=20,
    )
