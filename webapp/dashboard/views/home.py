"""Home: what runs, what waits for a decision, how fresh the market is, whether this host can serve."""

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from webapp.core.permissions import DEPLOYMENTS_VIEW
from webapp.dashboard import overview
from webapp.dashboard.pages import get_live_position, page, render_page


@page(DEPLOYMENTS_VIEW)
def show_home(request: HttpRequest) -> HttpResponse:
    """Show the state of everything on one page."""
    position = get_live_position()
    context = {"overview": overview.read_overview(now=timezone.now()), "live_after": position}
    return render_page(request, "home.html", context, section="home")
