"""Models and workloads: what can be planned, and uploading more."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from engine.errors import InvalidInputError
from webapp.core.permissions import PLANNING_CREATE, PLANNING_VIEW
from webapp.dashboard.forms import ModelUploadForm, WorkloadUploadForm
from webapp.dashboard.pages import get_actor, page, render_page
from webapp.dashboard.uploads import read_json_object, read_text
from webapp.planning import selectors, services


@page(PLANNING_VIEW)
def show_catalogue(request: HttpRequest) -> HttpResponse:
    """Show every model and workload."""
    return _render(request, ModelUploadForm(prefix="model"), WorkloadUploadForm(prefix="workload"))


def _render(
    request: HttpRequest, model_form: ModelUploadForm, workload_form: WorkloadUploadForm, status: int = 200
) -> HttpResponse:
    context = {
        "models": selectors.list_models(),
        "workloads": selectors.list_workloads(),
        "model_form": model_form,
        "workload_form": workload_form,
    }
    return render_page(request, "planning/catalogue.html", context, section="catalogue", status=status)


@require_POST
@page(PLANNING_CREATE)
def upload_model(request: HttpRequest) -> HttpResponse:
    """Store a model from its config.json."""
    form = ModelUploadForm(request.POST, request.FILES, prefix="model")
    if not form.is_valid():
        return _render(request, form, WorkloadUploadForm(prefix="workload"), status=422)
    values = form.cleaned_data
    try:
        config = read_json_object(values["file"])
        model = services.upload_model(
            actor=get_actor(request), slug=values["slug"], name=values["name"], config=config, now=timezone.now()
        )
    except InvalidInputError as error:
        form.add_refusal(error)
        return _render(request, form, WorkloadUploadForm(prefix="workload"), status=422)
    messages.success(request, f"Model {model.slug} can be planned now.")
    return redirect("dashboard:catalogue")


@require_POST
@page(PLANNING_CREATE)
def upload_workload(request: HttpRequest) -> HttpResponse:
    """Store a workload from a trace."""
    form = WorkloadUploadForm(request.POST, request.FILES, prefix="workload")
    if not form.is_valid():
        return _render(request, ModelUploadForm(prefix="model"), form, status=422)
    values = form.cleaned_data
    try:
        workload = services.upload_trace(
            actor=get_actor(request),
            slug=values["slug"],
            name=values["name"],
            csv_text=read_text(values["file"]),
            num_classes=values["num_classes"],
            now=timezone.now(),
        )
    except InvalidInputError as error:
        form.add_refusal(error)
        return _render(request, ModelUploadForm(prefix="model"), form, status=422)
    messages.success(request, f"Workload {workload.slug}: {workload.source}.")
    return redirect("dashboard:catalogue")
