"""Signing in and out."""

from django import forms
from django.contrib.auth import views as auth_views
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponseBase

from webapp.dashboard.pages import harden


class SignInForm(AuthenticationForm):
    """Django's own checks, in the console's look."""

    username = forms.CharField(
        label="User name",
        max_length=150,
        widget=forms.TextInput(attrs={"class": "input", "autocomplete": "username", "autofocus": True}),
    )
    password = forms.CharField(
        label="Password",
        strip=False,
        widget=forms.PasswordInput(attrs={"class": "input", "autocomplete": "current-password"}),
    )


class SignInView(auth_views.LoginView):
    """The sign-in page."""

    template_name = "dashboard/login.html"
    form_class = SignInForm
    redirect_authenticated_user = True

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        """Answer with the head that allows no foreign request."""
        return harden(super().dispatch(request, *args, **kwargs))


class SignOutView(auth_views.LogoutView):
    """Ends the session; back to the sign-in page."""

    next_page = "login"
