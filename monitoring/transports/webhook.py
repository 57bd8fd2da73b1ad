"""A generic webhook: the body of Alertmanager's version 4, signed with HMAC-SHA256 when the channel has a secret.

``X-Signalbox-Signature: t=<seconds>,v1=<hex of HMAC(secret, "<seconds>.<body>")>``
https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

import hashlib
import hmac
import json
import time
from typing import Any

from django.conf import settings

from controlplane.alerting.addresses import ChannelKind
from monitoring.transports import outbound
from monitoring.transports.base import ANSWER_KEPT, Address, Answer, Message, TransportError
from monitoring.transports.outbound import BUSY


class Webhook:
    """Whatever takes Alertmanager's webhooks."""

    most_bytes = 200_000
    most_alerts = 500

    def notify(self, address: Address, message: Message) -> Answer:
        raw = json.dumps(body_of(message), ensure_ascii=False).encode()
        headers = {"content-type": "application/json", "user-agent": "signalbox"}
        if address.secret:
            headers["x-signalbox-signature"] = signature(raw, address.secret, round(time.time()))
        response = outbound.post(ChannelKind.WEBHOOK, address.url, raw, headers)
        text = response.body.decode("utf-8", "replace")[:ANSWER_KEPT]
        if 200 <= response.status_code < 300:
            return Answer(response.status_code, text)
        raise TransportError(
            f"answered {response.status_code}: {text}", status_code=response.status_code,
            permanent=response.status_code in {401, 403, 404, 410} or 300 <= response.status_code < 400,
            refused=400 <= response.status_code < 500 and response.status_code not in BUSY,
            retry_after=response.retry_after,
        )  # fmt: skip


def signature(body: bytes, secret: str, timestamp: int) -> str:
    """What the receiver compares; the time keeps an old message from being sent again."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def body_of(message: Message) -> dict[str, Any]:
    """Alertmanager's version 4."""
    labels = [alert["labels"] for alert in message.alerts]
    common = dict(set.intersection(*(set(it.items()) for it in labels))) if labels else {}
    name = common.get("alertname", "")
    return {
        "version": "4", "groupKey": f'{{}}:{{alertname="{name}"}}', "truncatedAlerts": 0,
        "status": "firing" if message.firing else "resolved", "receiver": "signalbox",
        "groupLabels": {"alertname": name} if name else {}, "commonLabels": common,
        "commonAnnotations": {}, "externalURL": settings.CONSOLE_URL, "alerts": message.alerts,
    }  # fmt: skip
