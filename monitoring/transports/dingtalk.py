"""DingTalk's custom robot. https://open.dingtalk.com/document/robots/custom-robot-access"""

import base64
import hashlib
import hmac
import json
import time
from urllib.parse import quote_plus

from controlplane.alerting.addresses import ChannelKind
from monitoring.transports import outbound, robots
from monitoring.transports.base import Address, Answer, Message

THROTTLED = {130101: 600.0}
"""more than 20 a minute: the robot is blocked for ten minutes"""
PERMANENT = frozenset({310000, 300001, 300005, 400013, 400101, 400102, 400105})
"""signature, keyword or address list do not fit, the token is none, the robot was taken away or switched off"""
REFUSED = frozenset({460101, 43004, 40035})


class DingTalk:
    """Markdown; signed when the robot asks for it."""

    most_bytes = 16_000
    most_alerts = 500

    def notify(self, address: Address, message: Message) -> Answer:
        body = {
            "msgtype": "markdown", "markdown": {"title": message.title, "text": message.text},
            "at": {"isAtAll": False},
        }  # fmt: skip
        raw = json.dumps(body, ensure_ascii=False).encode()
        signed = signature(address.secret, round(time.time() * 1000)) if address.secret else ""
        headers = {"content-type": "application/json; charset=utf-8"}
        response = outbound.post(ChannelKind.DINGTALK, address.url, raw, headers, signed=signed)
        return robots.taken(response, throttled=THROTTLED, permanent=PERMANENT, refused=REFUSED)


def signature(secret: str, timestamp: int) -> str:
    """What is added to the query; `timestamp` in milliseconds, which DingTalk takes for an hour."""
    digest = hmac.new(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256).digest()
    return f"timestamp={timestamp}&sign={quote_plus(base64.b64encode(digest))}"
