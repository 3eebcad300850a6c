# Two images from one file:
#   docker build --target api -t rigfuse-api .        serves HTTP; no torch in it
#   docker build --target worker -t rigfuse-worker .  runs adaptations
# Build arguments:
#   WORKER_EXTRAS=worker,gpu   ONNX Runtime with its CUDA provider (and API_EXTRAS=gpu for the API)
#   PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS   where pip finds other builds of the pinned torch. Plain pip installs the CUDA
#       build on Linux, which also runs on a CPU; PyTorch publishes CPU wheels, a fifth of the size, in an index of its own.

FROM python:3.11-slim-bookworm AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATH=/opt/rigfuse/bin:$PATH
# ONNX Runtime would otherwise report its use to its maker.
ENV ORT_DISABLE_TELEMETRY=1

FROM base AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_PROGRESS_BAR=off \
    PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/rigfuse
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
COPY models ./models
COPY app ./app
COPY worker ./worker
COPY migrations ./migrations

FROM build AS build-api
ARG API_EXTRAS=cpu
ARG PIP_EXTRA_INDEX_URL=""
ARG PIP_FIND_LINKS=""
RUN pip install --quiet --constraint constraints.txt ".[$API_EXTRAS]"

FROM build AS build-worker
ARG WORKER_EXTRAS=worker,cpu
ARG PIP_EXTRA_INDEX_URL=""
ARG PIP_FIND_LINKS=""
RUN pip install --quiet --constraint constraints.txt ".[$WORKER_EXTRAS]"

# What both run in: nobody's root, and nothing written outside /data and /tmp.
FROM base AS runtime
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent rigfuse \
    && install --directory --owner=rigfuse --group=rigfuse /data
ENV RIGFUSE_ENVIRONMENT=production \
    RIGFUSE_DATA_DIR=/data
WORKDIR /data
VOLUME /data
USER 10001:10001

FROM runtime AS worker
COPY --from=build-worker /opt/rigfuse /opt/rigfuse
# A worker listens on nothing; it is well as long as it reaches the database and the broker.
HEALTHCHECK --interval=30s --timeout=20s --start-period=30s \
    CMD ["python", "-c", "from app.settings import Settings; from app.db import Database; from app.queue import JobQueue; s = Settings(); Database(s.database_url).ping(); JobQueue(s.broker_url).ping()"]
CMD ["rigfuse", "worker"]

FROM runtime AS api
COPY --from=build-api /opt/rigfuse /opt/rigfuse
ENV RIGFUSE_HOST=0.0.0.0 \
    RIGFUSE_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=8s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"RIGFUSE_PORT\"]}/readyz', timeout=6)"]
CMD ["rigfuse", "api"]
