"""Tables of offers: each row is checked alone, the rest still loads."""

from datetime import UTC, datetime

import pytest

from engine.domain.offer import Market
from engine.market.offer_table import InvalidOfferTableError, OfferTable, RefusedRow, parse_offer_table

_NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
_HEADER = (
    "provider,region,zone,instance_type,gpu,gpu_count,market,usd_per_hour,available_count,"
    "interruption_class,source,observed_at"
)
_ROW = {
    "provider": "aws",
    "region": "us-east-1",
    "zone": "",
    "instance_type": "p5.48xlarge",
    "gpu": "H100",
    "gpu_count": "8",
    "market": "on_demand",
    "usd_per_hour": "55.04",
    "available_count": "",
    "interruption_class": "",
    "source": "price list",
    "observed_at": "2026-07-20",
}


def _parse(*changes: dict[str, str]) -> OfferTable:
    lines = [",".join((_ROW | change).values()) for change in changes]
    return parse_offer_table([_HEADER, *lines], now=_NOW)


def _refuse(**change: str) -> RefusedRow:
    table = _parse({"instance_type": "good-one"}, change)
    assert [offer.instance_type for offer in table.offers] == ["good-one"]
    [refused] = table.refused
    assert refused.row == 3
    return refused


class TestParseOfferTable:
    """A table of offers..."""

    def test_gives_an_offer_for_a_good_row(self) -> None:
        [offer] = _parse({}).offers
        assert offer.id == "aws:us-east-1:p5.48xlarge:on_demand"
        assert (offer.gpu_name, offer.gpu_count, offer.usd_per_hour) == ("H100", 8, 55.04)
        assert offer.market is Market.ON_DEMAND
        assert offer.available_count is None
        assert offer.interruption_class is None
        assert offer.observed_at == datetime(2026, 7, 20, tzinfo=UTC)

    def test_reads_spot_with_stock_zone_and_interruption_class(self) -> None:
        change = {"market": "spot", "zone": "us-east-1a", "available_count": "3", "interruption_class": "4"}
        [offer] = _parse(change).offers
        assert offer.id == "aws:us-east-1:us-east-1a:p5.48xlarge:spot"
        assert (offer.available_count, offer.interruption_class) == (3, 4)

    @pytest.mark.parametrize("provider", ["local", "ssh", "Local"])
    def test_refuses_the_providers_of_the_consoles_own_machines(self, provider: str) -> None:
        refused = _refuse(provider=provider)
        assert refused.field == "provider"
        assert refused.message == f"provider {provider!r} is kept for the console's own machines; give another name"

    def test_understands_the_names_providers_write(self) -> None:
        [offer] = _parse({"gpu": "NVIDIA A100-SXM4-80GB"}).offers
        assert offer.gpu_name == "A100-80"

    def test_reads_an_instant_with_its_zone_as_utc(self) -> None:
        [offer] = _parse({"observed_at": "2026-07-20T15:44:30+02:00"}).offers
        assert offer.observed_at == datetime(2026, 7, 20, 13, 44, 30, tzinfo=UTC)

    def test_ignores_the_mark_that_spreadsheets_put_first(self) -> None:
        table = parse_offer_table(["\ufeff" + _HEADER, ",".join(_ROW.values())], now=_NOW)
        assert len(table.offers) == 1

    def test_keeps_observations_of_one_offer_at_two_instants(self) -> None:
        assert len(_parse({}, {"observed_at": "2026-07-21"}).offers) == 2

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("usd_per_hour", "0", "usd_per_hour is 0; it must be at least 0.0001 and at most 100000"),
            ("usd_per_hour", "-1", "usd_per_hour is -1; it must be at least 0.0001 and at most 100000"),
            ("usd_per_hour", "1e-7", "usd_per_hour is 1e-7; it must be at least 0.0001 and at most 100000"),
            ("usd_per_hour", "100001", "usd_per_hour is 100001; it must be at least 0.0001 and at most 100000"),
            ("usd_per_hour", "NaN", "usd_per_hour is NaN; it must be at least 0.0001 and at most 100000"),
            ("usd_per_hour", "inf", "usd_per_hour is inf; it must be at least 0.0001 and at most 100000"),
            ("usd_per_hour", "cheap", "usd_per_hour 'cheap' is not a number"),
            ("usd_per_hour", "", "usd_per_hour is empty"),
            ("gpu", "V100", "no accelerator is known as 'V100'"),
            ("gpu", "H100 PCIe", "no accelerator is known as 'H100 PCIe'"),
            ("gpu", "A100", "no accelerator is known as 'A100'"),
            ("gpu_count", "0", "gpu_count is 0; it must be at least 1 and at most 1000000"),
            ("gpu_count", "1000001", "gpu_count is 1000001; it must be at least 1 and at most 1000000"),
            ("gpu_count", "-8", "gpu_count '-8' is not a whole number"),
            ("gpu_count", "8.0", "gpu_count '8.0' is not a whole number"),
            ("gpu_count", "9" * 5000, "gpu_count '999999999999' is not a whole number"),
            ("available_count", "some", "available_count 'some' is not a whole number"),
            ("market", "auction", "market 'auction' is neither on_demand nor spot"),
            ("interruption_class", "1", "only spot offers have an interruption class"),
            ("provider", "a:b", "provider 'a:b' may hold letters, digits, dots, hyphens and underscores only"),
            ("instance_type", "x" * 97, "instance_type has 97 characters; at most 96 are kept"),
            ("source", "", "source is empty"),
            ("observed_at", "2026-11-25", "observed_at 2026-11-25 is in the future"),
            ("observed_at", "last week", "observed_at 'last week' is no ISO date or instant"),
            ("observed_at", "2026-07-20T10:00:00", "observed_at '2026-07-20T10:00:00' names no time zone"),
            ("observed_at", "0001-01-01T00:00:00+14:00", "observed_at 0001-01-01T00:00:00+14:00 is before 2000"),
        ],
    )
    def test_refuses_a_row_and_keeps_the_others(self, field: str, value: str, message: str) -> None:
        refused = _refuse(**{field: value})
        assert (refused.field, refused.message) == (field, message)

    def test_refuses_an_interruption_class_above_the_scale(self) -> None:
        refused = _refuse(market="spot", interruption_class="5")
        assert refused.message == "interruption_class is 5; it must be 0 to 4"

    def test_refuses_a_second_row_of_one_offer_at_one_instant(self) -> None:
        table = _parse({}, {"usd_per_hour": "60"})
        assert [offer.usd_per_hour for offer in table.offers] == [55.04]
        assert table.refused[0].message == "the table already holds aws:us-east-1:p5.48xlarge:on_demand at this instant"

    def test_refuses_a_row_with_more_cells_than_columns(self) -> None:
        table = parse_offer_table([_HEADER, ",".join([*_ROW.values(), "surplus"])], now=_NOW)
        assert [refused.field for refused in table.refused] == ["source"]

    def test_refuses_a_row_that_ends_early(self) -> None:
        table = parse_offer_table([_HEADER, "aws,us-east-1"], now=_NOW)
        assert [refused.message for refused in table.refused] == ["instance_type is empty"]

    def test_counts_lines_of_the_file_when_a_cell_spans_two(self) -> None:
        lines = [
            _HEADER + "\n",
            ",".join((_ROW | {"source": '"price\n'}).values()),
            'list"' + ",2026-07-20\n",
            ",".join((_ROW | {"usd_per_hour": "0"}).values()) + "\n",
        ]
        lines[1] = lines[1].removesuffix(",2026-07-20")
        table = parse_offer_table(lines, now=_NOW)
        assert [offer.source for offer in table.offers] == ["price\nlist"]
        assert [refused.row for refused in table.refused] == [4]

    def test_fails_without_a_required_column(self) -> None:
        with pytest.raises(InvalidOfferTableError, match="has no column 'market'") as caught:
            parse_offer_table([_HEADER.replace("market,", "")], now=_NOW)
        assert caught.value.field == "market"
        assert caught.value.remedy.startswith("the first line must name provider, region")

    def test_fails_on_an_empty_text(self) -> None:
        with pytest.raises(InvalidOfferTableError, match="has no column 'provider'"):
            parse_offer_table([], now=_NOW)

    def test_fails_on_a_cell_without_end(self) -> None:
        with pytest.raises(InvalidOfferTableError, match="field larger than field limit"):
            parse_offer_table([_HEADER, "x" * 200_000], now=_NOW)
