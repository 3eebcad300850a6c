"""The images and the Compose deployment, as far as files can tell."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from app.settings import Settings

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = YAML(typ="safe").load(TEXT)
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OURS = [name for name, service in COMPOSE["services"].items() if "build" in service]


def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).parent / program), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_the_compose_file_is_one_by_the_schema_of_compose() -> None:
    done = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")
    assert done.returncode == 0, done.stdout


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = run("hadolint", "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_every_variable_is_explained_with_the_default_it_has() -> None:
    told = dict(line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if line[:1].isupper())
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT))
    assert used == told
    assert TEXT.count("${") == len(re.findall(r"\$\{\w+:-[^}]*\}", TEXT))  # nothing is asked for without a default


@pytest.mark.parametrize("name", OURS)
def test_settings_and_secrets_are_ones_that_the_service_knows(name: str) -> None:
    fields = {f"rigfuse_{field}" for field in Settings.model_fields}
    service = COMPOSE["services"][name]
    assert {variable.lower() for variable in service["environment"]} <= fields
    assert set(service["secrets"]) <= fields & set(COMPOSE["secrets"])


@pytest.mark.parametrize("name", OURS)
def test_what_we_build_may_do_little(name: str) -> None:
    service = COMPOSE["services"][name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["build"]["target"] in re.findall(r"^FROM runtime AS (\w+)$", DOCKERFILE, re.MULTILINE)


def test_docker_waits_for_longer_than_the_api_drains() -> None:
    variables = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT))
    assert float(variables["RIGFUSE_DRAIN_S"]) == Settings.model_fields["drain_s"].default
    assert float(variables["API_STOP_GRACE"].removesuffix("s")) > float(variables["RIGFUSE_DRAIN_S"])
