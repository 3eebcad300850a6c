"""The main job over REST, as any client does it: register, upload, adapt, ask for poses."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.adaptations.schemas import Adaptation
from app.adaptations.states import State
from app.captures.schemas import CaptureOut
from app.client import Event, RigFuseClient
from app.demo.errors import DemoFailed
from app.demo.evaluate import Prediction, reproject
from app.demo.scene import Scene
from app.demo.screen import Screen, Step
from models.checkpoint import Checkpoint
from models.rig import Rig
from models.runtime import Engine

NO_FUSION, REPAIRED, EPIPOLAR, FUSED, ELSEWHERE = "no_fusion", "no_fusion_repaired", "epipolar", "fused", "fused_from"
FOLLOWED = "fused_person"


@dataclass(frozen=True)
class Outcome:
    """What came of one scene: ids, the adaptation as it ended, and the predictions of each way of serving.

    ``heatmaps`` [F, V, J, 64, 64] are those of the test frames before fusion; ``checkpoint`` the artifact.
    """

    scene: Scene
    rig_id: str
    capture: CaptureOut
    adaptation: Adaptation
    checkpoint: Checkpoint
    predictions: dict[str, Prediction]
    heatmaps: NDArray[np.float32]

    @property
    def checkpoint_id(self) -> str:
        """The id of the checkpoint that this scene's capture made."""
        return str(self.adaptation.checkpoint)


class Job:
    """Runs scenes against one service; scenes with the same rig share its registration."""

    def __init__(self, client: RigFuseClient, screen: Screen, scratch: Path) -> None:
        self._client, self._screen, self._scratch = client, screen, scratch
        self._rigs: dict[str, str] = {}
        self._earlier: list[Outcome] = []

    def run(self, scene: Scene) -> Outcome:
        """The whole job for one scene."""
        rig_id = self._register(scene)
        with self._screen.step(f"{scene.title}: upload of 50 labelled frames", f"{scene.name}.upload") as step:
            capture = self._client.upload_capture(
                rig_id,
                scene.labels,
                frames=scene.capture.frames,
                heatmaps=scene.capture.heatmaps,
                on_progress=_uploading(step),
            )
        adaptation = self._adapt(scene, rig_id, capture.id)
        outcome = Outcome(
            scene, rig_id, capture, adaptation, self._download(str(adaptation.checkpoint)), {}, np.empty(0, np.float32)
        )
        self._serve(outcome)
        outcome = replace(outcome, heatmaps=self.heatmaps(outcome, "none"))
        outcome.predictions[REPAIRED] = _repaired(outcome)
        self._earlier.append(outcome)
        return outcome

    def heatmaps(self, outcome: Outcome, checkpoint: str, frames: tuple[str, ...] = ()) -> NDArray[np.float32]:
        """Heatmaps [F, V, J, 64, 64] that the service answers for (some of) the test frames."""
        test = outcome.scene.test
        if frames:
            test = test.subset(frames, self._scratch / f"some{test.path.suffix}")
        title = f"{outcome.scene.title}: heatmaps, {'no fusion' if checkpoint == 'none' else 'fused'}"
        with self._screen.step(title, f"{outcome.scene.name}.heatmaps.{checkpoint}"):
            path = self._client.fused_heatmaps(
                outcome.rig_id,
                self._scratch / "answer.npz",
                frames=test.frames,
                heatmaps=test.heatmaps,
                checkpoint=checkpoint,
            )
        with np.load(path) as answer:
            return answer["heatmaps"].astype(np.float32)

    def _register(self, scene: Scene) -> str:
        digest = scene.rig.digest
        if digest not in self._rigs:
            document = {"name": f"demo: {scene.title}", **scene.rig.to_dict()}
            self._rigs[digest] = self._client.register_rig(document).id
        return self._rigs[digest]

    def _adapt(self, scene: Scene, rig_id: str, capture_id: str) -> Adaptation:
        with self._screen.step(f"{scene.title}: adaptation", f"{scene.name}.adaptation", total=1.0) as step:

            def show(event: Event) -> None:
                if "progress" in event.data:
                    step.at(event.data["progress"], 1.0, str(event.data.get("stage", "")))

            adaptation = self._client.wait(self._client.adapt(rig_id, capture_id).id, show)
        if adaptation.state is not State.SUCCEEDED:
            reason = adaptation.error.detail if adaptation.error else str(adaptation.state)
            raise DemoFailed(f"The adaptation {adaptation.id} did not succeed: {reason}")
        return adaptation

    def _download(self, checkpoint_id: str) -> Checkpoint:
        path = self._client.download_checkpoint(checkpoint_id, self._scratch / f"{checkpoint_id}.safetensors")
        return Checkpoint.from_bytes(path.read_bytes())

    def _serve(self, outcome: Outcome) -> None:
        """Ask for the test frames in every way of serving; all but one look through the rig's fixed views."""
        scene, mine = outcome.scene, outcome.checkpoint_id
        ways = {NO_FUSION: "none", EPIPOLAR: "epipolar", FUSED: mine}
        for other in self._earlier:
            if other.rig_id == outcome.rig_id:
                ways[f"{ELSEWHERE}_{other.scene.name}"] = other.checkpoint_id
        if scene.test.images:
            ways[FOLLOWED] = mine
        names = {NO_FUSION: "no fusion", EPIPOLAR: "epipolar", FUSED: "fused", FOLLOWED: "fused at the person"}
        for key, checkpoint in ways.items():
            title = f"{scene.title}: poses, {names.get(key, 'fused elsewhere')}"
            with self._screen.step(title, f"{scene.name}.poses.{key}") as step:
                answer = self._client.poses(
                    outcome.rig_id,
                    frames=scene.test.frames,
                    heatmaps=scene.test.heatmaps,
                    checkpoint=checkpoint,
                    view="person" if key == FOLLOWED else "rig",
                    on_progress=_uploading(step),
                )
            if tuple(frame.frame for frame in answer.frames) != scene.truth.frames:
                raise DemoFailed("The service answered other frames than were asked for.")
            outcome.predictions[key] = Prediction.from_document(
                answer.model_dump(mode="json"), self._cameras(outcome, checkpoint)
            )

    def _cameras(self, outcome: Outcome, checkpoint: str) -> Rig:
        """The cameras that an answer was triangulated with: those sent, or those that a checkpoint repaired."""
        by_id = {other.checkpoint_id: other.checkpoint for other in (*self._earlier, outcome)}
        sent = outcome.scene.rig
        return by_id[checkpoint].rig(sent) if checkpoint in by_id else sent


def _uploading(step: Step) -> Any:
    def show(sent: int, total: int) -> None:
        if sent < total:
            step.at(sent, total, f"{sent / 1e6:.0f} of {total / 1e6:.0f} MB sent")
        else:
            step.wait("the service is at work")

    return show


def _repaired(outcome: Outcome) -> Prediction:
    """No fusion, but triangulated with the checkpoint's repaired cameras: what the repair alone is worth.

    The service does not serve this, so the engine is run here on the heatmaps that the service answered.
    """
    rig = outcome.checkpoint.rig(outcome.scene.rig)
    poses = Engine.unfused(rig).poses(outcome.heatmaps)
    return Prediction(
        poses2d=poses.poses2d,
        confidence2d=poses.confidence2d,
        pose3d=poses.pose3d * rig.metres_per_unit,
        reprojection_px=poses.reprojection_px,
        reprojected=reproject(rig, poses.pose3d),
    )
