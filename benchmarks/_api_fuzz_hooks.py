"""What schemathesis has to be told of this API: how bytes of an upload are sent."""

from typing import Any

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def send_bytes(_context: Any, value: Any) -> Any:
    """Bytes go as they are; anything else as its text."""
    return value if isinstance(value, bytes) else str(value).encode()
