"""The project's own promises: versions, constraints, commands, settings and licences that its documents speak of."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import ByteSize

from app.settings import Settings
from models.checkpoint import CODE_VERSION

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
REQUIREMENTS = sorted({*PROJECT["dependencies"], *(line for lines in EXTRAS.values() for line in lines)})


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pins}


# What `make install` leaves out: a GPU's runtime, and a package whose data files alone are read; neither needs more.
NOT_INSTALLED = {"onnxruntime-gpu", "pybullet"}


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_every_dependency_is_bounded_and_pinned_within_its_bounds(requirement: str) -> None:
    parsed = Requirement(requirement)
    assert {specifier.operator for specifier in parsed.specifier} <= {"~=", "=="}
    assert parsed.specifier
    assert constraints()[canonicalize_name(parsed.name)] in parsed.specifier


def test_what_the_dependencies_need_is_pinned_too() -> None:
    pins, waiting, seen = constraints(), [Requirement(line) for line in REQUIREMENTS], NOT_INSTALLED.copy()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or name.startswith(("nvidia-", "cuda-", "triton")):
            continue  # torch pins its own CUDA libraries exactly, and only its CUDA build has them
        seen.add(name)
        assert name in pins, f"{requirement} is not in constraints.txt: make lock"
        needs = (Requirement(line) for line in importlib.metadata.requires(name) or [])
        extras = requirement.extras or {""}
        waiting += [
            r for r in needs if r.marker is None or any(r.marker.evaluate({"extra": extra}) for extra in extras)
        ]


def test_torch_is_pinned_exactly_and_without_a_build() -> None:
    assert EXTRAS["worker"] == ["torch==2.13.0"]
    assert constraints()["torch"] == "2.13.0"


def test_there_is_one_version() -> None:
    assert PROJECT["version"] == CODE_VERSION == importlib.metadata.version("rigfuse")


def test_the_commands_of_the_documents_are_in_the_makefile() -> None:
    documents = [README, *(path.read_text() for path in (ROOT / "docs").glob("*.md"))]
    named = {target for text in documents for target in re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE)}
    assert {"demo", "test", "install", "lint", "bench"} <= named <= make_targets()


def test_continuous_integration_runs_the_readme_s_test_command() -> None:
    script = ROOT / ".ci/run"
    assert re.search(r"^make test$", script.read_text(), re.MULTILINE)
    assert script.stat().st_mode & 0o111


def test_the_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_settings_table_is_complete_and_says_the_defaults() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    table = dict(re.findall(r"^\| `RIGFUSE_(\w+)` \| ([^|]+) \|", text, re.MULTILINE))
    assert set(table) == {name.upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        told, default = table[name.upper()].split("`")[1::2], field.default
        if isinstance(default, ByteSize):
            assert told[0] == default.human_readable(separator="").replace(".0", "")
        elif isinstance(default, (str, int, float, Path)) and str(default):
            assert told[0] == str(default).removesuffix(".0")


def test_the_import_contracts_hold() -> None:
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"Contracts: [3-9] kept, 0 broken", done.stdout)


def test_importing_the_api_does_not_bring_torch_in() -> None:
    program = "import sys, app.main, app.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_licences_travel_with_the_package() -> None:
    assert (ROOT / "LICENSE").read_text().lstrip().startswith("Apache License")
    notice = " ".join((ROOT / "NOTICE").read_text().split())
    for words in ("MoveNet SinglePose Thunder (version 4), Copyright Google LLC", "Vladimir Mandic", "MIT License"):
        assert words in notice
    weights = [
        f"models/weights/{path.name}"
        for path in (ROOT / "models/weights").iterdir()
        if path.suffix in {".onnx", ".safetensors"}
    ]
    assert len(weights) >= 3
    for file in (*weights, "app/demo/data/demo_clip.npz"):
        assert file in notice
        assert (ROOT / file).is_file()
