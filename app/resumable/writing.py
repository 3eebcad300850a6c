"""What comes over a connection goes to the disk about a megabyte at a time, and is kept when the connection breaks."""

import os
from contextlib import ExitStack
from io import FileIO

from anyio import to_thread
from starlette.requests import ClientDisconnect, Request

from app.access.principal import Principal
from app.errors import StorageFull, UploadTooLarge
from app.resumable.records import Pending
from app.resumable.store import UploadStore
from app.uploads import write_all

_BUFFER_BYTES = 1 << 20
_SYNC_BYTES = 64 << 20  # so that the end of a long upload does not wait for all of it to reach the disk


async def append(request: Request, store: UploadStore, owner: Principal, upload_id: str, offset: int) -> Pending:
    """Write a request's body behind ``offset``; the upload as it then stands, checked where it is complete."""
    with ExitStack() as stack:
        file = await to_thread.run_sync(stack.enter_context, store.appending(owner, upload_id, offset))
        pending = await to_thread.run_sync(store.find, owner, upload_id)
        writer = _Writer(file, offset, pending.declared.length)
        try:
            await writer.run(request)
        finally:
            await to_thread.run_sync(writer.flush)
            await to_thread.run_sync(os.fsync, file.fileno())
    return await to_thread.run_sync(store.finish, owner, upload_id)


class _Writer:
    """A buffer in front of the file, which never grows beyond what was declared."""

    def __init__(self, file: FileIO, offset: int, length: int) -> None:
        self._file = file
        self._room = length - offset
        self._buffer = bytearray()
        self._unsynced = 0
        file.seek(offset)

    async def run(self, request: Request) -> None:
        if int(request.headers.get("content-length") or 0) > self._room:
            raise self._too_much()
        try:
            async for chunk in request.stream():
                await self._take(chunk)
        except ClientDisconnect:
            pass  # what came is kept: that is what all this is for

    async def _take(self, chunk: bytes) -> None:
        self._room -= len(chunk)
        if self._room < 0:
            raise self._too_much()
        self._buffer += chunk
        if len(self._buffer) >= _BUFFER_BYTES:
            await to_thread.run_sync(self.flush)

    def flush(self) -> None:
        """Write what waits; raises StorageFull, and what fitted stays."""
        data, self._buffer = bytes(self._buffer), bytearray()
        try:
            write_all(self._file, data)
        except StorageFull as error:
            raise StorageFull(
                "The disk is full; what came is kept: go on later from where the upload stands."
            ) from error
        self._unsynced += len(data)
        if self._unsynced >= _SYNC_BYTES:
            os.fsync(self._file.fileno())
            self._unsynced = 0

    def _too_much(self) -> UploadTooLarge:
        return UploadTooLarge("More bytes came than the upload was declared to have.", at="header.upload-length")
