"""What the launcher does before it starts its children."""

from pathlib import Path

import pytest

from app.artifacts import ArtifactStore
from app.settings import Settings
from worker.embedded import _forget_half_done


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_a_power_cut_left_is_removed_from_the_data_directory_alone(tmp_path: Path, elsewhere: bool) -> None:
    artifacts = (tmp_path / "shared").as_uri() if elsewhere else ""
    settings = Settings(data_dir=tmp_path / "data", artifacts_url=artifacts, environment="embedded")
    store = ArtifactStore(settings.artifacts_url)
    half, request = store.root / "incoming" / "tmpabc", settings.uploads_dir / "tmpdef" / "frames"
    sha256 = store.put_bytes(b"kept")
    resumable = settings.uploads_dir / "resumable" / "upl_0.data"
    for path in (request, resumable):
        path.parent.mkdir(parents=True)
    for path in (half, request, resumable):
        path.write_bytes(b"half")
    _forget_half_done(settings)
    assert not request.exists()
    assert resumable.exists()  # it is gone on with
    assert half.exists() == elsewhere
    assert store.read(sha256) == b"kept"
