"""Writing the market: loads of offers, always as new observations."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import OuterRef, Subquery

from engine.domain import offer as engine_offer
from engine.market.local import count_slots, define_local_offer
from engine.market.offer_table import RefusedRow, parse_offer_table
from engine.market.seed import read_seed_table
from webapp.core import audit, events
from webapp.core.models import User
from webapp.market.mapping import usd_to_decimal
from webapp.market.models import MarketImport, Offer, OfferObservation

TOPIC: Final = "market"
SEED_SOURCE: Final = "seed table of the project"
LOCAL_SOURCE: Final = "this host"
# A feed that repeats the same price adds a row this often at most: enough to show that it was seen again.
_REPEAT_AFTER: Final = timedelta(hours=1)
_BATCH: Final = 500  # rows of one INSERT; SQLite bounds the variables of a statement


@transaction.atomic
def load_offers(
    *, source: str, offers: Sequence[engine_offer.Offer], refused: Sequence[RefusedRow], now: datetime
) -> MarketImport:
    """Append the observations of `offers` that say something new; keep why rows were refused.

    An observation is unchanged when it is stored already, or repeats price and stock of the latest one within an hour.
    An offer whose machine is not the one stored under its id is refused: old prices would describe another machine.
    """
    rows = _ensure_rows(offers)
    kept = [offer for offer in offers if _is_same_machine(rows[offer.id], offer)]
    changed = [
        _refuse_changed_machine(rows[offer.id], offer)
        for offer in offers
        if not _is_same_machine(rows[offer.id], offer)
    ]
    fresh = [(rows[offer.id], offer) for offer in kept if _is_news(rows[offer.id].latest, offer)]
    written = _append_observations(fresh)
    num_loaded = len(written)
    report = MarketImport.objects.create(
        source=source,
        started_at=now,
        num_loaded=num_loaded,
        num_unchanged=len(kept) - num_loaded,
        refused=[asdict(row) for row in (*refused, *changed)],
    )
    if num_loaded:
        payload = {"source": source, "num_loaded": num_loaded}
        events.emit(topic=TOPIC, kind="loaded", payload=payload, now=now)
    return report


def _ensure_rows(offers: Sequence[engine_offer.Offer]) -> Mapping[str, Offer]:
    """Return the row of every offer by its id, locked; new ones are made.

    A table may hold several observations of one offer: the newest one says what the row says.
    """
    newest = {offer.id: offer for offer in sorted(offers, key=lambda offer: offer.observed_at)}
    Offer.objects.bulk_create(
        [_new_row(offer) for offer in newest.values()],
        batch_size=_BATCH,
        update_conflicts=True,
        unique_fields=["offer_id"],
        update_fields=["interruption_class"],
    )
    ids = list(newest)
    rows: dict[str, Offer] = {}
    for start in range(0, len(ids), _BATCH):
        batch = Offer.objects.select_for_update(of=("self",)).select_related("latest")
        rows |= {row.offer_id: row for row in batch.filter(offer_id__in=ids[start : start + _BATCH])}
    return rows


def _new_row(offer: engine_offer.Offer) -> Offer:
    return Offer(
        offer_id=offer.id,
        provider=offer.provider,
        region=offer.region,
        zone=offer.zone,
        instance_type=offer.instance_type,
        gpu_name=offer.gpu_name,
        gpu_count=offer.gpu_count,
        market=offer.market,
        interruption_class=offer.interruption_class,
    )


def _is_same_machine(row: Offer, offer: engine_offer.Offer) -> bool:
    return (row.gpu_name, row.gpu_count) == (offer.gpu_name, offer.gpu_count)


def _refuse_changed_machine(row: Offer, offer: engine_offer.Offer) -> RefusedRow:
    return RefusedRow(
        row=0,
        field="gpu",
        message=f"{offer.id} is known with {row.gpu_count} x {row.gpu_name}, not {offer.gpu_count} x {offer.gpu_name};"
        " give the other machine another instance_type",
    )


def _is_news(latest: OfferObservation | None, offer: engine_offer.Offer) -> bool:
    if latest is None:
        return True
    says_the_same = (
        latest.usd_per_hour == usd_to_decimal(offer.usd_per_hour)
        and latest.available_count == offer.available_count
        and latest.source == offer.source
    )
    return not (says_the_same and timedelta(0) <= offer.observed_at - latest.observed_at < _REPEAT_AFTER)


def _append_observations(fresh: Sequence[tuple[Offer, engine_offer.Offer]]) -> list[OfferObservation]:
    known = _list_known(fresh)
    new = [
        _new_observation(row, offer) for row, offer in fresh if (row.pk, offer.observed_at, offer.source) not in known
    ]
    written = OfferObservation.objects.bulk_create(new, batch_size=_BATCH)
    _move_latest(sorted({row.pk for row, _ in fresh}))
    return written


def _list_known(fresh: Sequence[tuple[Offer, engine_offer.Offer]]) -> set[tuple[int, datetime, str]]:
    """Return what identifies the stored observations that `fresh` could repeat."""
    known: set[tuple[int, datetime, str]] = set()
    for start in range(0, len(fresh), _BATCH):
        batch = fresh[start : start + _BATCH]
        instants = [offer.observed_at for _, offer in batch]
        rows = OfferObservation.objects.filter(
            offer__in=[row.pk for row, _ in batch], observed_at__gte=min(instants), observed_at__lte=max(instants)
        )
        known.update(rows.values_list("offer_id", "observed_at", "source"))
    return known


def _new_observation(row: Offer, offer: engine_offer.Offer) -> OfferObservation:
    return OfferObservation(
        offer=row,
        usd_per_hour=usd_to_decimal(offer.usd_per_hour),
        available_count=offer.available_count,
        source=offer.source,
        observed_at=offer.observed_at,
    )


def _move_latest(offer_ids: Sequence[int]) -> None:
    """Point every offer at its newest observation; an older one that arrives late changes nothing."""
    newest = OfferObservation.objects.filter(offer=OuterRef("pk")).order_by("-observed_at", "-pk").values("pk")[:1]
    for start in range(0, len(offer_ids), _BATCH):
        Offer.objects.filter(pk__in=offer_ids[start : start + _BATCH]).update(latest=Subquery(newest))


def load_seed(*, now: datetime) -> MarketImport:
    """Load the project's own table of real offers; a second load changes nothing."""
    table = read_seed_table(now=now)
    return load_offers(source=SEED_SOURCE, offers=table.offers, refused=table.refused, now=now)


