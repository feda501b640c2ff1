"""Sentences of a plan."""

import pytest

from engine.domain.offer import Market
from engine.domain.plan import BindingRow, Objective, PlannedMachine
from engine.planners.rental.wording import describe_row, list_assumptions
from tests.support.rental_requests import define_offer, define_request


def define_row(name: str, *, step: float, gain: float, unit: str = "sets/s per unit") -> BindingRow:
    return BindingRow(row=name, slack=0.0, shadow_price=0.1, unit=unit, step=step, gain=gain)


def rent(*offer_ids: str) -> list[PlannedMachine]:
    return [
        PlannedMachine(id=f"m{index}", offer_id=offer_id, usd_per_hour=1.0) for index, offer_id in enumerate(offer_ids)
    ]


class TestDescribeRow:
    @pytest.mark.parametrize(
        ("row", "objective", "value", "unit", "text"),
        [
            (
                define_row("budget", step=1.5, gain=0.25, unit="sets/s per USD/h"),
                Objective.MAX_RATE,
                5.0,
                "requests/s per USD/h",
                "1.50 USD/h more budget would carry 0.25 requests/s more (+5.0 %)",
            ),
            (
                define_row("availability:p:r:h100-1x:spot", step=1, gain=2.0),
                Objective.MAX_RATE,
                8.0,
                "requests/s per machine",
                "1 more machine of p:r:h100-1x:spot would carry 2 requests/s more (+25.0 %)",
            ),
            (
                define_row("availability:p:r:h100-1x:spot", step=2, gain=0.75, unit="USD/h per unit"),
                Objective.MIN_COST,
                10.0,
                "USD/h per machine",
                "2 more machines of p:r:h100-1x:spot would save 0.75 USD/h (-7.5 %)",
            ),
        ],
    )
    def test_says_what_a_step_would_bring(
        self, row: BindingRow, objective: Objective, value: float, unit: str, text: str
    ) -> None:
        described = describe_row(row, objective=objective, value=value)
        assert (described.unit, described.text) == (unit, text)
        assert (described.row, described.step, described.gain) == (row.row, row.step, row.gain)


class TestListAssumptions:
    SAID = define_offer("H100", 1, 3.0)
    UNSAID = define_offer("A40", 1, 0.5, available_count=None)
    SPOT = define_offer("A40", 1, 0.3, market=Market.SPOT)

    def test_counts_offers_that_hide_their_stock(self) -> None:
        request = define_request(offers=(self.SAID, self.UNSAID), default_available_count=5)
        assert list_assumptions(request, rent(self.SAID.id, self.UNSAID.id, self.UNSAID.id)) == (
            "1 of 2 rented offers does not say how many machines can be had: 5 are assumed",
        )

    def test_names_the_cap_where_spot_is_rented(self) -> None:
        request = define_request(offers=(self.SAID, self.SPOT), spot_max_share=0.25)
        assert list_assumptions(request, rent(self.SPOT.id)) == ("spot machines serve at most 25 % of every class",)

    def test_is_empty_where_all_is_known(self) -> None:
        request = define_request(offers=(self.SAID, self.UNSAID, self.SPOT))
        assert list_assumptions(request, rent(self.SAID.id)) == ()
        open_request = define_request(offers=(self.SPOT,), spot_max_share=1.0)
        assert list_assumptions(open_request, rent(self.SPOT.id)) == ()
