"""What lies here of others is unmodified, named, and under a licence that travels with it."""

import pytest

from tests.vendored import FOLDERS, ROOT, Vendored, digest, table


@pytest.mark.parametrize("row", table(), ids=lambda row: row.file)
def test_a_file_is_the_one_recorded_and_named_in_the_notice(row: Vendored) -> None:
    assert digest((row.folder / row.file).read_bytes()) == row.sha256
    folder = (row.folder / row.file).parent.relative_to(ROOT)
    assert str(folder) in (ROOT / "NOTICE").read_text()


def test_every_file_is_recorded() -> None:
    files = {path for folder in FOLDERS for path in folder.rglob("*") if path.is_file()}
    assert files == {row.folder / row.file for row in table()} | {folder / "VENDORED.md" for folder in FOLDERS}
