# The image of mcwatch. docs/INSTALL.md says how to build it, run it and pin what it is built on.
#
# Any base with Python 3.11 or newer, its venv module and CA certificates will do: the slim images of Python, or a
# Debian made with debootstrap (python3, python3-venv, ca-certificates). The tag below moves with security fixes; a
# build that must be the same tomorrow names a digest: --build-arg BASE_IMAGE=python:3.13-slim-bookworm@sha256:…
ARG BASE_IMAGE=python:3.13-slim-bookworm


FROM ${BASE_IMAGE} AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# VERSION is a label below, and the code knows its own: a build that names another one fails.
ARG VERSION=
COPY mcwatch/__init__.py .
RUN python3 -c 'import sys, runpy; known = runpy.run_path("__init__.py")["__version__"]; \
        sys.exit(sys.argv[1] not in ("", known) and f"VERSION is {sys.argv[1]}, the code is {known}")' "${VERSION}" \
    && rm __init__.py

# The dependencies before the code: this layer is built again only when a lock file or the version has changed. What is
# optional elsewhere (PostgreSQL, Kafka) is in the image: nothing can be installed into it later. Wheels only, so that a
# platform for which there is none fails here and not for want of a compiler. A pip configuration (a mirror, a
# certificate, a password) comes in as the secret pip_conf and leaves no trace in any layer.
COPY requirements/build.txt requirements/extras.txt requirements/
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /tools \
    && python3 -m venv --without-pip /opt/mcwatch \
    && /tools/bin/pip install --quiet --require-hashes --only-binary :all: -r requirements/build.txt \
    && /tools/bin/pip --python /opt/mcwatch/bin/python3 install --quiet --no-compile --require-hashes \
        --only-binary :all: -r requirements/extras.txt

COPY pyproject.toml README.md LICENSE ./
COPY mcwatch mcwatch
RUN /tools/bin/pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir /dist . \
    && /tools/bin/pip --python /opt/mcwatch/bin/python3 install --quiet --no-compile --no-index --no-deps /dist/*.whl \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/mcwatch/lib


FROM ${BASE_IMAGE}

# Nothing can be compiled later, on a read-only file system, and each health check is a process of its own. pip and what
# could bring it back go, because nothing is to be installed here.
RUN python3 -m compileall -q -x '/(ensurepip|idlelib|lib2to3|site-packages|test|tests|tkinter|turtledemo)/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip \
        /usr/lib/python3*/ensurepip /usr/lib/python3/dist-packages/pip* /usr/share/python-wheels \
    && groupadd --gid 10001 mcwatch \
    && useradd --no-log-init --uid 10001 --gid 10001 --home-dir /var/lib/mcwatch --no-create-home \
        --shell /usr/sbin/nologin mcwatch \
    && install --directory --mode 0755 /etc/mcwatch \
    && install --directory --mode 0700 --owner 10001 --group 10001 /var/lib/mcwatch

COPY --from=build /opt/mcwatch /opt/mcwatch

# MCWATCH_CONFIG is for commands run beside the daemon: `docker exec mcwatch mcwatch status`. SQLite sorts in files when
# a query is large; TMPDIR and the working directory leave it no place but the volume.
ENV PATH=/opt/mcwatch/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LANG=C.UTF-8 \
    TMPDIR=/var/lib/mcwatch \
    MCWATCH_CONFIG=/etc/mcwatch/mcwatch.yaml

ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="mcwatch" \
    org.opencontainers.image.description="Watches the mail flow of Mimecast accounts and feeds it to a SIEM." \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"

WORKDIR /var/lib/mcwatch
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
VOLUME /var/lib/mcwatch
EXPOSE 9640
# Whether it lives, not whether Mimecast or a SIEM does: a restart would mend neither.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["mcwatch", "health", "-c", "/etc/mcwatch/mcwatch.yaml"]
ENTRYPOINT ["mcwatch"]
CMD ["run", "-c", "/etc/mcwatch/mcwatch.yaml"]
