"""Settings of every console process; what differs between installations is an environment variable."""

from pathlib import Path

from webapp.settings import env

CHECKOUT = Path(__file__).resolve().parents[2]
MEDLEY_HOME = env.read_path("MEDLEY_HOME", CHECKOUT / ".medley")

SECRET_KEY = env.read_secret("MEDLEY_SECRET_KEY", file=MEDLEY_HOME / "secret-key")
DEBUG = env.read_bool("MEDLEY_DEBUG", default=False)
ALLOWED_HOSTS = env.read_list("MEDLEY_ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.read_list("MEDLEY_TRUSTED_ORIGINS", [])

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "django_htmx",
    "rules",
    "ninja",
    "webapp.core",
    "webapp.market",
    "webapp.planning",
    "webapp.approvals",
    "webapp.deployments",
    "webapp.telemetry",
    "webapp.dashboard",
    "webapp.api",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "webapp.urls"
ASGI_APPLICATION = "webapp.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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
DATABASES = {"default": env.read_database("DATABASE_URL", sqlite_file=MEDLEY_HOME / "db.sqlite3")}
UNFOLD = {"SITE_TITLE": "Medley admin", "SITE_HEADER": "Medley admin", "SITE_URL": "/"}  # the admin's look

AUTH_USER_MODEL = "core.User"
AUTHENTICATION_BACKENDS = ["rules.permissions.ObjectPermissionBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}}
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "dashboard:home"
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 * 1024 * 1024  # bytes; a trace of a day comes in one body

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = MEDLEY_HOME / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "webapp.dashboard.finders.PlotlyFinder",
]
CSRF_FAILURE_VIEW = "webapp.dashboard.views.errors.show_csrf_failure"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

# Celery: read by workers/celery_app.py and by webapp/core/queue.py, which sends by task name.
MEDLEY_BROKER_URL = env.read_str("MEDLEY_BROKER_URL", "filesystem://")
MEDLEY_BROKER_DIR = MEDLEY_HOME / "broker"

# Where the console, the gateway and their tokens are found by the other processes.
MEDLEY_WEB_URL = env.read_str("MEDLEY_WEB_URL", "http://127.0.0.1:8400")
MEDLEY_GATEWAY_URL = env.read_str("MEDLEY_GATEWAY_URL", "http://127.0.0.1:8401")
MEDLEY_GATEWAY_TOKEN = env.read_secret("MEDLEY_GATEWAY_TOKEN", file=MEDLEY_HOME / "gateway-token")

# The `local` provider: slots of this host. The price is what one slot is worth to its owner.
MEDLEY_LOCAL_USD_PER_SLOT_HOUR = env.read_positive_float("MEDLEY_LOCAL_USD_PER_SLOT_HOUR", 0.02)
MEDLEY_VLLM_PYTHON = env.read_path("MEDLEY_VLLM_PYTHON", CHECKOUT / ".venv-vllm" / "bin" / "python")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "httpx": {"level": "WARNING"},  # a line per request to an agent says nothing
        "kombu.connection": {"level": "ERROR"},  # warns that the embedded broker has no host name
    },
}
