# One image runs every step: `docker build --target cpu -t REGISTRY/yt8m:0.2.0 .`, with `--target gpu` for CUDA.
#
# A tag can move. To build on the same base every time, pin its digest:
#   docker buildx imagetools inspect python:3.11-slim-trixie     # prints "Digest: sha256:..."
#   docker build --build-arg BASE=python:3.11-slim-trixie@sha256:... --target cpu .
ARG BASE=python:3.11-slim-trixie

FROM ${BASE} AS build
WORKDIR /src
# pyfarmhash, which TFDV needs, has no wheel. Zig's compiler is one.
COPY requirements-bootstrap.lock ./
RUN python -m venv /opt/tools \
    && /opt/tools/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements-bootstrap.lock \
    && python -m venv --without-pip /opt/yt8m
ENV CC="/opt/tools/bin/python -m ziglang c++" \
    CXX="/opt/tools/bin/python -m ziglang c++" \
    PATH=/opt/tools/bin:$PATH \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    VIRTUAL_ENV=/opt/yt8m

FROM build AS cpu-dependencies
COPY requirements.lock ./
RUN uv pip sync --require-hashes --build-constraint requirements.lock requirements.lock

FROM build AS gpu-dependencies
COPY requirements-gpu.lock ./
RUN uv pip sync --require-hashes --build-constraint requirements-gpu.lock requirements-gpu.lock

# In a prefix of its own, so that a change of our code leaves the dependencies' layer as it is.
FROM build AS project
COPY . ./
RUN uv pip install --no-deps --build-constraint requirements.lock --prefix /opt/project .

FROM ${BASE} AS runtime
ARG BASE
ARG REVISION=unknown
LABEL org.opencontainers.image.title="yt8m-pipeline" \
    org.opencontainers.image.description="Video classification on YouTube-8M: TFX components with Keras 3 models" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.base.name="${BASE}"
# The root file system may be read-only: caches of libraries go to HOME, and bytecode is compiled above.
# USER is a name for any uid: libraries need one, and /etc/passwd may have none.
ENV HOME=/tmp \
    PATH=/opt/yt8m/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    TFX_ANALYTICS=0 \
    USER=yt8m
WORKDIR /tmp
# By number, so that Kubernetes can check that it isn't root.
USER 1000:1000
# No entry point: Kubeflow Pipelines sets the command of every step.
CMD ["yt8m", "--help"]

# TensorFlow finds CUDA's libraries beside itself, in wheels; the driver comes from the node.
FROM runtime AS gpu
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=gpu-dependencies /opt/yt8m /opt/yt8m
COPY --from=project /opt/project /opt/yt8m

FROM runtime AS cpu
COPY --from=cpu-dependencies /opt/yt8m /opt/yt8m
COPY --from=project /opt/project /opt/yt8m
