"""The guided page: what it offers, to whom, and that names show as text. What it does is tested in a browser."""

import json
import re
from collections.abc import Callable, Iterator

import pytest
from keyholders import guarded, holder, make_key
from running import Service

from app.settings import Settings
from models.worlds import World

NAME = "<b>Stage</b> & </script><script>alert('x')</script>"


@pytest.fixture(scope="module")
def service(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    with guarded(make_settings()) as running:
        yield running


def _given(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="new-setup">(.*?)</script>', page)
    assert found is not None
    given: dict[str, object] = json.loads(found.group(1))
    return given


def test_it_offers_skeletons_and_methods_and_marks_what_the_detector_finds(service: Service) -> None:
    page = service.client.get("/new").text
    setup = _given(page)["setup"]
    assert isinstance(setup, dict)
    assert [each["name"] for each in setup["skeletons"] if each["predicted"]] == ["coco17"]
    assert [each["name"] for each in setup["methods"] if each["usual"]] == ["metafuse"]
    assert re.search(r'<option value="coco17" selected>.*the detector finds these', page)
    assert "This key only reads" not in page


def test_a_key_that_only_reads_is_told_so(service: Service) -> None:
    made = make_key(service, "read")
    with holder(service, made["key"]) as client:
        page = client.get("/new").text
    assert "This key only reads" in page
    assert _given(page)["mayWrite"] is False


def test_a_registered_rig_enters_at_the_second_step_and_its_name_is_text(service: Service, world: World) -> None:
    rig = service.register(world, NAME)
    page = service.client.get(f"/rigs/{rig}/capture").text
    assert "alert(" not in page.replace("&#39;", "'").replace("\\u003cscript\\u003ealert(", "").replace(
        "&gt;alert(", ""
    )
    told = _given(page)["rig"]
    assert isinstance(told, dict)
    assert (told["id"], told["name"]) == (rig, NAME)
    assert told["cameras"] == [camera.id for camera in world.rig.cameras]


def test_an_archived_or_unknown_rig_takes_no_frames(service: Service, world: World) -> None:
    rig = service.register(world, NAME)
    service.client.delete(f"/v1/rigs/{rig}")
    assert service.client.get(f"/rigs/{rig}/capture").status_code == 409
    assert service.client.get("/rigs/rig_0/capture").status_code == 404
