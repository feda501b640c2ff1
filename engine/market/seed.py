"""The project's own table of real offers: a market to plan with before any provider was asked."""

from datetime import datetime
from importlib.resources import files

from engine.market.offer_table import OfferTable, parse_offer_table


def read_seed_table(*, now: datetime) -> OfferTable:
    """Return the offers of `data/seed_offers.csv`.

    Args:
        now: instant of the load, UTC.
    """
    text = files("engine.market").joinpath("data", "seed_offers.csv").read_text(encoding="utf-8")
    return parse_offer_table(text.splitlines(), now=now)
