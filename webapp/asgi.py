"""ASGI entry of the web process: pages and REST, WebSockets, and the relay's life."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings.base")
_django = get_asgi_application()

from webapp.core.lifespan import run_lifespan  # noqa: E402  # models can be imported only after the line above
from webapp.core.routing import websocket_urlpatterns  # noqa: E402  # same reason

application = ProtocolTypeRouter(
    {
        "http": _django,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
        "lifespan": run_lifespan,
    }
)
