"""From a bare Python to the project's virtual environment, then on to `config.up`. Standard library only.

usage: python3 -m config.bootstrap up | dev

The lock file's hash is written into the environment when all of it is installed: without that mark, or with another
one, the next run installs again, so a download that broke half-way harms nothing.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

OLDEST = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
MARK = os.path.join(VENV, "signalbox-lock")
LOCKS = {"up": "requirements.lock", "dev": "requirements-dev.lock"}


def fail(message):
    """One clear line, exit status 1."""
    sys.exit("signalbox: " + message)


def say(message):
    print(message, flush=True)


def digest(lock):
    """What the environment is made of: the lock and this Python."""
    with open(os.path.join(ROOT, lock), "rb") as file:
        return hashlib.sha256(file.read() + sys.version.encode()).hexdigest()


def installed():
    """The mark of the last complete installation, empty when there is none."""
    try:
        with open(MARK) as file:
            return file.read() if os.path.exists(PYTHON) else ""
    except OSError:
        return ""


def is_current(purpose):
    """The development environment holds all that running needs."""
    return installed() in ([digest(LOCKS["dev"])] if purpose == "dev" else [digest(lock) for lock in LOCKS.values()])


def make_venv():
    """A virtual environment with pip. A half-made one is thrown away first."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        fail(
            "this Python cannot make virtual environments: install your system's python3-venv package, then try again."
        )
    if not os.path.exists(os.path.join(VENV, "bin", "pip")):
        shutil.rmtree(VENV, ignore_errors=True)
        run([sys.executable, "-m", "venv", VENV], "make the virtual environment .venv")


def run(argv, purpose, env=None):
    """Run a step; on failure show its last words in one line and stop."""
    done = subprocess.run(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        words = [line.strip() for line in done.stdout.splitlines() if line.strip() and "WARNING" not in line]
        fail("could not %s: %s. %s" % (purpose, " ".join(words[-2:])[-400:] or "no message", advice(done.stdout)))


def advice(output):
    """What to do about the commonest causes."""
    low = output.lower()
    if "no space left" in low:
        return "Free some disk space, then run the same command again."
    if "hash" in low and "match" in low:
        return "The package index serves another file than the locked one: use the official index or a faithful mirror."
    return "Check the network (or point PIP_INDEX_URL at a mirror you can reach), then run the same command again."


def install(lock):
    """Exactly the locked packages, hash-checked. uv itself comes first, by pip, from the same lock."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as uv_only:
        uv_only.write(uv_requirement(lock))
        uv_only.flush()
        pip = [PYTHON, "-m", "pip", "install", "--quiet", "--retries", "2", "--timeout", "30", "--no-deps"]
        run(pip + ["--require-hashes", "-r", uv_only.name], "download the installer uv")
    from workers.engines.uv import pip_settings_for_uv  # needs OLDEST, so not before that is checked

    env = dict(os.environ, **pip_settings_for_uv())
    uv = os.path.join(VENV, "bin", "uv")
    # Running takes nothing away, so that a developer's tools outlive a `make up`.
    how = ["sync"] if lock == LOCKS["dev"] else ["install", "-r"]
    run([uv, "pip", *how, lock, "--quiet", "--python", PYTHON, "--require-hashes"], "install the packages", env)


def uv_requirement(lock):
    """The lines of the lock that pin uv."""
    with open(os.path.join(ROOT, lock)) as file:
        text = file.read()
    start = text.index("\nuv==") + 1
    lines = text[start:].splitlines()
    end = next((i for i, line in enumerate(lines[1:], 1) if not line.startswith(" ")), len(lines))
    return "\n".join(lines[:end]) + "\n"


def ensure(purpose):
    """The environment, current for `purpose`; says so when it takes time."""
    if is_current(purpose):
        return
    began = time.time()
    lock = LOCKS[purpose]
    say("Python packages: installing those of %s into .venv ..." % lock)
    make_venv()
    if os.path.exists(MARK):
        os.remove(MARK)
    install(lock)
    with open(MARK + ".new", "w") as file:
        file.write(digest(lock))
    os.replace(MARK + ".new", MARK)
    say("Python packages: ready after %.0f s" % (time.time() - began))


def main():
    if sys.version_info < OLDEST:
        fail(
            "Python %d.%d or newer is needed, this is %s. Try: make PYTHON=python3.11 up"
            % (OLDEST + (sys.version.split()[0],))
        )
    purpose = (
        sys.argv[1]
        if len(sys.argv) == 2 and sys.argv[1] in LOCKS
        else fail("usage: python3 -m config.bootstrap up | dev")
    )
    try:
        ensure(purpose)
    except OSError as exc:
        fail("could not write the virtual environment: %s. Free space or mend the rights of %s." % (exc, ROOT))
    except KeyboardInterrupt:
        fail("stopped. Run the same command again to go on.")
    if purpose == "up":
        os.chdir(ROOT)
        os.execv(PYTHON, [PYTHON, "-m", "config.up"])


if __name__ == "__main__":
    main()
