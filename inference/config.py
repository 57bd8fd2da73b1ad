"""The gateway's configuration: read once at start, then frozen."""

from dataclasses import dataclass

from inference.contract import environment as env

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every setting of the gateway; `from_env` names the variable of each."""

    database_url: str
    """libpq URI of the register's database"""
    redis_url: str
    """where the control plane publishes the gateway's tables"""
    secret_key: str
    """the pepper of API keys is derived from it; the same value as the console's"""
    bind: str = "127.0.0.1"
    """address of both ports"""
    port: int = 8080
    """where clients call"""
    metrics_port: int = 9108
    """``/metrics``, ``/healthz`` and ``/readyz`` for the operator, away from the clients' port"""
    workers: int = 2
    """processes that share the port"""
    all_workers: int = 0
    """gateway processes on all machines, for what limits do without Redis; 0: this machine's are all there are"""
    drain_seconds: int = 600
    """how long open streams may go on after SIGTERM"""
    body_bytes: int = 4 * MIB
    """largest request body; longer ones get 413"""
    header_bytes: int = 16 * 1024
    """largest request head; longer ones get 431"""
    header_seconds: float = 10.0
    """a client must have sent its whole request head by then"""
    body_seconds: float = 60.0
    """a client must have sent its whole request body by then"""
    keepalive_seconds: int = 75
    """how long an idle client connection is kept; longer than common load balancers keep theirs"""
    stall_seconds: float = 120.0
    """a client that reads nothing for so long is cut off, so that it cannot hold an engine's slot"""
    connect_seconds: float = 2.0
    """time to open a connection to an engine"""
    first_byte_seconds: float = 600.0
    """time until an engine's first byte; a plain answer's first byte comes after the whole generation"""
    chunk_seconds: float = 120.0
    """longest silence inside an engine's answer"""
    total_seconds: float = 600.0
    """the whole of a request at engines; with Redis away, limits of concurrency wait so long for what was begun"""
    poll_seconds: float = 2.0
    """how often an engine at work is asked for its metrics"""
    hung_seconds: float = 5.0
    """an engine with work that makes no step and sends no byte for so long hangs"""
    idle_seconds: float = 4.0
    """how long an idle engine connection is reused; vLLM closes its side after 5 seconds"""
    register_seconds: float = 0.75
    """a register that commits nothing for so long counts as down"""
    spool_dir: str = ""
    """where records wait while PostgreSQL is away; empty: nowhere, nothing is served then"""
    spool_bytes: int = 256 * MIB
    """what one worker's spool may hold"""
    kept_bytes: int = 256 * 1024
    """of each body that a project keeps; what is longer is cut off there, and marked"""
    trusted_proxies: str = ""
    """comma-separated addresses whose ``x-forwarded-for`` is believed; empty: nobody's"""
    access_log: bool = True
    """one JSON line a request on standard output"""

    @classmethod
    def from_env(cls) -> "Config":
        """Read the environment. Raises `BadEnvironment`, which ends the process with one clear line."""
        return cls(
            database_url=env.required("DATABASE_URL"),
            redis_url=env.required("REDIS_URL"),
            secret_key=env.secret("SECRET_KEY"),
            bind=env.text("SIGNALBOX_BIND", "127.0.0.1"),
            port=env.integer("SIGNALBOX_GATEWAY_PORT", 8080, lowest=1, highest=65_535),
            metrics_port=env.integer("SIGNALBOX_GATEWAY_METRICS_PORT", 9108, lowest=1, highest=65_535),
            workers=env.integer("SIGNALBOX_GATEWAY_WORKERS", 2, lowest=1, highest=256),
            all_workers=env.integer("SIGNALBOX_GATEWAY_ALL_WORKERS", 0, lowest=0, highest=4096),
            drain_seconds=env.integer("SIGNALBOX_GATEWAY_DRAIN_SECONDS", 600, lowest=1, highest=86_400),
            body_bytes=env.integer("SIGNALBOX_GATEWAY_BODY_BYTES", 4 * MIB, lowest=1024, highest=1024 * MIB),
            header_bytes=env.integer("SIGNALBOX_GATEWAY_HEADER_BYTES", 16 * 1024, lowest=1024, highest=MIB),
            header_seconds=env.seconds("SIGNALBOX_GATEWAY_HEADER_SECONDS", 10),
            body_seconds=env.seconds("SIGNALBOX_GATEWAY_BODY_SECONDS", 60),
            keepalive_seconds=env.integer("SIGNALBOX_GATEWAY_KEEPALIVE_SECONDS", 75, lowest=1, highest=3600),
            stall_seconds=env.seconds("SIGNALBOX_GATEWAY_STALL_SECONDS", 120),
            connect_seconds=env.seconds("SIGNALBOX_GATEWAY_CONNECT_SECONDS", 2),
            first_byte_seconds=env.seconds("SIGNALBOX_GATEWAY_FIRST_BYTE_SECONDS", 600),
            chunk_seconds=env.seconds("SIGNALBOX_GATEWAY_CHUNK_SECONDS", 120),
            total_seconds=env.seconds("SIGNALBOX_GATEWAY_TOTAL_SECONDS", 600),
            poll_seconds=env.seconds("SIGNALBOX_GATEWAY_POLL_SECONDS", 2),
            hung_seconds=env.seconds("SIGNALBOX_GATEWAY_HUNG_SECONDS", 5),
            idle_seconds=env.seconds("SIGNALBOX_GATEWAY_IDLE_SECONDS", 4),
            register_seconds=env.seconds("SIGNALBOX_GATEWAY_REGISTER_SECONDS", 0.75),
            spool_dir=_spool_dir(),
            spool_bytes=env.integer(
                "SIGNALBOX_GATEWAY_SPOOL_BYTES", 256 * MIB, lowest=64 * 1024, highest=1024 * 1024 * MIB
            ),
            kept_bytes=env.integer("SIGNALBOX_GATEWAY_KEPT_BYTES", 256 * 1024, lowest=1024, highest=16 * MIB),
            trusted_proxies=env.text("SIGNALBOX_TRUSTED_PROXIES"),
            access_log=env.boolean("SIGNALBOX_GATEWAY_ACCESS_LOG", default=True),
        )


def _spool_dir() -> str:
    """On one machine, which has a `SIGNALBOX_HOME`, there is a disk that stays; elsewhere somebody has to say where."""
    home = env.text("SIGNALBOX_HOME")
    directory = env.text("SIGNALBOX_GATEWAY_SPOOL_DIR", f"{home}/spool" if home else "")
    if not env.boolean("SIGNALBOX_GATEWAY_SPOOL", default=bool(directory)):
        return ""
    if not directory:
        raise env.BadEnvironment(
            "SIGNALBOX_GATEWAY_SPOOL is on: set SIGNALBOX_GATEWAY_SPOOL_DIR to a directory that stays."
        )
    return directory
