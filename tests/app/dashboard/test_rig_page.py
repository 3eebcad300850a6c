"""The page of a rig: what it shows of any rig, what can be done there, by whom, and that it stays true."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import payloads
import pytest
from keyholders import guarded, holder, make_key
from running import Service
from stored import checkpoint_of, store

from app.settings import Settings
from app.tables import CaptureRow, CheckpointRow, RequestFrameRow, RigRow, utc_now
from models.checkpoint import Checkpoint
from models.worlds import World

NAME = "<b>Stage</b> & <script>alert('x')</script>"
HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def service(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    with guarded(make_settings()) as running:
        yield running


@pytest.fixture
def rig(service: Service, world: World) -> str:
    return service.register(world, NAME)


@pytest.fixture(scope="module")
def weights(world: World) -> tuple[Checkpoint, Checkpoint]:
    return checkpoint_of(world.rig), checkpoint_of(world.rig, 0.5)


@pytest.fixture
def adapted(service: Service, world: World, rig: str, weights: tuple[Checkpoint, Checkpoint]) -> tuple[str, str, str]:
    """A rig with a capture and two checkpoints, the first of which serves."""
    assert service.upload(rig, payloads.capture(world)).status_code == 201
    first, second = (store(service, rig, checkpoint, activate=False) for checkpoint in weights)
    assert act(service.client, rig, f"checkpoints/{first}/activate").status_code == 303
    return rig, first, second


def act(
    client: httpx.Client, rig: str, what: str, headers: dict[str, str] | None = None, **form: Any
) -> httpx.Response:
    return client.post(f"/rigs/{rig}/{what}", data=form, headers=headers)


def serves(service: Service, rig: str) -> str | None:
    return service.client.get(f"/v1/rigs/{rig}").json()["active_checkpoint"]


def page(service: Service, rig: str, **query: str) -> str:
    answer = service.client.get(f"/rigs/{rig}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.text


def embedded(text: str, name: str) -> Any:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_a_new_rig_shows_its_cameras_and_asks_for_frames(service: Service, world: World, rig: str) -> None:
    text = page(service, rig)
    assert "Drop about 50 labelled frames" in text
    assert [camera["id"] for camera in embedded(text, "rig-scene")["cameras"]] == [c.id for c in world.rig.cameras]
    assert embedded(text, "rig-pairs")["measures"] == []


def test_names_with_markup_show_as_text(service: Service, rig: str) -> None:
    act(service.client, rig, "describe", name=NAME, notes="<img src=x onerror=alert(1)>\r\nTwo", tags="<i>a</i>, b ,")
    text = page(service, rig)
    assert "<b>Stage" not in text
    assert "alert('x')" not in text
    assert "&lt;b&gt;Stage&lt;/b&gt;" in text
    assert "<img" not in text.partition("<main")[2]
    told = service.client.get(f"/v1/rigs/{rig}").json()
    assert (told["tags"], told["notes"]) == (["<i>a</i>", "b"], "<img src=x onerror=alert(1)>\nTwo")


def test_a_checkpoint_is_activated_and_rolled_back(service: Service, adapted: tuple[str, str, str]) -> None:
    rig, first, second = adapted
    done = act(service.client, rig, f"checkpoints/{second}/activate", HTMX, seen=first, reason="It <b>looks</b> better")
    assert done.status_code == 200
    assert "<html" not in done.text
    assert "It &lt;b&gt;looks&lt;/b&gt; better" in done.text
    assert serves(service, rig) == second
    back = act(service.client, rig, "rollback", seen=second)
    assert (back.status_code, back.headers["location"]) == (303, f"/rigs/{rig}")
    assert serves(service, rig) == first


def test_nothing_changes_where_another_checkpoint_serves_than_was_asked_about(
    service: Service, adapted: tuple[str, str, str]
) -> None:
    rig, first, second = adapted
    for what in (f"checkpoints/{second}/activate", "rollback"):
        refused = act(service.client, rig, what, seen=second)
        assert (refused.status_code, refused.json()["code"]) == (409, "changed_meanwhile")
    assert serves(service, rig) == first


def test_a_checkpoint_of_another_rig_is_refused(service: Service, world: World, adapted: tuple[str, str, str]) -> None:
    other = service.register(world, "other")
    for what in ("activate", "pin", "unpin"):
        assert act(service.client, other, f"checkpoints/{adapted[1]}/{what}").status_code == 409
    assert act(service.client, "rig_none", f"checkpoints/{adapted[1]}/pin").status_code == 404
    assert act(service.client, other, "checkpoints/ckp_none/activate").status_code == 404
    assert act(service.client, other, "rollback").status_code == 409
    assert serves(service, other) is None


def test_who_may_only_look_is_offered_nothing_and_refused(service: Service, adapted: tuple[str, str, str]) -> None:
    rig, first, second = adapted
    with holder(service, make_key(service, "read")["key"]) as reader:
        text = reader.get(f"/rigs/{rig}").text
        main = text.partition("<main")[2]
        assert "Your key may look, not change" in main
        assert re.findall(r"<form[^>]*/rigs/", main) == []
        for what in (f"checkpoints/{second}/activate", f"checkpoints/{second}/pin", "rollback", "archive", "describe"):
            assert act(reader, rig, what, seen=first, name="x").status_code == 403
    with holder(service, make_key(service)["key"]) as writer:
        assert act(writer, rig, "keep-frames", frames=5).status_code == 403
        assert "keep-frames" not in writer.get(f"/rigs/{rig}").text
        assert act(writer, rig, f"checkpoints/{second}/pin").status_code == 303
    assert serves(service, rig) == first


def test_another_studio_s_rig_is_not_there(service: Service, rig: str) -> None:
    with holder(service, make_key(service, studio="elsewhere")["key"]) as stranger:
        assert stranger.get(f"/rigs/{rig}").status_code == 404
        assert stranger.get(f"/rigs/{rig}/live").status_code == 404
        assert act(stranger, rig, "archive").status_code == 404


def test_an_adaptation_is_started_with_a_capture(service: Service, adapted: tuple[str, str, str]) -> None:
    rig = adapted[0]
    capture = next(
        c for c in service.client.get(f"/v1/rigs/{rig}/captures").json()["items"] if c["labelled_joints"] > 1
    )
    begun = act(service.client, rig, f"captures/{capture['id']}/adapt")
    assert begun.status_code == 303
    job = begun.headers["location"].removeprefix("/adaptations/")
    assert service.client.get(f"/v1/adaptations/{job}").json()["capture"] == capture["id"]
    assert "An adaptation waits for a worker." in page(service, rig)


def store_frame(service: Service, rig: str) -> str:
    """Keep a frame of a request; answers its digest."""
    sha256 = service.app.state.artifacts.put_bytes(b"a frame")
    with service.app.state.db.session() as session:
        session.add(RequestFrameRow(rig_id=rig, frame="0", kind="images", source_sha256=sha256, size_bytes=7))
    return sha256


def test_what_is_kept_of_requests_is_said_here(service: Service, rig: str) -> None:
    assert act(service.client, rig, "keep-frames", frames=20).status_code == 303
    assert "The last 20 frames of pose requests are kept" in page(service, rig)
    frame = store_frame(service, rig)
    assert act(service.client, rig, "keep-frames", frames=0).status_code == 303
    assert service.client.get(f"/v1/rigs/{rig}/request-frames").json()["items"] == []
    assert not service.app.state.artifacts.holds(frame)
    assert act(service.client, rig, "keep-frames", frames=-1).status_code == 422
    assert act(service.client, rig, "describe", name="x", tags=",".join(map(str, range(40)))).status_code == 422
    assert act(service.client, rig, "describe", name="").status_code == 422


def test_an_archived_rig_is_readable_and_offers_nothing(service: Service, adapted: tuple[str, str, str]) -> None:
    rig, first, _ = adapted
    assert act(service.client, rig, "archive").status_code == 303
    text = page(service, rig)
    assert "takes nothing new" in text
    assert "data-opens" not in text
    assert act(service.client, rig, "rollback", seen=first).status_code == 409


def test_the_labels_of_the_newest_capture_are_counted_by_pair(service: Service, world: World, rig: str) -> None:
    service.upload(rig, payloads.capture(world))
    seen = world.labelled().visibility
    both = ((seen[:, 0] > 0) & (seen[:, 1] > 0)).sum()
    lent = ((seen[:, 0] == 1) & (seen[:, 1] == 2)).sum()
    text = page(service, rig, show="lent")
    cells = embedded(text, "rig-pairs")["cells"]
    assert (cells["shared"][0][1][0], cells["lent"][0][1][0]) == (str(both), str(lent))
    assert re.search(r'data-measure="lent"[^>]*aria-current="true"', text)


def test_damaged_and_purged_things_do_not_stop_the_page(service: Service, adapted: tuple[str, str, str]) -> None:
    rig, first, _ = adapted
    with service.app.state.db.session() as session:
        for row in session.query(CaptureRow).where(CaptureRow.rig_id == rig):
            row.coverage = {"cameras": ["odd"], "distinct_poses": "many"}
        session.get_one(CheckpointRow, first).manifest = {"metrics": {"fused": [], "no_fusion": {"jdr": "high"}}}
        session.get_one(RigRow, rig).active_checkpoint_id = None
    assert "not measured" in page(service, rig)
    with service.app.state.db.session() as session:
        for row in session.query(CaptureRow).where(CaptureRow.rig_id == rig):
            row.purged_at = utc_now()
        for weights in session.query(CheckpointRow).where(CheckpointRow.rig_id == rig):
            weights.purged_at = utc_now()
    text = page(service, rig)
    assert "purged" in text
    assert "Activate …" not in text


def test_the_page_is_sent_again_when_another_checkpoint_serves(service: Service, adapted: tuple[str, str, str]) -> None:
    rig, first, second = adapted
    with service.client.stream("GET", f"/rigs/{rig}/live") as stream:
        parts = messages(stream)
        assert re.search(rf"{first}</code>\s*<span class=\"badge good\">serves", next(parts))
        act(service.client, rig, f"checkpoints/{second}/activate", seen=first)
        assert re.search(rf"{second}</code>\s*<span class=\"badge good\">serves", next(parts))


def messages(stream: httpx.Response) -> Iterator[str]:
    """The parts of the page, as they are sent."""
    lines: list[str] = []
    for line in stream.iter_lines():
        if line.startswith("data: "):
            lines.append(line.removeprefix("data: "))
        elif not line and lines:
            yield "\n".join(lines)
            lines = []