@transaction.atomic
def import_offer_table(*, actor: User, name: str, csv_text: str, now: datetime) -> MarketImport:
    """Load a table that a person gave.

    Raises:
        InvalidOfferTableError: the table as a whole cannot be read; nothing is loaded.
    """
    table = parse_offer_table(csv_text.splitlines(), now=now)
    report = load_offers(source=name, offers=table.offers, refused=table.refused, now=now)
    audit.record(
        actor=actor,
        action="market.import",
        object_type="market-import",
        object_id=report.pk,
        now=now,
        detail={"source": name, "num_loaded": report.num_loaded, "num_refused": len(table.refused)},
    )
    return report


def refresh_local_offers(*, now: datetime) -> MarketImport | None:
    """Observe the slots of the host this process runs on; None when nothing new was seen.

    It runs every minute: a report that says nothing would soon hide those that do.
    """
    num_slots = count_slots(num_cpus=len(os.sched_getaffinity(0)), memory_bytes=_read_memory_bytes())
    offer = define_local_offer(num_slots=num_slots, usd_per_slot_hour=settings.MEDLEY_LOCAL_USD_PER_SLOT_HOUR, now=now)
    stored = Offer.objects.select_related("latest").filter(offer_id=offer.id).first()
    if stored is not None and not _is_news(stored.latest, offer):
        return None
    return load_offers(source=LOCAL_SOURCE, offers=(offer,), refused=(), now=now)


def _read_memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
