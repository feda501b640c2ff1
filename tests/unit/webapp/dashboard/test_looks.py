"""Tones, icons and the file that comes out of an installed package."""

from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.core.exceptions import ImproperlyConfigured

from webapp.dashboard import finders as own_finders
from webapp.dashboard import icons, tones
from webapp.deployments.models import DeploymentState, MachineState, ShardState
from webapp.planning.models import PlanState

_STATES = sorted({*PlanState.values, *DeploymentState.values, *MachineState.values, *ShardState.values})


class TestTones:
    @pytest.mark.parametrize("state", _STATES)
    def test_every_state_has_one(self, state: str) -> None:
        assert state in tones._TONES

    def test_a_word_that_is_no_state_is_quiet(self) -> None:
        assert tones.get_tone("something else") == "quiet"

    def test_labels_are_words(self) -> None:
        assert tones.get_label("no_solution") == "No solution"


class TestIcons:
    @pytest.mark.parametrize("name", sorted(icons._PATHS))
    def test_are_hidden_from_readers_of_the_screen(self, name: str) -> None:
        assert 'aria-hidden="true"' in icons.render_icon(name)

    def test_fail_for_a_name_that_does_not_exist(self) -> None:
        with pytest.raises(KeyError):
            icons.render_icon("nothing")


class TestPlotlyFinder:
    def test_finds_the_bundle_of_the_installed_package(self) -> None:
        found = finders.find("plotly/plotly.min.js")
        assert isinstance(found, str)
        assert Path(found).stat().st_size > 1_000_000

    def test_finds_nothing_else(self) -> None:
        finder = own_finders.PlotlyFinder()
        assert finder.find("plotly/widgetbundle.js") is None
        assert finder.find("plotly/widgetbundle.js", find_all=True) == []
        assert [path for path, _ in finder.list(None)] == ["plotly.min.js"]

    def test_fails_loudly_when_the_package_lost_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(own_finders, "_FILE", "gone.js")
        with pytest.raises(ImproperlyConfigured, match="gone.js"):
            own_finders.find_bundle_folder()
