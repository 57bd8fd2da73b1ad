"""The machine under it and what it was configured with."""

import resource
import shutil

import psutil
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from controlplane.doctor.findings import Finding, fail, ok, warn
from inference.contract.environment import KNOWN_SECRETS, SHORTEST_SECRET

GIB = 1024**3
FAIL_DISK, WARN_DISK = GIB, 5 * GIB
FAIL_MEMORY, WARN_MEMORY = GIB // 2, 2 * GIB
FEWEST_FILES = 4096  # each streaming request holds two
MOST_DRIFT = 2.0  # seconds; limits and tokens compare times across processes


def disk() -> Finding:
    free = shutil.disk_usage(settings.HOME if settings.HOME.exists() else settings.BASE_DIR).free
    what = f"{free / GIB:.1f} GiB free"
    if free < FAIL_DISK:
        return fail("disk", what, f"free some on the file system of {settings.HOME}: a full disk stops the register")
    if free < WARN_DISK:
        return warn("disk", what, "an engine environment takes 4 GiB")
    return ok("disk", what)


def memory() -> Finding:
    available = psutil.virtual_memory().available
    what = f"{available / GIB:.1f} GiB available"
    if available < FAIL_MEMORY:
        return fail("memory", what, "stop something: the kernel will kill engines first")
    if available < WARN_MEMORY:
        return warn("memory", what, "the default engine takes 2.8 GiB")
    return ok("memory", what)


def open_files() -> Finding:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FEWEST_FILES:
        return warn("open files", f"at most {soft} a process", f"raise it: ulimit -n {FEWEST_FILES * 16}")
    return ok("open files", "unlimited" if soft == resource.RLIM_INFINITY else f"at most {soft} a process")


def clock() -> Finding:
    """Ours against PostgreSQL's, as far as the question takes less than the drift that matters."""
    try:
        with connection.cursor() as cursor:
            asked = timezone.now()
            cursor.execute("SELECT clock_timestamp()")
            theirs = cursor.fetchone()[0]
            answered = timezone.now()
    except DatabaseError:
        return fail("clock", "unknown", "needs PostgreSQL")
    drift = max((asked - theirs).total_seconds(), (theirs - answered).total_seconds(), 0.0)
    if drift > MOST_DRIFT:
        return fail("clock", f"{drift:.1f} s away from PostgreSQL's", "let both machines follow a time server (NTP)")
    return ok("clock", "agrees with PostgreSQL's")


def secret_key() -> Finding:
    """The boot refuses a bad one; this one may have come in another way."""
    key = settings.SECRET_KEY
    if len(key) < SHORTEST_SECRET or any(word in key.lower() for word in KNOWN_SECRETS):
        return fail("secret key", "too short or well known", f"set SECRET_KEY to {SHORTEST_SECRET} random characters")
    return ok("secret key", "long and of your own")
