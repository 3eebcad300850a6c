"""``make images``: the two images at work where no container engine runs, for who builds them with buildah, as root.

It builds both from the Dockerfile, and runs API and workers out of them as an engine would: chrooted, the root
read-only, user 10001 without capabilities, /tmp in memory, /data a volume. Around them are a real database and broker,
and clients that go through the main job. Named images (``check_images API WORKER``) are taken as they are.
"""
# ruff: noqa: T201 - a program that says what it found

import json
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._fault_deployment import Deployment
from benchmarks._fault_processes import ROOT
from benchmarks._fault_storm import Plan, stop_worker, storm

USER = 10001
_CONTAINER = """
set -e; root=$1 data=$2; shift 2
mount --bind "$root" "$root"; mount -o remount,bind,ro "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"; mount --bind "$data" "$root/data"
mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"
cd "$root/data"
exec setpriv --no-new-privs --bounding-set=-all,+setuid,+setgid,+sys_chroot \\
    chroot --userspec=10001:10001 --groups=10001 "$root" "$@"
"""
_WRITABLE = "find / -xdev -not -path '/proc/*' -writable -not -type l 2>/dev/null | grep -v -x -e /tmp -e /data; true"


@dataclass(frozen=True)
class Image:
    """An image, mounted."""

    name: str
    root: Path
    config: dict[str, Any]

    @classmethod
    def mount(cls, name: str) -> "Image":
        """A container of it, whose root is never written."""
        container = out("buildah", "from", "--pull-never", f"localhost/{name}")
        told = json.loads(out("buildah", "inspect", container))
        return cls(name, Path(out("buildah", "mount", container)), told["Docker"]["config"])

    def command(self, data: Path, settings: dict[str, str], command: list[str]) -> list[str]:
        """The command line that runs ``command`` in it."""
        environment = [*self.config["Env"], *(f"{key}={value}" for key, value in settings.items())]
        inside = ["/usr/bin/env", "-i", *environment, *command]
        return ["unshare", "--mount", "sh", "-c", _CONTAINER, "sh", str(self.root), str(data), *inside]


class FromImages(Deployment):
    """A deployment whose API and workers come out of images."""

    def __init__(self, folder: Path, api: Image, worker: Image) -> None:
        super().__init__(folder)
        self._images = {"api": api, "worker": worker}

    def command(self, role: str, *arguments: str) -> list[str]:
        """``rigfuse ARGUMENTS`` as the image has it."""
        return self.inside(role, ["rigfuse", *arguments])

    def inside(self, role: str, command: list[str]) -> list[str]:
        """Any command in the image, with the settings of this deployment."""
        settings = {key: value for key, value in self.environment.items() if key.startswith(("RIGFUSE_", "OMP_"))}
        del settings["RIGFUSE_DATA_DIR"], settings["RIGFUSE_ENVIRONMENT"]  # these are the image's own
        return self._images[role].command(self.data_dir, settings, command)


def main(api: str = "rigfuse-api", worker: str = "rigfuse-worker", *, built: bool = False) -> None:
    """Build, run, hurt a little, and say what was found."""
    if not built:
        for target, tag in (("api", api), ("worker", worker)):
            build = ["buildah", "bud", "--isolation=chroot", "--format=docker", "--layers"]
            subprocess.run([*build, f"--target={target}", f"--tag={tag}", "."], cwd=ROOT, check=True)
    images = {"api": Image.mount(api), "worker": Image.mount(worker)}
    with tempfile.TemporaryDirectory(prefix="rigfuse-images-") as folder:
        Path(folder).chmod(0o755)
        deployment = FromImages(Path(folder), **images)
        deployment.data_dir.mkdir()
        subprocess.run(["chown", f"{USER}:{USER}", str(deployment.data_dir)], check=True)
        with deployment:
            found = [fault for role, image in images.items() for fault in look(deployment, role, image)]
            outcome = storm(
                deployment, Plan(seed=7, adaptations=6, pose_requests=80, every_s=3, least_faults=2), [stop_worker]
            )
    orderly = {0, -signal.SIGTERM}  # uvicorn ends by the signal that it was asked to end by
    found += outcome.violations
    found += [f"{name} ended with {status}" for name, status in deployment.exits.items() if status not in orderly]
    print(json.dumps(outcome.counts, indent=1), *found, f"{len(found)} faults found", sep="\n")
    sys.exit(bool(found))


def look(deployment: FromImages, role: str, image: Image) -> list[str]:
    """What is not as it should be in an image."""

    def say(*command: str) -> str:
        return out(*deployment.inside(role, list(command)))

    torch = say("sh", "-c", "python -c 'import torch' 2>/dev/null && echo yes || echo no")
    facts = {
        "user": (say("id", "-u"), str(USER)),
        "torch": (torch, "yes" if role == "worker" else "no"),
        "writable outside /data and /tmp": (say("sh", "-c", _WRITABLE), ""),
        "pip": (say("sh", "-c", "ls /opt/rigfuse/bin | grep -c pip || true"), "0"),
        "capabilities": (say("sh", "-c", "grep CapEff /proc/self/status").split()[-1], "0" * 16),
    }
    health = image.config["Healthcheck"]["Test"]
    well = subprocess.run(deployment.inside(role, health[1:]), check=False, capture_output=True, text=True)
    size = out("du", "-sm", str(image.root)).split()[0]
    print(f"{image.name}: {size} MB, user {image.config['User']}, health {' '.join(health)[:60]} → {well.returncode}")
    wrong = [f"{image.name}: {what} is {was!r}, not {due!r}" for what, (was, due) in facts.items() if was != due]
    return [*wrong, *([f"{image.name} is not well: {well.stdout}{well.stderr}"] if well.returncode else [])]


def out(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(list(command), check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main(*sys.argv[1:], built=len(sys.argv) > 1)
