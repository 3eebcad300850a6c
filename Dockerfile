# Two images from one file:
#   docker build --target api -t rigfuse-api .        serves HTTP; no torch in it
#   docker build --target worker -t rigfuse-worker .  runs adaptations
# Build arguments:
#   WORKER_EXTRAS=worker,gpu   ONNX Runtime with its CUDA provider (and API_EXTRAS=gpu for the API)
#   PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS   where pip finds other builds of the pinned torch. Plain pip installs the CUDA
#       build on Linux, which also runs on a CPU; PyTorch publishes CPU wheels, a fifth of the size, in an index of its own.
#   REVISION   the commit, for the image's label and the lineage of checkpoints

FROM python:3.11-slim-bookworm AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATH=/opt/rigfuse/bin:$PATH
# ONNX Runtime would otherwise report its use to its maker.
ENV ORT_DISABLE_TELEMETRY=1

# The environment has no pip of its own: the base's pip fills it, and nothing in the image can change it.
FROM base AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_PROGRESS_BAR=off \
    PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/rigfuse
WORKDIR /src
# What is depended on is installed beside an empty project: a layer that a change of code leaves as it is.
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
RUN mkdir app models worker migrations \
    && touch app/__init__.py models/__init__.py worker/__init__.py migrations/__init__.py

FROM build AS build-api
ARG API_EXTRAS=cpu
ARG PIP_EXTRA_INDEX_URL=""
ARG PIP_FIND_LINKS=""
RUN pip --python /opt/rigfuse/bin/python install --quiet --constraint constraints.txt ".[$API_EXTRAS,s3]" \
    && rm -rf build ./*.egg-info
COPY . .
RUN pip --python /opt/rigfuse/bin/python install --quiet --no-deps --force-reinstall .

FROM build AS build-worker
ARG WORKER_EXTRAS=worker,cpu
ARG PIP_EXTRA_INDEX_URL=""
ARG PIP_FIND_LINKS=""
RUN pip --python /opt/rigfuse/bin/python install --quiet --constraint constraints.txt ".[$WORKER_EXTRAS,s3]" \
    && rm -rf build ./*.egg-info
COPY . .
RUN pip --python /opt/rigfuse/bin/python install --quiet --no-deps --force-reinstall .

# What both run in: nobody's root, and nothing written outside /data and /tmp.
FROM base AS runtime
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent rigfuse \
    && install --directory --owner=rigfuse --group=rigfuse /data
ENV RIGFUSE_ENVIRONMENT=production \
    RIGFUSE_DATA_DIR=/data
WORKDIR /data
VOLUME /data
USER 10001:10001
ARG REVISION=""
ENV RIGFUSE_SOURCE_REVISION="$REVISION"
LABEL org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="$REVISION"

FROM runtime AS worker
LABEL org.opencontainers.image.title="rigfuse-worker" \
      org.opencontainers.image.description="Runs the adaptations of RigFuse"
COPY --from=build-worker /opt/rigfuse /opt/rigfuse
# A worker listens on nothing; it is well as long as it reports itself and reaches database and broker.
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s \
    CMD ["rigfuse", "health", "worker"]
CMD ["rigfuse", "worker"]

FROM runtime AS api
LABEL org.opencontainers.image.title="rigfuse-api" \
      org.opencontainers.image.description="Serves RigFuse over HTTP"
COPY --from=build-api /opt/rigfuse /opt/rigfuse
ENV RIGFUSE_HOST=0.0.0.0 \
    RIGFUSE_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=8s --start-period=30s \
    CMD ["rigfuse", "health", "api"]
CMD ["rigfuse", "api"]
