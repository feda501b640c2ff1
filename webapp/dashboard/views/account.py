"""The own account: API tokens and the password."""

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from webapp.core import services, tokens
from webapp.dashboard.forms import NameForm
from webapp.dashboard.pages import get_actor, page, render_page, run_action


@page(None)
def show_account(request: HttpRequest) -> HttpResponse:
    """Show the own tokens and the password form."""
    return _render(request)


def _render(
    request: HttpRequest,
    *,
    token_form: NameForm | None = None,
    password_form: PasswordChangeForm | None = None,
    plaintext: str = "",
    status: int = 200,
) -> HttpResponse:
    actor = get_actor(request)
    context = {
        "tokens": tokens.list_tokens(user=actor),
        "token_form": token_form or NameForm(),
        "password_form": password_form or _make_password_form(request),
        "plaintext": plaintext,
    }
    response = render_page(request, "account/account.html", context, section="account", status=status)
    if plaintext:
        response.headers["Cache-Control"] = "no-store"  # the token is shown once
    return response


def _make_password_form(request: HttpRequest, data: object = None) -> PasswordChangeForm:
    form = PasswordChangeForm(get_actor(request), data)
    for field in form.fields.values():
        field.widget.attrs["class"] = "input"
        field.widget.attrs.pop("autofocus", None)
    form.fields["new_password1"].help_text = "At least 12 characters."
    form.fields["new_password2"].help_text = ""
    return form


@require_POST
@page(None)
def create_token(request: HttpRequest) -> HttpResponse:
    """Make a token of the own account and show it once."""
    form = NameForm(request.POST)
    if not form.is_valid():
        return _render(request, token_form=form, status=422)
    actor = get_actor(request)
    _, plaintext = tokens.create_token(actor=actor, user=actor, name=form.cleaned_data["name"], now=timezone.now())
    return _render(request, plaintext=plaintext)


@require_POST
@page(None)
def revoke_token(request: HttpRequest, token_id: int) -> HttpResponse:
    """Switch one of the own tokens off for good."""
    actor = get_actor(request)
    return run_action(
        request,
        lambda: tokens.revoke_own_token(actor=actor, token_id=token_id, now=timezone.now()),
        done="The token is revoked.",
        back=reverse("dashboard:account"),
    )


@require_POST
@page(None)
def change_password(request: HttpRequest) -> HttpResponse:
    """Change the own password; other sessions of the account end."""
    form = _make_password_form(request, request.POST)
    if not form.is_valid():
        return _render(request, password_form=form, status=422)
    actor = get_actor(request)
    password = form.cleaned_data["new_password1"]
    user = services.set_password(actor=actor, username=actor.username, password=password, now=timezone.now())
    update_session_auth_hash(request, user)
    messages.success(request, "The password is changed; other sessions of this account are signed out.")
    return redirect("dashboard:account")
