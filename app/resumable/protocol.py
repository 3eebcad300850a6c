"""The headers of tus 1.0 (https://tus.io/protocols/resumable-upload): read, described, and sent with every answer."""

import base64
import re
from email.utils import format_datetime
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.resumable.records import Pending
from models.errors import InvalidInput

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,termination"
CONTENT_TYPE = "application/offset+octet-stream"
PREFIX = "/v1/uploads"
_BASE64 = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_PAIR = rf"[!-+\--~]+(?: {_BASE64})?"
METADATA = rf"^(?:{_PAIR}(?:,{_PAIR})*)?$"
"""For the description; who sends something else is told in words."""
_SHA256 = re.compile(r"[0-9a-f]{64}")

TUS_PARAMETER: dict[str, Any] = {
    "parameters": [
        {
            "name": "Tus-Resumable",
            "in": "header",
            "required": True,
            "description": "the version of the protocol that the client speaks",
            "schema": {"type": "string", "enum": [VERSION]},
        }
    ]
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            CONTENT_TYPE: {
                "schema": {"type": "string", "format": "binary", "description": "bytes from Upload-Offset on"}
            }
        },
    }
}


def header(description: str, kind: str = "string") -> dict[str, Any]:
    """How OpenAPI describes a header of an answer."""
    return {"description": description, "schema": {"type": kind}}


STANDING = {
    "Upload-Offset": header("bytes that have come", "integer"),
    "Upload-Length": header("bytes in all", "integer"),
    "Upload-Expires": header("when the upload is removed unless it goes on"),
    "Tus-Resumable": header("the version of the protocol"),
}


def require_version(request: Request) -> None:
    """Refuse a client that speaks another version of the protocol, or does not say which."""
    if request.headers.get("tus-resumable") != VERSION:
        detail = f"Send the header Tus-Resumable: {VERSION}, the version of the protocol that is spoken here."
        raise HTTPException(412, detail, {"Tus-Version": VERSION})


def standing(pending: Pending) -> dict[str, str]:
    """The headers that tell how far an upload is."""
    return {
        "Upload-Offset": str(pending.offset),
        "Upload-Length": str(pending.declared.length),
        "Upload-Expires": format_datetime(pending.expires_at, usegmt=True),
        "Cache-Control": "no-store",
    }


def declared_sha256(metadata: str) -> str | None:
    """The SHA-256 that ``Upload-Metadata`` declares, in lower-case hex; raises InvalidInput where it is none."""
    if not re.fullmatch(METADATA, metadata):
        raise InvalidInput(
            "Send names with their values in base64, as tus does: a name, a space and its value, and commas between.",
            at="header.upload-metadata",
        )
    pairs = dict(pair.partition(" ")[::2] for pair in metadata.split(",") if pair)
    if "sha256" not in pairs:
        return None
    value = base64.b64decode(pairs["sha256"]).decode("latin-1")
    if not _SHA256.fullmatch(value):
        raise InvalidInput("The sha256 must be 64 hexadecimal digits in lower case.", at="header.upload-metadata")
    return value


class TusHeaders:
    """Says the protocol's version in every answer about uploads, refusals too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_version(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Tus-Resumable"] = VERSION
            await send(message)

        about_uploads = scope["type"] == "http" and scope["path"].startswith(PREFIX)
        await self._app(scope, receive, send_with_version if about_uploads else send)
