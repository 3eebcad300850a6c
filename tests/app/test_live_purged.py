"""A stream of one checkpoint ends when that is purged."""

import pytest
from running import Service
from stored import checkpoint_of, store

from app.live import routes
from app.live_client import LiveClient, Refused
from models.worlds import World


def test_a_purged_checkpoint_serves_no_stream(service: Service, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "_CHECK_S", 0.05)
    rig = service.register(world)
    purged = store(service, rig, checkpoint_of(world.rig), activate=False)
    with LiveClient(str(service.client.base_url), rig, checkpoint=purged) as live:
        live.send(world.heatmaps[0], [camera.id for camera in world.rig.cameras])
        assert live.receive(20.0)["checkpoint"] == purged
        assert service.client.delete(f"/v1/checkpoints/{purged}").status_code == 200
        with pytest.raises(Refused, match="purged") as ended:
            live.receive(20.0)
    assert ended.value.code == 4404
