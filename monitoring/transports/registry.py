"""Which transport a kind of channel has."""

from controlplane.alerting.addresses import ChannelKind
from monitoring.transports.base import Transport
from monitoring.transports.dingtalk import DingTalk
from monitoring.transports.webhook import Webhook
from monitoring.transports.wecom import WeCom

TRANSPORTS: dict[str, Transport] = {
    ChannelKind.DINGTALK: DingTalk(),
    ChannelKind.WECOM: WeCom(),
    ChannelKind.WEBHOOK: Webhook(),
}
