"""The presets as Prometheus's rules, and a dashboard for Grafana, for those who have their own. Pure."""

import json
from typing import Any

from django.utils.translation import override

from controlplane.alerting.metrics import METRICS
from controlplane.alerting.presets import PRESETS, Preset

HEAD = "# Drawn from controlplane/alerting/presets.py by `manage.py draw_prometheus`; do not edit by hand.\n"


def rules() -> str:
    """The file of alerting rules. Left out are presets whose figures only Signalbox's own tables have."""
    with override("en"):
        drawn = [_rule(preset) for preset in PRESETS if preset.promql]
    return HEAD + "groups:\n  - name: signalbox\n    rules:\n" + "\n".join(drawn)


def _rule(preset: Preset) -> str:
    name = "Signalbox" + "".join(word.capitalize() for word in preset.slug.split("-"))
    unit = METRICS[preset.metric].unit.replace("%", "%%")
    expression = f"{preset.promql} {preset.comparison} {preset.threshold:g}"
    if preset.min_requests:
        expression += f" and {preset.requests} >= {preset.min_requests}"
    description = '{{ $value | printf "%.3g' + unit + '" }}'
    fields = [
        f"      - alert: {name}",
        f"        expr: {json.dumps(expression)}",
        f"        for: {preset.for_seconds}s",
        f"        keep_firing_for: {preset.keep_firing_seconds}s",
        "        labels:",
        f"          severity: {preset.severity}",
        "        annotations:",
        f"          summary: {json.dumps(str(preset.name))}",
        f"          description: {json.dumps(description + ' ' + str(preset.advice))}",
    ]
    return "\n".join(fields) + "\n"


_QUANTILE = "histogram_quantile({q}, sum by (le, deployment) (rate({name}_bucket[$__rate_interval])))"
_PANELS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("Time to first token", "s", tuple(
        (f"p{q * 100:.0f} {{{{deployment}}}}", _QUANTILE.format(q=q, name="vllm:time_to_first_token_seconds"))
        for q in (0.5, 0.99)
    )),
    ("End-to-end latency, p99", "s", (
        ("{{deployment}}", _QUANTILE.format(q=0.99, name="vllm:e2e_request_latency_seconds")),
    )),
    ("Generated tokens", "short", (
        ("{{deployment}}", "sum by (deployment) (rate(vllm:generation_tokens_total[$__rate_interval]))"),
    )),
    ("Requests in the engines' queues", "short", (
        ("{{deployment}}", "sum by (deployment) (vllm:num_requests_waiting)"),
    )),
    ("KV cache in use", "percentunit", (("{{deployment}} {{instance}}", "vllm:kv_cache_usage_perc"),)),
    ("Requests by status", "reqps", (
        ("{{model}} {{status}}",
         "sum by (model, status) (rate(signalbox_gateway_requests_total[$__rate_interval]))"),
    )),
    ("Replicas", "short", (("{{state}}", "signalbox_replicas"),)),
    ("Open alerts", "short", (("{{severity}} {{state}}", "signalbox_alerts"),)),
)  # fmt: skip


def dashboard() -> str:
    """A dashboard to import into Grafana."""
    source = {"type": "prometheus", "uid": "${datasource}"}
    panels = [
        {
            "id": place + 1, "type": "timeseries", "title": title, "datasource": source,
            "gridPos": {"h": 8, "w": 12, "x": 12 * (place % 2), "y": 8 * (place // 2)},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "targets": [
                {"refId": chr(65 + number), "expr": expression, "legendFormat": legend, "datasource": source}
                for number, (legend, expression) in enumerate(targets)
            ],
        }
        for place, (title, unit, targets) in enumerate(_PANELS)
    ]  # fmt: skip
    whole: dict[str, Any] = {
        "title": "Signalbox", "uid": "signalbox", "schemaVersion": 39, "tags": ["signalbox"], "editable": True,
        "time": {"from": "now-1h", "to": "now"}, "refresh": "15s", "panels": panels,
        "templating": {"list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
        ]},
    }  # fmt: skip
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
