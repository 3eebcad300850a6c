"""Files as multipart/form-data, read from the disk as they are sent, and told how far they are."""

import io
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

File = Path | bytes | None
UploadProgress = Callable[[int, int], None]
"""Called with the bytes that were sent and the bytes in all."""
Body = Callable[[ExitStack], dict[str, Any]]


def multipart(files: Mapping[str, File], tell: UploadProgress | None) -> Body:
    """A body of the files, opened anew for each attempt; those on the disk are never held in memory."""

    def open_files(stack: ExitStack) -> dict[str, Any]:
        counted = _ByteCount(sum(_size(file) for file in files.values()), tell)
        parts = {
            name: (name, stack.enter_context(_Watched(file, counted)) if isinstance(file, Path) else file)
            for name, file in files.items()
            if file is not None
        }
        return {"files": parts}

    return open_files


class _ByteCount:
    """Adds up what all files of an upload have sent."""

    def __init__(self, total: int, tell: UploadProgress | None) -> None:
        self.total, self.sent, self._tell = total, 0, tell

    def add(self, count: int) -> None:
        self.sent += count
        if self._tell is not None and count:
            self._tell(self.sent, self.total)


class _Watched(io.FileIO):
    """A file that tells how much of it has been read."""

    def __init__(self, path: Path, count: _ByteCount) -> None:
        super().__init__(path)
        self._count = count

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size) or b""
        self._count.add(len(data))
        return data


def _size(file: File) -> int:
    return 0 if not isinstance(file, Path) else file.stat().st_size
