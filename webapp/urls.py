"""Addresses of the console."""

import importlib.util

from django.contrib import admin
from django.urls import include, path

from webapp.api.main import api

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
]
if importlib.util.find_spec("webapp.dashboard.urls"):
    urlpatterns.append(path("", include("webapp.dashboard.urls")))
