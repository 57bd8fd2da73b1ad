"""What the robots of chats share: they answer 200 with an error code in the body, so success is in the body."""

import json
from typing import Any

from monitoring.transports.base import ANSWER_KEPT, Answer, TransportError
from monitoring.transports.outbound import BUSY, Response


def taken(
    response: Response, *, throttled: dict[int, float], permanent: frozenset[int], refused: frozenset[int]
) -> Answer:
    """The answer if ``errcode`` is 0. Raises `TransportError` as the vendor's codes say.

    `throttled` maps a code to the seconds for which the robot is not to be asked.
    """
    text = response.body.decode("utf-8", "replace")[:ANSWER_KEPT]
    code = _code(response.body)
    if response.status_code == 200 and code == 0:
        return Answer(200, text)
    problem = f"answered {response.status_code}: {text}"
    if code in throttled or response.status_code in BUSY:
        wait = response.retry_after or throttled.get(code or 0, 60.0)
        raise TransportError(problem, retry_after=wait, status_code=response.status_code)
    raise TransportError(
        problem, permanent=code in permanent or response.status_code in {401, 403, 404, 410}, refused=code in refused,
        status_code=response.status_code,
    )  # fmt: skip


def _code(body: bytes) -> int | None:
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    code = answer.get("errcode") if isinstance(answer, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) else None
