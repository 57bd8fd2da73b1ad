"""Django's settings: one page. What each SIGNALBOX_* variable means stands in docs/configuration.md."""

import logging
from datetime import timedelta
from pathlib import Path

from django.templatetags.static import static
from django.urls import reverse, reverse_lazy

from audit.watch import Rule
from config import env
from config.databases import celery_broker, django_database

BASE_DIR = env.ROOT
HOME = env.home()

SECRET_KEY = env.secret("SECRET_KEY")  # sessions, API keys and engine keys hang on it
MASTER_KEY = env.key("SIGNALBOX_MASTER_KEY")  # secrets at rest are sealed under it
MASTER_KEY_PREVIOUS = env.optional_key("SIGNALBOX_MASTER_KEY_PREVIOUS")  # opens, but does not seal: while keys rotate
JWT_KEY = env.key("SIGNALBOX_JWT_KEY")  # the seed of the Ed25519 key that signs access tokens
JWT_KEY_PREVIOUS = env.optional_key("SIGNALBOX_JWT_KEY_PREVIOUS")  # verifies, but does not sign
SEAL_KEY = env.key(
    "SIGNALBOX_SEAL_KEY"
)  # the seed of the Ed25519 key that signs checkpoints and exports of the register
DEBUG = False
# Plain HTTP is for one machine (`make up`); everywhere else cookies are Secure and HTTP is redirected.
PLAIN_HTTP = env.boolean("SIGNALBOX_PLAIN_HTTP", default=False)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "config.console.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "audit",
    "controlplane",
    "monitoring",
    "workers",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "controlplane.response_headers.response_headers_middleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "controlplane.middleware.request_id_middleware",
    "controlplane.middleware.last_seen_middleware",
    "controlplane.middleware.one_time_password_middleware",
    "controlplane.middleware.refusals_middleware",
    "controlplane.middleware.scope_middleware",
    "controlplane.middleware.suspension_middleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Data: PostgreSQL and Redis, always.
DATABASE_URL = env.required("DATABASE_URL")
DATABASES = {"default": django_database(DATABASE_URL) | {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}}
if (DATABASE_OWNER_URL := env.text("DATABASE_OWNER_URL") or DATABASE_URL) != DATABASE_URL:
    DATABASES["owner"] = django_database(DATABASE_OWNER_URL)  # migrations and partitions, nothing else
    DATABASES["default"]["TEST"] = {"MIRROR": "owner"}
REDIS_URL = env.required("REDIS_URL")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# People, and what they may see.
REGISTER_REACH = "controlplane.access.register.register_reach"
REGISTER_WATCH = "controlplane.guard.watch"
REGISTER_EXPORT = "controlplane.access.register.may_export"
# What is abnormal, as most/minutes; "off" does not watch. docs/configuration.md has the reasons.
GUARD = {
    Rule.EXPORTS: env.threshold("SIGNALBOX_GUARD_EXPORTS", "30/60"),
    Rule.ROWS_EXPORTED: env.threshold("SIGNALBOX_GUARD_ROWS_EXPORTED", "50000000/1440"),
    Rule.DELETIONS: env.threshold("SIGNALBOX_GUARD_DELETIONS", "100/10"),
    Rule.KEYS_REVOKED: env.threshold("SIGNALBOX_GUARD_KEYS_REVOKED", "200/10"),
    Rule.BODY_READS: env.threshold("SIGNALBOX_GUARD_BODY_READS", "200/60"),
    Rule.REFUSALS: env.threshold("SIGNALBOX_GUARD_REFUSALS", "1000/5"),
}
GUARD_SUSPENSION = timedelta(minutes=env.integer("SIGNALBOX_GUARD_SUSPENSION_MINUTES", 30, lowest=1))

AUTH_USER_MODEL = "controlplane.User"
AUTHENTICATION_BACKENDS = ["controlplane.passwords.PasswordBackend"]
# The first one hashes; a hash of another one, or of weaker parameters, is renewed at the next sign-in.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")
SESSION_ENGINE = "controlplane.sessions"
SESSION_COOKIE_AGE = 12 * 3600
# Two instances on one host share its cookie jar, whatever their ports: the names keep them apart. With __Host- in front
# browsers take them from this very host only, never from a neighbour below the same domain.
COOKIES = f"{'' if PLAIN_HTTP else '__Host-'}signalbox_%s_{env.integer('SIGNALBOX_CONSOLE_PORT', 8000)}"
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = COOKIES % "session", COOKIES % "csrf"

