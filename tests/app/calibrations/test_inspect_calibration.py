"""The endpoint, the client's method and the commands, against a real service."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import written
from keyholders import holder, make_key
from pydantic import SecretStr
from running import Service, serving
from typer.testing import CliRunner

from app.cli import app as cli
from app.client import ApiError, RigFuseClient
from app.settings import Settings
from models.studios import random_rig

KEY = "a-key-for-calibrations"
RIG = random_rig(np.random.default_rng(5), 4)


@pytest.fixture(scope="module")
def served(make_settings: Callable[..., Settings]) -> Iterator[Service]:
    with serving(make_settings(api_keys=(SecretStr(KEY),)), Authorization=f"Bearer {KEY}") as running:
        yield running


def _inspect(service: Service, content: str, kind: str = "text/plain") -> Any:
    answer = service.client.post("/v1/calibrations/inspect", content=content, headers={"Content-Type": kind})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_sound_calibration_can_be_registered_as_it_is_answered(served: Service) -> None:
    found = _inspect(served, written.toml(RIG))
    assert (found["format"], found["refused"]) == ("toml", False)
    assert len(found["pairs"]) == 6
    assert all(0.3 < pair["overlap"] <= 1 for pair in found["pairs"])
    np.testing.assert_allclose(found["cameras"][1]["centre"], RIG.cameras[1].centre)
    made = served.client.post("/v1/rigs", json={"name": "of a file", "joints": "coco17", **found["document"]})
    assert made.status_code == 201, made.text


def test_a_change_mends_what_was_found(served: Service) -> None:
    document = RIG.to_dict() | {"units": "mm"}
    found = _inspect(served, json.dumps(document), "application/json")
    (finding,) = [each for each in found["findings"] if each["severity"] == "error"]
    assert (found["refused"], finding["code"], finding["at"]) == (True, "units", "units")
    (edit,) = finding["change"]["edits"]
    assert edit == {"path": "/units", "value": "m"}


def test_what_registering_would_refuse_for_its_form_is_found_too(served: Service) -> None:
    document = RIG.to_dict() | {"colour": "red"}
    document["cameras"][1]["id"] = "a:b"
    found = _inspect(served, json.dumps(document), "application/json")
    assert {each["at"] for each in found["findings"] if each["severity"] == "error"} == {"colour", "cameras[1].id"}


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        ("no calibration", "text/plain", 422, "unknown_calibration"),
        ("{}", "application/json", 422, "unknown_calibration"),
        ("{}", "image/png", 415, "unsupported_media_type"),
        (" " * (5 << 20), "text/plain", 413, "upload_too_large"),
    ],
)
def test_what_is_none_is_refused(served: Service, content: str, kind: str, status: int, code: str) -> None:
    answer = served.client.post("/v1/calibrations/inspect", content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_key_that_only_reads_may_ask(served: Service) -> None:
    made = make_key(served, "read")
    with holder(served, made["key"]) as client:
        assert client.post("/v1/calibrations/inspect", content=written.toml(RIG)).status_code == 200


def test_the_client_asks_with_a_document_or_a_text(served: Service) -> None:
    with RigFuseClient(str(served.client.base_url), KEY) as client:
        assert client.inspect_calibration(RIG.to_dict()).format == "rigfuse"
        assert client.inspect_calibration(written.toml(RIG)).format == "toml"
        with pytest.raises(ApiError, match="no calibration"):
            client.inspect_calibration("?")


def test_the_command_checks_and_registers_a_file_of_another_tool(served: Service, tmp_path: Path) -> None:
    path = tmp_path / "stage-a.toml"
    path.write_text(written.toml(RIG))
    checked = CliRunner().invoke(cli, ["rig", "check", str(path)])
    assert (checked.exit_code, "4 cameras" in checked.output) == (0, True)
    told = CliRunner().invoke(cli, ["rig", "check", str(path), "--json"])
    assert json.loads(told.stdout)["format"] == "toml"
    refused = CliRunner().invoke(cli, ["rig", "check", str(path), "--units", "mm"])
    assert (refused.exit_code, "→ Read the calibration in m" in refused.output) == (1, True)
    environment = {"RIGFUSE_URL": str(served.client.base_url), "RIGFUSE_API_KEY": KEY}
    added = CliRunner().invoke(cli, ["rig", "add", str(path), "--joints", "body25"], env=environment)
    assert added.exit_code == 0, added.output
    (made,) = re.findall(r"^rig_\w+$", added.stdout, re.MULTILINE)  # the service's own log is printed here too
    rig = served.client.get(f"/v1/rigs/{made}").json()
    assert (rig["name"], rig["joints"], len(rig["cameras"])) == ("stage-a", "body25", 4)
