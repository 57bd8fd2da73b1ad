"""Waiting until things answer, and telling what they are at meanwhile."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx

from config import env
from config.up.instance import Instance
from config.up.progress import Report, UpError

FINAL = {"failed"}  # states of a deployment that waiting does not mend
ON_PURPOSE = {"", "stopped"}  # somebody deleted it or scaled it to nothing


def wait_for_url(url: str, *, what: str, log: Path, seconds: float, alive: Callable[[], None]) -> None:
    """Return once `url` answers 200. Raises `UpError` with the end of the log after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        alive()
        try:
            if httpx.get(url, timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        if time.monotonic() > deadline:
            raise UpError(f"{what} does not answer at {url}. Its log {log} ends with: {last_line(log)}")
        time.sleep(0.1)


def last_line(log: Path) -> str:
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return "(there is no log)"
    return lines[-1].strip()[:300] if lines else "(it is empty)"


def wait_for_deployment(instance: Instance, report: Report, *, seconds: float, alive: Callable[[], None]) -> None:
    """Return once the default model's deployment is ready. Raises `UpError` with its reason when it cannot be."""
    credentials = env.read_env_file(instance.credentials)
    name = credentials["SIGNALBOX_MODEL"]
    client = httpx.Client(
        base_url=instance.console_url, timeout=5, trust_env=False,
        headers={"Authorization": f"Bearer {credentials['SIGNALBOX_ADMIN_TOKEN']}"},
    )  # fmt: skip
    deadline = time.monotonic() + seconds
    with client:
        while time.monotonic() < deadline:
            alive()
            state, message = _deployment_state(client, name)
            if state in ON_PURPOSE or (state == "ready" and _answers(instance, credentials)):
                return
            if state in FINAL:
                raise UpError(f"the engine cannot start: {message}")
            report(f"engine {state}: {message}" if message else f"engine {state}")
            time.sleep(0.5)
    raise UpError(
        f"the engine was not ready after {seconds:.0f} s: {message or state}. Its log is in {instance.replicas}."
    )


def _answers(instance: Instance, credentials: dict[str, str]) -> bool:
    """One real token through the gateway: "ready" alone may be the last run's, until the worker has looked."""
    body = {"model": credentials["SIGNALBOX_MODEL"], "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"Authorization": f"Bearer {credentials['SIGNALBOX_API_KEY']}"}
    url = f"{instance.gateway_url}/v1/chat/completions"
    try:
        status = httpx.post(url, json=body, headers=headers, timeout=60, trust_env=False).status_code
    except httpx.HTTPError:
        return False
    return status < 500 and status != 404  # a key or limit that somebody changed is not for us to judge


def _deployment_state(client: httpx.Client, name: str) -> tuple[str, str]:
    try:
        answer = client.get("/api/v1/deployments", params={"name": name})
        answer.raise_for_status()
    except httpx.HTTPError as exc:
        return "unknown", str(exc)
    rows = answer.json()["results"]
    status = rows[0]["status"] if rows else {"state": "", "message": ""}
    return status["state"], status["message"]
