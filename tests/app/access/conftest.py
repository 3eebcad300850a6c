"""One service that needs keys, for all tests of access."""

from collections.abc import Callable, Iterator

import pytest
from keyholders import guarded
from running import Service

from app.settings import Settings


@pytest.fixture(scope="session")
def service(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    """In production, with a key in its settings; an address may be wrong a dozen times a minute."""
    with guarded(make_settings(failed_keys_per_minute=12)) as running:
        yield running
