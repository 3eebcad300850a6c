"""Computes frames for whoever looks at them, within the turns and the memory of the poses that are served.

What was computed is kept, up to so many bytes: what the cameras show, which several checkpoints share, and what a
fusion made of it. A frame that is asked for again, or was asked for ahead, is there at once.
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from anyio import CapacityLimiter

from app.artifacts import Artifacts
from app.cache import Cache
from app.dashboard.frames.document import describe, tell
from app.dashboard.frames.looking import Looked, check_look, look_at_heatmaps, look_at_images, only
from app.dashboard.frames.opening import Opened, open_footage
from app.dashboard.frames.packing import pack
from app.dashboard.frames.subjects import Footage, Subject
from app.errors import NotFound
from app.image_files import ImageFile
from app.poses import service
from app.poses.engines import NO_FUSION, Fusion
from app.poses.schemas import Answer
from app.poses.serving import Serving
from app.settings import Settings
from models.backbone import Backbone
from models.runtime import Engine

_FILES, _FRAMES = 4, 10_000
_AT_ONCE = 8  # requests, each of which holds a thread while it waits for a turn of serving
GetBackbone = Callable[[], Backbone]


@dataclass(frozen=True)
class Shown:
    """What a fusion made of a frame, as it is sent: gzip of JSON, and of heatmaps before and after (packing)."""

    document: bytes
    heatmaps: bytes

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return len(self.document) + len(self.heatmaps)


class Viewer:
    """One for a process."""

    def __init__(self, settings: Settings, artifacts: Artifacts, serving: Serving) -> None:
        self._settings, self._artifacts, self._serving = settings, artifacts, serving
        self.turns = CapacityLimiter(_AT_ONCE)
        self._opened: Cache[tuple[str, ...], Opened] = Cache(_FILES)
        self._frames: Cache[tuple[Any, ...], Looked | Shown] = Cache(
            _FRAMES, weight=settings.viewer_cache_bytes, weigh=lambda frame: frame.nbytes
        )

    def open(self, footage: Footage) -> Opened:
        """The footage, opened at its first frame; raises CorruptArtifact."""
        key = (footage.rig.digest, footage.source_sha256, footage.labels_sha256 or "")
        known = key in self._opened
        opened = self._opened.get(key, lambda: open_footage(self._artifacts, self._settings, footage))
        if known and not opened.is_here:
            self._opened.drop(key)
            return self.open(footage)
        return opened

    def shown(self, subject: Subject, backbone: GetBackbone) -> Shown:
        """A frame's document and heatmaps."""
        subject = self._settled(subject)
        key = (*self._key(subject), subject.fusion.name)
        found = self._frames.get(key, lambda: self._show(subject, self.looked(subject, backbone)))
        assert isinstance(found, Shown)  # noqa: S101 -- by its key
        return found

    def looked(self, subject: Subject, backbone: GetBackbone) -> Looked:
        """What the cameras show of a frame; around the person, that depends on what fusion makes of it."""
        settled = self._settled(subject)
        found = self._frames.get(self._key(settled), lambda: self._look(settled, backbone))
        assert isinstance(found, Looked)  # noqa: S101 -- by its key
        return found

    def contributions(self, subject: Subject, joint: int, backbone: GetBackbone) -> bytes:
        """What each view adds to each other for one joint [target, source, 64, 64], packed."""
        count = len(subject.footage.rig.skeleton.joints)
        if joint >= count:
            raise NotFound(f"There is no joint {joint}: the first of {count} is 0.", at="path.joint")
        looked = self.looked(subject, backbone)
        engine = self._engine(subject, subject.fusion, looked)
        with self._serving.batcher.turn():
            return pack(engine.contributions(looked.heatmaps[None, :, [joint]])[0, :, :, 0])

    def _settled(self, subject: Subject) -> Subject:
        """The same with a word for how it is looked at, where that is left to the service."""
        if subject.look != "auto":
            return subject
        footage = subject.footage
        follows = footage.kind == "images" and self._serving.engines.get(footage.rig, subject.fusion).follows
        return replace(subject, look="person" if follows else "rig")

    def _key(self, subject: Subject) -> tuple[Any, ...]:
        footage, follows = subject.footage, subject.fusion.name if subject.look == "person" else ""
        return (footage.rig.digest, footage.source_sha256, footage.labels_sha256 or "", subject.index, follows)

    def _look(self, subject: Subject, backbone: GetBackbone) -> Looked:
        opened, rig, serving = self.open(subject.footage), subject.footage.rig, self._serving
        opened.check(subject.index)
        following = serving.engines.get(rig, subject.fusion) if subject.look == "person" else None
        if following is not None:
            check_look(opened.file, following)
        with opened.reading() as file, serving.admission.memory.hold(self._footprint(opened, subject)):
            if isinstance(file, ImageFile):
                with serving.batcher.turn():
                    return look_at_images(
                        file, rig, subject.index,
                        backbone=backbone(), cutter=serving.engines.cutter(rig), following=following,
                    )  # fmt: skip
            return look_at_heatmaps(file, rig, subject.index)

    def _show(self, subject: Subject, looked: Looked) -> Shown:
        opened = self.open(subject.footage)
        engines = (self._engine(subject, Fusion(NO_FUSION), looked), self._engine(subject, subject.fusion, looked))
        with (
            self._serving.admission.memory.hold(self._footprint(opened, subject)),
            self._serving.batcher.turn(),
        ):
            name, labels = opened.file.frames[subject.index], opened.labels_of(subject.index)
            told = tell(name, subject.fusion.name, engines, looked.heatmaps, labels)
            document = describe(told, pictures=bool(looked.pictures)) | {"view": subject.look}
            text = json.dumps(document, separators=(",", ":"), allow_nan=False)
            return Shown(gzip.compress(text.encode(), 1, mtime=0), pack(looked.heatmaps, told.after.heatmaps[0]))

    def _engine(self, subject: Subject, fusion: Fusion, looked: Looked) -> Engine:
        engine = self._serving.engines.get(subject.footage.rig, fusion)
        same = all(np.array_equal(a.K, b.K) for a, b in zip(looked.views, subject.footage.rig.views, strict=True))
        return engine if same else engine.seeing(looked.views)

    def _footprint(self, opened: Opened, subject: Subject) -> int:
        return service.footprint(only(opened.file, subject.index), subject.footage.rig, Answer.HEATMAPS)
