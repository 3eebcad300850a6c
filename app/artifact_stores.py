"""Which artifact store a deployment has."""

from urllib.parse import urlsplit

from app.artifacts import Artifacts, ArtifactStore
from app.artifacts_s3 import S3Artifacts
from app.settings import Settings


def open_artifacts(settings: Settings) -> Artifacts:
    """The store that the settings name; raises MisconfiguredService where they name none."""
    if urlsplit(settings.artifacts_url).scheme == "s3":
        return S3Artifacts(settings)
    return ArtifactStore(settings.artifacts_url)
