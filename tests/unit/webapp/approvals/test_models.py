"""Policies that can be checked."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from webapp.approvals.models import Policy


class TestPolicy:
    """`Policy.clean`..."""

    @pytest.mark.parametrize(
        ("field", "values"),
        [
            ("allowed_providers", {"allowed_providers": "aws"}),
            ("allowed_regions", {"allowed_regions": [1]}),
            ("self_approve_providers", {"self_approve_providers": [""], "self_approve_below_usd_per_hour": Decimal(1)}),
            ("max_usd_per_hour", {"max_usd_per_hour": Decimal(0)}),
            ("self_approve_below_usd_per_hour", {"self_approve_below_usd_per_hour": Decimal(-1)}),
            ("self_approve_providers", {"self_approve_below_usd_per_hour": Decimal(1)}),
            ("self_approve_providers", {"self_approve_providers": ["local"]}),
        ],
    )
    def test_names_the_field_that_cannot_be_used(self, field: str, values: dict[str, object]) -> None:
        with pytest.raises(ValidationError) as caught:
            Policy(name="p", **values).clean()
        assert set(caught.value.message_dict) == {field}

    def test_accepts_a_policy_without_limits(self) -> None:
        Policy(name="p").clean()
