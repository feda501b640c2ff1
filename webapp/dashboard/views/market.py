"""The market: current offers with filters, the latest loads, and loading a table."""

from dataclasses import dataclass
from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from engine.errors import InvalidInputError
from webapp.core.numbers import find_number
from webapp.core.permissions import MARKET_MANAGE, MARKET_VIEW
from webapp.dashboard.forms import OfferFilterForm, OfferImportForm
from webapp.dashboard.pages import get_actor, get_live_position, page, render_page
from webapp.dashboard.uploads import read_text
from webapp.market import selectors, services
from webapp.market.selectors import CurrentOffer, OfferCount, OfferFilter, OfferSort

_PAGE_SIZE: Final = 50
_NUM_IMPORTS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferPage:
    """One page of the offers that pass the filters."""

    offers: tuple[CurrentOffer, ...]
    count: OfferCount
    number: int

    @property
    def num_pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-self.count.num_offers // _PAGE_SIZE))

    @property
    def previous(self) -> int:
        """Number of the page before."""
        return self.number - 1

    @property
    def next(self) -> int:
        """Number of the page after."""
        return self.number + 1

    @property
    def first(self) -> int:
        """Place of the first offer shown, from 1."""
        return (self.number - 1) * _PAGE_SIZE + 1

    @property
    def last(self) -> int:
        """Place of the last offer shown."""
        return self.first + len(self.offers) - 1


@page(MARKET_VIEW)
def show_market(request: HttpRequest) -> HttpResponse:
    """Show the current offers that pass the filters of the address."""
    return _render_market(request, OfferImportForm())


def _render_market(request: HttpRequest, import_form: OfferImportForm, status: int = 200) -> HttpResponse:
    position = get_live_position()
    filter_form = _make_filter_form(request.GET)
    filters = _read_filter(filter_form, request.GET)
    context = {
        "filter_form": filter_form,
        "filters": filters,
        "page": _read_page(filters, request.GET.get("page", "1")),
        "imports": selectors.list_imports(limit=_NUM_IMPORTS),
        "import_form": import_form,
        "live_after": position,
    }
    return render_page(request, "market/market.html", context, section="market", status=status)


def _make_filter_form(params: QueryDict) -> OfferFilterForm:
    choices = selectors.list_filter_choices()
    words = {
        "gpu": choices.gpu_names,
        "provider": choices.providers,
        "region": choices.regions,
        "market": choices.markets,
    }
    return OfferFilterForm(params, choices=words)


def _read_filter(form: OfferFilterForm, params: QueryDict) -> OfferFilter:
    """Return the filter that the form holds; a value that cannot be used is shown as an error and left out."""
    form.is_valid()
    values = form.cleaned_data
    sort = params.get("sort", "")
    return OfferFilter(
        gpu_name=values.get("gpu", ""),
        provider=values.get("provider", ""),
        region=values.get("region", ""),
        market=values.get("market", ""),
        max_usd_per_gpu_hour=values.get("max_price"),
        sort=OfferSort(sort) if sort in set(OfferSort) else OfferSort.USD_PER_GPU_HOUR,
        is_descending=params.get("descending") == "1",
    )


def _read_page(filters: OfferFilter, text: str) -> OfferPage:
    count = selectors.count_current_offers(filters=filters)
    last = max(1, -(-count.num_offers // _PAGE_SIZE))
    number = min(find_number(text) or 1, last)
    offset = (number - 1) * _PAGE_SIZE
    offers = selectors.list_current_offers(filters=filters, now=timezone.now(), offset=offset, limit=_PAGE_SIZE)
    return OfferPage(offers=tuple(offers), count=count, number=number)


@require_POST
@page(MARKET_MANAGE)
def import_offers(request: HttpRequest) -> HttpResponse:
    """Load a table of offers."""
    form = OfferImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return _render_market(request, form, status=422)
    try:
        report = services.import_offer_table(
            actor=get_actor(request),
            name=form.cleaned_data["source"],
            csv_text=read_text(form.cleaned_data["file"]),
            now=timezone.now(),
        )
    except InvalidInputError as error:
        form.add_refusal(error)
        return _render_market(request, form, status=422)
    text = f"{report.num_loaded} observations loaded, {report.num_unchanged} unchanged, {len(report.refused)} refused."
    messages.add_message(request, messages.WARNING if report.refused else messages.SUCCESS, text)
    return redirect("dashboard:market")
