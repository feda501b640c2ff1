"""What the market's stock leaves to one deployment: others hold machines of the same offers.

Which machines those are is known to the layer above, so callers there pass the function that counts them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from engine.domain.offer import Offer


class CountTaken(Protocol):
    """Counts what other deployments have of the stock."""

    def __call__(self, *, deployment_name: str) -> Mapping[str, int]:
        """Return offer id -> machines that deployments other than `deployment_name` hold or shall hold."""
        ...


def count_nothing(*, deployment_name: str) -> Mapping[str, int]:  # noqa: ARG001  # the protocol's argument
    """Return that no other deployment has anything: what callers below the deployments know."""
    return {}


def subtract_taken(offers: Iterable[Offer], taken: Mapping[str, int]) -> tuple[Offer, ...]:
    """Return the offers with what others leave of each; an unknown stock stays unknown."""
    return tuple(_subtract(offer, taken.get(offer.id, 0)) for offer in offers)


def _subtract(offer: Offer, num_taken: int) -> Offer:
    if offer.available_count is None or not num_taken:
        return offer
    return replace(offer, available_count=max(0, offer.available_count - num_taken))
