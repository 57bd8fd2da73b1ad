"""WeCom's message push (group robot). https://developer.work.weixin.qq.com/document/path/99110"""

import json

from controlplane.alerting.addresses import ChannelKind
from monitoring.transports import outbound, robots
from monitoring.transports.base import Address, Answer, Message

THROTTLED = {45009: 60.0, -1: 10.0}
PERMANENT = frozenset({93000, 93004, 93008, 40001, 40014})
"""the URL leads to no robot any more"""
REFUSED = frozenset({40008, 40058, 44004})


class WeCom:
    """Markdown of at most 4096 bytes."""

    most_bytes = 4_000
    most_alerts = 500

    def notify(self, address: Address, message: Message) -> Answer:
        body = {"msgtype": "markdown", "markdown": {"content": message.text}}
        raw = json.dumps(body, ensure_ascii=False).encode()
        response = outbound.post(ChannelKind.WECOM, address.url, raw, {"content-type": "application/json"})
        return robots.taken(response, throttled=THROTTLED, permanent=PERMANENT, refused=REFUSED)
