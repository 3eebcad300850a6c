"""A Python client of the service: ``RigFuseClient("http://127.0.0.1:8000", api_key="…")``.

Answers are the values of the wire contract, typed. Large files are streamed from and to the disk, and uploads go on
where they broke off. What may be asked twice is asked again where the service is busy, as it wishes. The errors::

    ClientError
    ├── Misused       an address, a key or an id that cannot be used: nothing was sent; a ValueError too
    ├── Unreachable   no answer came
    └── ApiError      the service refused, with a code, a sentence and the place in the input
"""

from app.client.service import DEFAULT_URL, RigFuseClient
from app.retries import ApiError, ClientError, Misused, Retries, Unreachable
from app.transport import Event, UploadProgress

__all__ = [
    "DEFAULT_URL",
    "ApiError",
    "ClientError",
    "Event",
    "Misused",
    "Retries",
    "RigFuseClient",
    "Unreachable",
    "UploadProgress",
]
