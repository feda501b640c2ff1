"""Addresses of the console."""

from django.contrib import admin
from django.urls import include, path

from webapp.api.main import api
from webapp.dashboard.views import errors, sign_in

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("login/", sign_in.SignInView.as_view(), name="login"),
    path("logout/", sign_in.SignOutView.as_view(), name="logout"),
    path("", include("webapp.dashboard.urls")),
]

handler400 = errors.show_bad_request
handler403 = errors.show_forbidden
handler404 = errors.show_not_found
handler500 = errors.show_server_error
