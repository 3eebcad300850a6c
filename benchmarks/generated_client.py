"""A client that a generator makes of /openapi.json does the whole job: register, upload, adapt, poses.

``python -m benchmarks.generated_client`` installs openapi-python-client into an environment of its own (it pins other
versions of our libraries), generates without a warning, and runs the client there against ``rigfuse up``.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import httpx

from app.demo.service import running_service
from benchmarks._fault_studio import studios

GENERATOR = "openapi-python-client==0.29.1"
# The bytes of a resumable upload have a content type of their own, of which no generator knows.
CONFIG = {"content_type_overrides": {"application/offset+octet-stream": "application/octet-stream"}}
JOB = """
import io, json, sys, time
from pathlib import Path
from rig_fuse_client import Client
from rig_fuse_client.api.adaptations import get_adaptation, start_adaptation
from rig_fuse_client.api.captures import upload_capture
from rig_fuse_client.api.poses import estimate_poses
from rig_fuse_client.api.rigs import get_rig, list_rigs, register_rig
from rig_fuse_client.api.uploads import create_upload
from rig_fuse_client.models import AdaptationRequest, EstimatePosesBody, Problem, RigIn, UploadCaptureBody
from rig_fuse_client.models.adaptation_request_method import AdaptationRequestMethod
from rig_fuse_client.models.create_upload_tus_resumable import CreateUploadTusResumable
from rig_fuse_client.types import File

url, folder = sys.argv[1], Path(sys.argv[2])
part = lambda name: File(payload=io.BytesIO((folder / name).read_bytes()), file_name=name)
with Client(base_url=url, timeout=120, raise_on_unexpected_status=True) as client:
    rig = register_rig.sync(client=client, body=RigIn.from_dict(json.loads((folder / "rig.json").read_text())))
    assert get_rig.sync(rig.id, client=client) == rig
    assert [listed.id for listed in list_rigs.sync(client=client).items] == [rig.id]
    refused = get_rig.sync("rig_0", client=client)
    assert isinstance(refused, Problem) and refused.code == "rig_not_found", refused
    body = UploadCaptureBody(labels=part("labels.json"), heatmaps=part("heatmaps.npz"))
    capture = upload_capture.sync(rig.id, client=client, body=body)
    assert capture.frames == 10, capture
    asked = AdaptationRequest(capture=capture.id, method=AdaptationRequestMethod.EPIPOLAR)
    job = start_adaptation.sync(rig.id, client=client, body=asked, idempotency_key="generated")
    while job.state in {"queued", "running"}:
        time.sleep(0.2)
        job = get_adaptation.sync(job.id, client=client)
    assert job.state == "succeeded", job
    take = EstimatePosesBody(heatmaps=part("take.npz"))
    poses = estimate_poses.sync(rig.id, client=client, body=take, checkpoint="none")
    assert [frame.frame for frame in poses.frames] == ["000000", "000001"], poses
    version = CreateUploadTusResumable.VALUE_0
    upload = create_upload.sync(client=client, tus_resumable=version, upload_length=5)
    assert upload.length == 5, upload
    print(f"{rig.id} → {capture.id} → {job.id} ({job.state}) → {len(poses.frames)} frames of poses")
"""


def main() -> None:
    """Generate, and run the job with what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="folder for the generated client, instead of a temporary one")
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        python = _environment(folder / "venv")
        _write_files(folder)
        with running_service(folder / "data") as url:
            (folder / "openapi.json").write_bytes(httpx.get(f"{url}/openapi.json").raise_for_status().content)
            client = asked.keep or folder / "client"
            _generate(python, folder, client)
            command = [str(python), "-c", JOB, url, str(folder)]
            subprocess.run(command, check=True, cwd=client)  # noqa: S603 - the environment made above
    print(f"The generated client did the whole job; {time.monotonic() - began:.0f} s in all.")


def _environment(place: Path) -> Path:
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", GENERATOR]
    subprocess.run(command, check=True)  # noqa: S603
    return python


def _generate(python: Path, folder: Path, client: Path) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIG | {"post_hooks": []}))
    command = [
        str(python.with_name("openapi-python-client")), "generate", "--path", str(folder / "openapi.json"),
        "--config", str(folder / "config.json"), "--output-path", str(client), "--overwrite", "--fail-on-warning",
    ]  # fmt: skip
    subprocess.run(command, check=True)  # noqa: S603


def _write_files(folder: Path) -> None:
    (studio,) = studios(0, 1)
    (folder / "rig.json").write_text(json.dumps(studio.rig_document))
    (folder / "labels.json").write_bytes(studio.capture["labels"][1])
    (folder / "heatmaps.npz").write_bytes(studio.capture["heatmaps"][1])
    (folder / "take.npz").write_bytes(studio.takes[0]["heatmaps"][1])


if __name__ == "__main__":
    sys.exit(main())
