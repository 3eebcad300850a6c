"""The main job over REST against everything that `rigfuse up` starts: register, upload, adapt, follow, poses."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import studio
from embedded_service import RunningService
from safetensors.numpy import load_file
from shoots import shoot

from app.client import ApiError, Event, RigFuseClient


def test_a_studio_adapts_its_rig_and_its_poses_get_better(shared_service: RunningService, tmp_path: Path) -> None:
    with shared_service.client() as client:
        made = shoot(client, tmp_path, cameras=4, frames=40)
        heard: list[Event] = []
        job = client.adapt(made.rig_id, made.capture, options={"steps": 8})
        assert job.state == "queued"
        job = client.wait(job.id, heard.append)

        assert job.state == "succeeded", job.error
        assert (job.progress, job.attempt, job.error) == (1.0, 1, None)
        assert job.metrics is not None
        assert job.metrics["fused"]["jdr"] > job.metrics["no_fusion"]["jdr"]
        assert job.metrics["promoted"] is True
        assert job.metrics["reason"]
        _check_events(client, job.id, heard)
        _check_checkpoint(client, made.rig_id, str(job.checkpoint), tmp_path)
        _check_poses(client, made.rig, str(job.checkpoint), tmp_path)
        _check_rollback(client, made.rig_id, str(job.checkpoint))


def _check_events(client: RigFuseClient, job_id: str, heard: list[Event]) -> None:
    kinds = [event.kind for event in heard]
    assert kinds[:2] == ["queued", "running"]
    assert kinds[-1] == "succeeded"
    assert set(kinds[2:-1]) == {"progress", "curve"}
    assert [event.id for event in heard] == sorted({event.id for event in heard})
    progress = [event.data["progress"] for event in heard if event.kind != "curve"]
    assert progress == sorted(progress)
    # A client that comes back after the third event hears the rest, and one that has heard all hears nothing.
    assert list(client.events(job_id, heard[2].id)) == heard[3:]
    assert list(client.events(job_id, heard[-1].id)) == []


def _check_checkpoint(client: RigFuseClient, rig_id: str, checkpoint_id: str, folder: Path) -> None:
    (listed,) = client.checkpoints(rig_id)
    assert (listed.id, listed.active, listed.promoted) == (checkpoint_id, True, True)
    manifest = client.checkpoint(checkpoint_id).manifest
    assert manifest["digests"]["rig"] == client.rig(rig_id).digest
    assert manifest["digests"]["artifact"] == listed.artifact_sha256
    assert {"omega_base", "capture"} < set(manifest["digests"])
    assert (manifest["method"], manifest["seed"]) == ("metafuse", 0)
    data = client.download_checkpoint(checkpoint_id, folder / "checkpoint.safetensors").read_bytes()
    assert hashlib.sha256(data).hexdigest() == listed.artifact_sha256
    assert len(data) == listed.size_bytes


def _check_poses(client: RigFuseClient, rig: studio.Document, checkpoint_id: str, folder: Path) -> None:
    footage = studio.film(np.random.default_rng(99), rig, 20, first=500)
    npz = footage.write_heatmaps(folder / "take.npz")
    fused = client.poses(rig["id"], heatmaps=npz).model_dump(mode="json")
    alone = client.poses(rig["id"], heatmaps=npz, checkpoint="none").model_dump(mode="json")
    assert fused["checkpoint"] == checkpoint_id
    assert alone["checkpoint"] == "none"
    assert [frame["frame"] for frame in fused["frames"]] == footage.frames
    gain = studio.detection_rate(footage, rig, fused) - studio.detection_rate(footage, rig, alone)
    assert gain > 0.12
    assert studio.error_3d(footage, fused) < 0.05


def _check_rollback(client: RigFuseClient, rig_id: str, checkpoint_id: str) -> None:
    after = client.roll_back(rig_id)
    assert (after.active_checkpoint, after.rolled_back) == (None, checkpoint_id)
    assert client.rig(rig_id).active_checkpoint is None
    with pytest.raises(ApiError) as refused:
        client.roll_back(rig_id)
    assert (refused.value.status, refused.value.code) == (409, "no_rollback")
    assert client.activate(checkpoint_id).active
    assert client.rig(rig_id).active_checkpoint == checkpoint_id


def test_the_same_idempotency_key_gives_the_same_job(shared_service: RunningService, tmp_path: Path) -> None:
    with shared_service.client() as client:
        made = shoot(client, tmp_path)
        options = {"steps": 0}
        first = client.adapt(made.rig_id, made.capture, options=options, idempotency_key="monday")
        again = client.adapt(made.rig_id, made.capture, options=options, idempotency_key="monday")
        assert again.id == first.id
        with pytest.raises(ApiError) as refused:
            client.adapt(made.rig_id, made.capture, seed=7, options=options, idempotency_key="monday")
        assert (refused.value.status, refused.value.code) == (409, "idempotency_key_reused")
        assert client.wait(first.id).state == "succeeded"
        assert len(list(client.adaptations(rig=made.rig_id))) == 1


def test_one_seed_gives_one_checkpoint(shared_service: RunningService, tmp_path: Path) -> None:
    with shared_service.client() as client:
        made = shoot(client, tmp_path)
        jobs = [client.adapt(made.rig_id, made.capture, seed=3, options={"steps": 3}).id for _ in range(2)]
        first, second = (str(client.wait(job).checkpoint) for job in jobs)
        assert first != second
        a, b = (
            load_file(client.download_checkpoint(checkpoint, tmp_path / checkpoint)) for checkpoint in (first, second)
        )
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_soon(
    shared_service: RunningService, tmp_path: Path
) -> None:
    with shared_service.client() as client:
        made = shoot(client, tmp_path, cameras=4, frames=40)
        running = client.adapt(made.rig_id, made.capture, options={"steps": 1000})
        waiting = client.adapt(made.rig_id, made.capture, options={"steps": 1000})
        next(event for event in client.events(running.id) if event.kind == "progress")

        assert client.cancel(waiting.id).state == "cancelled"
        assert client.cancel(running.id).cancel_requested
        assert client.wait(running.id).state == "cancelled"
        for job in (running, waiting):
            with pytest.raises(ApiError) as refused:
                client.cancel(job.id)
            assert (refused.value.status, refused.value.code) == (409, "adaptation_finished")
        assert list(client.checkpoints(made.rig_id)) == []
        assert {job.id for job in client.adaptations(state="cancelled")} >= {running.id, waiting.id}
