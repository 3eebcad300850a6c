"""Which artifact store a deployment has."""

from urllib.parse import urlsplit

from app.artifacts import Artifacts, ArtifactStore
from app.artifacts_s3 import S3Artifacts
from app.settings import Settings


def open_artifacts(settings: Settings, *, make: bool = True) -> Artifacts:
    """The store that the settings name; raises MisconfiguredService where they name none.

    A local one that is not there is made; who only looks says ``make=False``.
    """
    if urlsplit(settings.artifacts_url).scheme == "s3":
        return S3Artifacts(settings)
    return ArtifactStore(settings.artifacts_url, make=make)
