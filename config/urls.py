"""Every path of the console process."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from controlplane import health

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("console/", admin.site.urls),
    path("api/v1/", include("controlplane.api.urls")),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("version", health.version),
    path("metrics", health.metrics),
]

handler400 = "controlplane.api.problems.bad_request"
handler403 = "controlplane.api.problems.permission_denied"
handler404 = "controlplane.api.problems.not_found"
handler500 = "controlplane.api.problems.server_error"
