"""``make vendor``: what lies here of others is what their packages hold, fetched again and compared."""
# ruff: noqa: T201 - a program that says what it found

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = (ROOT / "app/dashboard/static/vendor", ROOT / "tests/e2e/vendor")
_ROW = re.compile(r"^\| (\S+) \| (\S+@[\d.]+\S*) \| (\S+) \| ([^|]+) \| ([0-9a-f]{64}) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Vendored:
    """One line of the table in a folder's VENDORED.md."""

    folder: Path
    file: str
    package: str
    path: str
    licence: str
    sha256: str


def table() -> list[Vendored]:
    """What the folders' VENDORED.md name."""
    named = ((folder, _ROW.findall((folder / "VENDORED.md").read_text())) for folder in FOLDERS)
    return [Vendored(folder, *row) for folder, rows in named for row in rows]


def digest(data: bytes) -> str:
    """The SHA-256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def fetched(package: str, folder: Path) -> dict[str, bytes]:
    """The files of ``package`` as the registry hands it out, by their path in it."""
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), package]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
    with tarfile.open(folder / name) as archive:
        members = [member for member in archive if member.isfile()]
        return {member.name.partition("/")[2]: archive.extractfile(member).read() for member in members}


def main() -> int:
    """Compare every file; with ``--write`` put what the packages hold into its place."""
    write, wrong = "--write" in sys.argv[1:], 0
    with tempfile.TemporaryDirectory() as folder:
        packages = {package: fetched(package, Path(folder)) for package in sorted({row.package for row in table()})}
    for row in table():
        data = packages[row.package].get(row.path, b"")
        path = row.folder / row.file
        if write and data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        same = digest(data) == row.sha256 and path.read_bytes() == data
        wrong += not same
        print(f"{'same  ' if same else 'DIFFERS'} {row.file} of {row.package}" + ("" if same else f": {digest(data)}"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
