"""What the engine is given: an adaptation's rig and frames by id, and where its pieces of work are done."""

from collections.abc import Mapping

from app.adaptations import parts
from app.captures.purging import capture_purged
from app.tables import AdaptationRow, CaptureRow, RigRow
from app.workers import repository
from models.checkpoint import CODE_VERSION, Checkpoint
from models.fanout import Arrays, Replay, Spread, from_bytes, in_turn, to_bytes
from models.labelled import LabelledFrames
from models.rig import Rig
from worker.attempt import Attempt
from worker.captures import labelled_frames
from worker.context import WorkerContext
from worker.incumbent import incumbent_of

HEATMAPS = "heatmaps/0"
"""The piece that the backbone makes once, so that nobody has to who works on another piece."""
_IMAGES_SHARE = 0.5  # of an adaptation's time, where the backbone has to make the heatmaps first


class Computation:
    """One run of the engine on an adaptation: of all of it, or of the one piece that is ``wanted``."""

    def __init__(self, context: WorkerContext, attempt: Attempt, wanted: str | None = None) -> None:
        self._context, self._attempt, self._wanted = context, attempt, wanted
        with context.db.read_session() as session:
            self._job = session.get_one(AdaptationRow, attempt.claim.adaptation_id)
            self._capture = session.get_one(CaptureRow, self._job.capture_id)
            self._rig = Rig.from_dict(session.get_one(RigRow, self._job.rig_id).document)
            self._done = parts.results(session, self._job.id, self.made_by)
            self._workers = len(repository.alive(session, context.settings.lease_s))
        self._frames: LabelledFrames | None = None
        self.incumbent = incumbent_of(context, self._job.rig_id, self._rig)

    @property
    def made_by(self) -> str:
        """What else than the request the results depend on."""
        return f"{CODE_VERSION} on {self._context.settings.device}"

    def run(self) -> Checkpoint:
        """The checkpoint; raises what the engine raises, Needed and PieceDone among it."""
        job, capture, attempt = self._job, self._capture, self._attempt
        if capture.purged_at is not None:
            raise capture_purged(capture.id)
        known = self._known()
        before = _IMAGES_SHARE if self._needs_backbone and HEATMAPS not in known else 0.0
        heatmaps = known[HEATMAPS]["heatmaps"] if HEATMAPS in known else None
        self._frames = labelled_frames(
            self._context, self._rig, capture, lambda stage, part: attempt(stage, before * part), heatmaps
        )
        return self._context.engine(
            self._rig,
            self._frames,
            method=job.method,
            seed=job.seed,
            options=job.options,
            progress=lambda stage, part: attempt(stage, before + (1 - before) * part),
            observe=attempt.observe,
            capture_digest=capture.digest,
            device=self._context.settings.device,
            spread=self._spread(known),
            incumbent=self.incumbent.checkpoint,
            used=self.incumbent.used,
        )

    def heatmaps(self) -> bytes | None:
        """What the backbone made in this run, for the others; None where they read the heatmaps themselves."""
        if self._frames is None or not self._needs_backbone or HEATMAPS in self._done:
            return None
        return to_bytes({"heatmaps": self._frames.heatmaps})

    @property
    def _needs_backbone(self) -> bool:
        return self._capture.kind == "images"

    def _known(self) -> Mapping[str, Arrays]:
        wanted = self._done
        if self._wanted is not None:  # who works on one piece needs what came before: the pieces of other names
            wanted = {piece: sha256 for piece, sha256 in wanted.items() if _name(piece) != _name(self._wanted)}
        return {piece: from_bytes(self._context.artifacts.read(sha256)) for piece, sha256 in wanted.items()}

    def _spread(self, known: Mapping[str, Arrays]) -> Spread:
        """Elsewhere only where that helps: a large rig, and others who take part."""
        alone = self._workers < 2 and not known
        if self._wanted is None and (alone or len(self._rig.cameras) < self._context.settings.fan_out_cameras):
            return in_turn
        return Replay(known, self._wanted)


def _name(piece: str) -> str:
    return piece.partition("/")[0]
