"""Machines that engines run on, as their workers last saw them."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from controlplane.access.asking import standing_in
from controlplane.access.lookups import access
from controlplane.admin.base import ConsoleAdmin, may
from controlplane.badges import badge
from controlplane.models import Node, Replica
from controlplane.models.nodes import NodeState
from controlplane.roles import Permission


def node_state(node: Node) -> SafeString:
    state = node.state_at(timezone.now())
    return badge("ready" if state == NodeState.READY else "unhealthy", state.label)


def memory_of(node: Node) -> str:
    """Available and in all."""
    return f"{filesizeformat(node.memory_available_bytes)} / {filesizeformat(node.memory_bytes)}"


def gpu_line(gpu: dict[str, Any]) -> str:
    """``NVIDIA H100 80GB HBM3: 71.2 GB / 79.6 GB, 98 %, 63 °C``; what is not told is left out."""
    total, used = gpu.get("memory_bytes"), gpu.get("memory_used_bytes")
    told = (
        f"{filesizeformat(used)} / {filesizeformat(total)}" if total is not None and used is not None else "",
        f"{gpu['utilisation']} %" if gpu.get("utilisation") is not None else "",
        f"{gpu['temperature']} °C" if gpu.get("temperature") is not None else "",
    )
    return f"{gpu.get('name', '')}: {', '.join(filter(None, told)) or '–'}"


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        del request, model_admin
        return list(NodeState.choices)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        del request
        return queryset.in_state(self.value(), timezone.now()) if self.value() in NodeState.values else queryset


@admin.register(Node)
class NodeAdmin(ConsoleAdmin):
    read_permission = Permission.NODE_READ
    list_display = (
        "name", "shown_state", "shown_cpu", "shown_memory", "shown_gpus", "shown_replicas", "last_seen_at",
    )  # fmt: skip
    list_filter = (StateFilter,)
    search_fields = ("name", "system")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A role on a project shows no machine, so it shows no empty page either."""
        del obj
        return may(request, self.read_permission, None)

    def project_of(self, subject: Any) -> None:
        """Machines are the platform's."""

    @admin.display(description=_("state"))
    def shown_state(self, node: Node) -> SafeString:
        return node_state(node)

    @admin.display(description=_("load / CPU cores"))
    def shown_cpu(self, node: Node) -> SafeString:
        load = "–" if node.load is None else f"{node.load:g}"
        return format_html('<span class="sb-number">{} / {}</span>', load, f"{node.cpu_cores:g}")

    @admin.display(description=_("memory available"))
    def shown_memory(self, node: Node) -> str:
        return memory_of(node)

    @admin.display(description=_("GPUs"))
    def shown_gpus(self, node: Node) -> SafeString:
        return format_html('<span class="sb-number">{}</span>', len(node.gpus))

    @admin.display(description=_("replicas"))
    def shown_replicas(self, node: Node) -> SafeString:
        return format_html('<span class="sb-number">{}</span>', len(node.replicas))

    def facts(self, subject: Node) -> list[tuple[Any, Any]]:
        return [
            (_("state"), node_state(subject)),
            (_("last seen"), subject.last_seen_at),
            (_("backend"), subject.get_backend_display()),
            (_("system"), subject.system),
            (_("load / CPU cores"), self.shown_cpu(subject)),
            (_("memory available"), memory_of(subject)),
            (_("GPUs"), _lines((gpu_line(gpu),) for gpu in subject.gpus)),
            (_("versions"), ", ".join(f"{name} {version}" for name, version in sorted(subject.versions.items()))),
            (_("message"), subject.message),
        ]

    def detail_context(self, request: HttpRequest, subject: Node) -> dict[str, Any]:
        """The replicas on it, as far as the person may see them."""
        seen = access(Replica, standing_in(request)).filter(name__in=subject.replicas).order_by("name")
        links = [(reverse("admin:controlplane_deployment_change", args=[it.deployment_id]), it.name) for it in seen]
        shown = format_html_join(", ", '<a href="{}">{}</a>', links)
        number = ngettext("%(number)d replica", "%(number)d replicas", len(subject.replicas))
        heading = number % {"number": len(subject.replicas)}
        return {"facts": [*self.facts(subject), (heading, shown)]}


def _lines(rows: Any) -> SafeString:
    return format_html_join("", "<div>{}</div>", rows)
