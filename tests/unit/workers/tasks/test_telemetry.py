"""The telemetry task."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.support.telemetry import create_deployment, define_point
from webapp.telemetry.models import DeploymentSample
from webapp.telemetry.points import point_to_row
from workers.tasks import telemetry


class TestRollUp:
    """`telemetry.roll_up`..."""

    @pytest.mark.django_db
    def test_makes_minutes(self) -> None:
        point = define_point(num_requests=3, sampled_at=timezone.now() - timedelta(minutes=5))
        point_to_row(point, deployment_id=create_deployment().pk).save()
        telemetry.roll_up(argument_of_a_newer_sender=1)
        assert DeploymentSample.objects.get(interval_s=60.0).num_requests == 3

    def test_is_known_by_name(self) -> None:
        assert telemetry.roll_up.name == "telemetry.roll_up"
