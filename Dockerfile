# clipwarden's image: `docker build .` for CPUs, `docker build --target gpu .` for NVIDIA's.
# docs/kubernetes.md, "In a container", says how to run it, and how to build one that is the same to the bit.

# What a release pins: "sha256:...", as `docker buildx imagetools inspect IMAGE` shows it. Nothing is
# pinned here, since base images get their security fixes by being built anew under the same tag.
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim-trixie
ARG PYTHON_DIGEST=
ARG CUDA_IMAGE=docker.io/nvidia/cuda:13.0.2-cudnn-runtime-ubuntu24.04
ARG CUDA_DIGEST=

# The wheel, once for all targets. Its Python is not theirs: it holds no compiled code.
FROM ${PYTHON_IMAGE}${PYTHON_DIGEST:+@}${PYTHON_DIGEST} AS wheel
# The time of every file in the wheel and in our layers. BuildKit hands on what the environment has.
ARG SOURCE_DATE_EPOCH=1767225600
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY container ./container
# pip's own configuration, for those who have an index or a proxy of their own: --secret id=pip,src=pip.conf
RUN --mount=type=secret,id=pip,target=/etc/pip.conf sh container/backend.sh
COPY pyproject.toml README.md LICENSE ./
COPY policies ./policies
COPY export ./export
COPY service ./service
RUN /build/backend/bin/python -m hatchling build --target wheel --directory /wheel

# What the CPU target copies: clipwarden in an environment of its own, without pip.
FROM ${PYTHON_IMAGE}${PYTHON_DIGEST:+@}${PYTHON_DIGEST} AS cpu-files
ARG SOURCE_DATE_EPOCH=1767225600
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY --from=wheel /wheel /wheel
COPY container ./container
RUN --mount=type=secret,id=pip,target=/etc/pip.conf sh container/install.sh cpu

# Unproven: linted, and built on a stand-in without CUDA, where it refuses to start; never run on a GPU by us.
FROM ${CUDA_IMAGE}${CUDA_DIGEST:+@}${CUDA_DIGEST} AS gpu-base
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/ldconfig/* /var/log/*
# What the driver compiles for a GPU that no package was built for; the home folder, where it would go, is read-only. Less
# than what a pod has in /tmp.
ENV CUDA_CACHE_PATH=/tmp/cuda CUDA_CACHE_MAXSIZE=33554432

FROM gpu-base AS gpu-files
ARG SOURCE_DATE_EPOCH=1767225600
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-pip python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY --from=wheel /wheel /wheel
COPY container ./container
RUN --mount=type=secret,id=pip,target=/etc/pip.conf sh container/install.sh gpu

# From here on the targets say the same, but for their files and their base.
FROM gpu-base AS gpu
# Nothing is installed in an image that runs; the base's pip is no use but to others.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/site-packages/pip* /usr/local/lib/python3.*/ensurepip \
      /usr/bin/pip* /usr/lib/python3/dist-packages/pip* /usr/lib/python3.*/ensurepip /usr/share/python-wheels
COPY --from=gpu-files /opt/clipwarden /opt/clipwarden
COPY --from=gpu-files /etc/clipwarden /etc/clipwarden
COPY --from=gpu-files --chown=65532:65532 /var/cache/clipwarden /var/cache/clipwarden
ENV PATH=/opt/clipwarden/bin:$PATH \
    CLIPWARDEN_CONFIG=/etc/clipwarden/container.yaml \
    XDG_CACHE_HOME=/var/cache \
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
    PYTHONDONTWRITEBYTECODE=1
EXPOSE 50051 8081 9464
USER 65532:65532
WORKDIR /
ENTRYPOINT ["clipwarden"]
CMD ["serve"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m --retries=3 CMD ["clipwarden", "health", "--timeout", "4"]
ARG VERSION=0.1.0
ARG REVISION=
ARG SOURCE=
ARG CUDA_IMAGE
ARG CUDA_DIGEST
LABEL org.opencontainers.image.title="clipwarden" \
      org.opencontainers.image.description="Self-hosted image moderation that can be audited, on NVIDIA GPUs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}-gpu" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${CUDA_IMAGE}" \
      org.opencontainers.image.base.digest="${CUDA_DIGEST}"

# The last target is the one that is built where none is named.
FROM ${PYTHON_IMAGE}${PYTHON_DIGEST:+@}${PYTHON_DIGEST} AS cpu
# Nothing is installed in an image that runs; the base's pip is no use but to others.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/site-packages/pip* /usr/local/lib/python3.*/ensurepip \
      /usr/bin/pip* /usr/lib/python3/dist-packages/pip* /usr/lib/python3.*/ensurepip /usr/share/python-wheels
COPY --from=cpu-files /opt/clipwarden /opt/clipwarden
COPY --from=cpu-files /etc/clipwarden /etc/clipwarden
COPY --from=cpu-files --chown=65532:65532 /var/cache/clipwarden /var/cache/clipwarden
# Settings stand in a file and not in variables, which would win over the files of whoever runs it. XDG_CACHE_HOME makes
# /var/cache/clipwarden the folder of `vector_cache: auto`; the base's home folder cannot be written.
ENV PATH=/opt/clipwarden/bin:$PATH \
    CLIPWARDEN_CONFIG=/etc/clipwarden/container.yaml \
    XDG_CACHE_HOME=/var/cache \
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
    PYTHONDONTWRITEBYTECODE=1
EXPOSE 50051 8081 9464
# A number, so that Kubernetes can see that it is not root's.
USER 65532:65532
WORKDIR /
ENTRYPOINT ["clipwarden"]
CMD ["serve"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m --retries=3 CMD ["clipwarden", "health", "--timeout", "4"]
ARG VERSION=0.1.0
ARG REVISION=
ARG SOURCE=
ARG PYTHON_IMAGE
ARG PYTHON_DIGEST
LABEL org.opencontainers.image.title="clipwarden" \
      org.opencontainers.image.description="Self-hosted image moderation that can be audited" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      org.opencontainers.image.base.digest="${PYTHON_DIGEST}"
