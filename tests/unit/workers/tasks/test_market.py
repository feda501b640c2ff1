"""The market's task."""

import pytest

from webapp.market.models import MarketImport, Offer
from workers.tasks import market

pytestmark = pytest.mark.django_db


class TestRefreshLocal:
    """`market.refresh_local`..."""

    def test_observes_this_host(self) -> None:
        market.refresh_local(argument_of_a_newer_sender=1)
        assert Offer.objects.get().provider == "local"

    def test_can_run_again(self) -> None:
        market.refresh_local()
        market.refresh_local()
        assert MarketImport.objects.count() == 1

    def test_is_known_by_name(self) -> None:
        assert market.refresh_local.name == "market.refresh_local"
