"""What the market's REST calls take and give."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from ninja import Schema
from pydantic import ConfigDict, Field

Price = Annotated[Decimal, Field(gt=0, le=100_000)]


class OfferQuery(Schema):
    """Filters of the current offers; what is left out asks for all."""

    model_config = ConfigDict(extra="forbid")

    gpu: str = Field("", max_length=32)
    provider: str = Field("", max_length=32)
    region: str = Field("", max_length=64)
    market: Literal["", "on_demand", "spot"] = ""
    max_usd_per_hour: Price | None = None
    max_usd_per_gpu_hour: Price | None = None
    sort: Literal["usd_per_gpu_hour", "usd_per_hour", "gpu", "provider", "age"] = "usd_per_gpu_hour"
    descending: bool = False


class OfferOut(Schema):
    """One offer as last observed; prices in USD per hour, age in seconds."""

    offer_id: str
    provider: str
    region: str
    zone: str
    instance_type: str
    gpu_name: str
    gpu_count: int
    market: str
    usd_per_hour: float
    usd_per_gpu_hour: float
    available_count: int | None
    interruption_class: int | None
    source: str
    observed_at: datetime
    age_s: float


class ChoicesOut(Schema):
    """Values the filters can take."""

    gpu_names: list[str]
    providers: list[str]
    regions: list[str]
    markets: list[str]


class RefusedRowOut(Schema):
    """A row that was not loaded."""

    row: int
    field: str
    message: str


class ImportIn(Schema):
    """A table of offers as CSV text."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, Field(min_length=1, max_length=300)]
    csv_text: Annotated[str, Field(min_length=1, max_length=5_000_000)]


class ImportOut(Schema):
    """One load of offers."""

    id: int
    source: str
    started_at: datetime
    num_loaded: int
    num_unchanged: int
    refused: list[RefusedRowOut]
