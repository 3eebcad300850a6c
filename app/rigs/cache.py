"""Rigs kept ready: building one from its row computes every camera's view, which requests should not repeat."""

from app.cache import Cache
from app.tables import RigRow
from models.rig import Rig


class RigCache:
    """Rigs by the digest of their calibration."""

    def __init__(self, size: int = 256) -> None:
        self._rigs: Cache[str, Rig] = Cache(size)

    def get(self, row: RigRow) -> Rig:
        """The rig of ``row``, its views computed."""
        return self._rigs.get(row.digest, lambda: _build(row))


def _build(row: RigRow) -> Rig:
    rig = Rig.from_dict(row.document)
    _ = rig.views
    return rig
