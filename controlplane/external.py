"""Asking an engine that Signalbox does not start what it serves."""

import ssl

import httpx

SECONDS = 5.0


class EngineSilentError(Exception):
    """The engine did not answer as an OpenAI-compatible engine does; the message says how."""


def served_models(url: str, trust: ssl.SSLContext, key: str = "") -> list[str]:
    """The names in ``GET /v1/models`` of the engine at `url` (scheme, host and port). Raises `EngineSilentError`."""
    address = f"{url}/v1/models"
    try:
        # Without a proxy, because the gateway reaches engines without one.
        with httpx.Client(timeout=SECONDS, trust_env=False, verify=trust) as client:
            headers = {"authorization": f"Bearer {key}"} if key else {}
            answer = client.get(address, headers=headers).raise_for_status().json()
        return [str(model["id"]) for model in answer["data"]]
    except httpx.HTTPStatusError as exc:
        raise EngineSilentError(f"{address} answered {exc.response.status_code}") from exc
    except httpx.HTTPError as exc:
        raise EngineSilentError(f"{address} does not answer ({str(exc) or type(exc).__name__})") from exc
    except (ValueError, KeyError, TypeError, httpx.InvalidURL) as exc:
        raise EngineSilentError(f"{address} did not answer with a list of models") from exc