# Transport, as the deployment checklist asks.
SECURE_SSL_REDIRECT = not PLAIN_HTTP
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]  # probes and scrapers ask the process itself
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not PLAIN_HTTP
SECURE_HSTS_SECONDS = 0 if PLAIN_HTTP else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not PLAIN_HTTP
# Whose X-Forwarded-For and -Proto are believed; the address counts failed attempts and stands in the register.
TRUSTED_PROXIES = env.words("SIGNALBOX_TRUSTED_PROXIES")
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.boolean("SIGNALBOX_BEHIND_PROXY", default=False) else None
)
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576

# Languages and files.
LANGUAGE_CODE = "en"
LANGUAGE_COOKIE_SECURE, LANGUAGE_COOKIE_HTTPONLY, LANGUAGE_COOKIE_SAMESITE = not PLAIN_HTTP, True, "Lax"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["config.formats"]
USE_TZ = True
TIME_ZONE = env.text("TZ", "UTC") or "UTC"
STATIC_URL = "/static/"
# WhiteNoise serves the files where they lie: nothing to collect before the first page.
WHITENOISE_USE_FINDERS = True
STATICFILES_DIRS = [BASE_DIR / "config" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# The management API.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "controlplane.api.authentication.BearerAuthentication",
        "controlplane.api.authentication.ConsoleSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["controlplane.api.permissions.Permitted"],
    "DEFAULT_THROTTLE_CLASSES": ["controlplane.api.throttling.Rate"],
    "DEFAULT_PAGINATION_CLASS": "controlplane.api.pagination.CursorPages",
    "DEFAULT_FILTER_BACKENDS": ["controlplane.api.filters.QueryFilters"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["controlplane.api.parsers.StrictJSONParser"],
    "DEFAULT_METADATA_CLASS": None,
    "URL_FORMAT_OVERRIDE": None,
    "EXCEPTION_HANDLER": "controlplane.api.problems.handle",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
API_REQUESTS_PER_MINUTE = env.integer("SIGNALBOX_API_REQUESTS_PER_MINUTE", 12_000, lowest=1)
API_STRANGERS_PER_MINUTE = env.integer("SIGNALBOX_API_STRANGERS_PER_MINUTE", 1_200, lowest=1)
SPECTACULAR_SETTINGS = {
    "TITLE": "Signalbox management API",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "controlplane.api.schema.complete"],
    "ENUM_NAME_OVERRIDES": {
        "AlertState": "controlplane.lifecycle.AlertState",
        "ChannelKind": "controlplane.alerting.addresses.ChannelKind",
        "DeliveryState": "controlplane.models.alerts.DeliveryState",
        "DeploymentState": "controlplane.lifecycle.DeploymentState",
        "ReplicaState": "controlplane.lifecycle.ReplicaState",
        "VersionState": "controlplane.lifecycle.VersionState",
        "Role": "controlplane.roles.Role",
        "EventKind": "audit.models.Event.Kind",
        "Severity": "controlplane.alerting.metrics.Severity",
    },
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
}

# Celery: a convenience, not a clock. JSON only.
CELERY_BROKER_URL = celery_broker(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = CELERY_EVENT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}

# Alerts. Robots are reached at their vendor's host alone, webhooks at public addresses or at the hosts named here.
ROBOT_HOSTS = {
    "dingtalk": env.words("SIGNALBOX_DINGTALK_HOSTS", "oapi.dingtalk.com"),
    "wecom": env.words("SIGNALBOX_WECOM_HOSTS", "qyapi.weixin.qq.com"),
}
WEBHOOK_HOSTS = env.words("SIGNALBOX_WEBHOOK_HOSTS")
# Whose /metrics are scraped beside the engines', and how long samples are kept.
SCRAPE_GATEWAYS = env.words(
    "SIGNALBOX_SCRAPE_GATEWAYS", f"http://127.0.0.1:{env.integer('SIGNALBOX_GATEWAY_METRICS_PORT', 9108)}/metrics"
)
SCRAPE_GPUS = env.words("SIGNALBOX_SCRAPE_GPUS")
BODIES_DAYS = env.integer("SIGNALBOX_BODIES_DAYS", 90, lowest=1)
SAMPLES_DAYS = env.integer("SIGNALBOX_SAMPLES_DAYS", 15, lowest=1)

# This machine.
CONSOLE_URL = env.text("SIGNALBOX_URL", f"http://127.0.0.1:{env.integer('SIGNALBOX_CONSOLE_PORT', 8000)}")
GATEWAY_URL = env.text("SIGNALBOX_GATEWAY_URL", f"http://127.0.0.1:{env.integer('SIGNALBOX_GATEWAY_PORT', 8080)}")
ENGINES_DIR = Path(env.text("SIGNALBOX_ENGINES_DIR") or HOME / "engines")
MODELS_DIR = Path(env.text("SIGNALBOX_MODELS_DIR") or HOME / "models")
REPLICAS_DIR = HOME / "replicas"
CHECKPOINTS_FILE = Path(env.text("SIGNALBOX_CHECKPOINTS_FILE") or HOME / "checkpoints" / "register.jsonl")
EXPORTS_DIR = Path(env.text("SIGNALBOX_EXPORTS_DIR") or HOME / "exports")
# Months of the register go after so many days, once they stand in the archive; without an archive none goes.
RETENTION_DAYS = env.integer("SIGNALBOX_RETENTION_DAYS", 180, lowest=180)
ARCHIVE_DIR = Path(env.text("SIGNALBOX_ARCHIVE_DIR")) if env.text("SIGNALBOX_ARCHIVE_DIR") else None
EXPORTS_KEPT_HOURS = env.integer("SIGNALBOX_EXPORTS_KEPT_HOURS", 72, lowest=1)

# Kubernetes: engines as pods. KUBECONFIG as usual; without it a pod's own service account.
KUBECONFIG = env.text("KUBECONFIG")
KUBERNETES_CONTEXT = env.text("SIGNALBOX_KUBERNETES_CONTEXT")
KUBERNETES_NAMESPACE = env.text("SIGNALBOX_KUBERNETES_NAMESPACE") or "signalbox"
KUBERNETES_IMAGE = env.text("SIGNALBOX_KUBERNETES_IMAGE") or "vllm/vllm-openai:v0.32.0"
# Who may call the engines: pods with these labels (of that namespace; empty: the engines' own) and these networks.
KUBERNETES_CALLERS = env.words("SIGNALBOX_KUBERNETES_CALLERS", "app.kubernetes.io/part-of=signalbox")
KUBERNETES_CALLERS_NAMESPACE = env.text("SIGNALBOX_KUBERNETES_CALLERS_NAMESPACE")
KUBERNETES_CALLERS_NETWORKS = env.words("SIGNALBOX_KUBERNETES_CALLERS_NETWORKS")


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = None
    return True


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"without_traceback": {"()": "django.utils.log.CallbackFilter", "callback": _without_traceback}},
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.text("SIGNALBOX_LOG_LEVEL", "INFO").upper()},
    # Every two seconds a pass: only what goes wrong in one is worth a line.
    "loggers": {
        **{name: {"level": "WARNING"} for name in ("httpx", "celery.worker.strategy", "celery.app.trace")},
        # Anybody can send a wrong Host: a line says which, and its traceback nothing.
        "django.security.DisallowedHost": {"filters": ["without_traceback"]},
    },
}

UNFOLD = {
    "SITE_TITLE": "Signalbox",
    "SITE_HEADER": "Signalbox",
    "SITE_URL": None,
    "SITE_ICON": lambda request: static("signalbox/icon.svg"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("signalbox/icon.svg")}],
    "STYLES": [lambda request: reverse("admin:theme"), lambda request: static("signalbox/console.css")],
    "SCRIPTS": [
        lambda request: static("signalbox/console.js"),
        lambda request: static("signalbox/live.js"),
    ],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": "controlplane.site.navigation"},
    "DASHBOARD_CALLBACK": "controlplane.views.overview.show",
    # Signal blue, so that green, amber and red are left to the states.
    "COLORS": {
        "primary": {
            "50": "oklch(97% .014 254)",
            "100": "oklch(93.2% .032 255)",
            "200": "oklch(88.2% .059 254)",
            "300": "oklch(80.9% .105 252)",
            "400": "oklch(70.7% .165 254)",
            "500": "oklch(64% .19 258)",
            "600": "oklch(52% .19 259)",
            "700": "oklch(46% .18 260)",
            "800": "oklch(40% .15 261)",
            "900": "oklch(35% .12 262)",
            "950": "oklch(27% .08 264)",
        }
    },
}
