"""Workload presets."""

import pytest

from engine.domain.workload import ArrivalProcess
from engine.domain.workload_presets import (
    UnknownWorkloadPresetError,
    define_class_name,
    get_workload_preset,
    list_workload_presets,
    preset_to_workload,
)


class TestListWorkloadPresets:
    def test_has_three_mixes_of_nine_classes_and_the_demo(self) -> None:
        assert [(preset.id, len(preset.classes)) for preset in list_workload_presets()] == [
            ("chat", 9),
            ("summarise", 9),
            ("code", 9),
            ("demo", 6),
        ]

    @pytest.mark.parametrize("preset", list_workload_presets(), ids=lambda preset: preset.id)
    def test_shares_all_requests_out(self, preset: object) -> None:
        assert sum(item.share for item in preset.classes) == pytest.approx(1.0, abs=1e-12)
        assert len({item.id for item in preset.classes}) == len(preset.classes)

    def test_orders_classes_by_prompt_and_then_output(self) -> None:
        classes = get_workload_preset("code").classes
        assert [(item.prompt_tokens, item.output_tokens, item.share) for item in classes] == [
            (496, 18, 0.04),
            (496, 253, 0.14),
            (496, 510, 0.03),
            (824, 18, 0.2),
            (824, 253, 0.27),
            (824, 510, 0.01),
            (2455, 18, 0.25),
            (2455, 253, 0.0),
            (2455, 510, 0.06),
        ]


class TestGetWorkloadPreset:
    def test_names_the_presets_there_are(self) -> None:
        with pytest.raises(UnknownWorkloadPresetError) as error:
            get_workload_preset("poems")
        assert error.value.field == "workload"
        assert error.value.remedy == "give one of chat, summarise, code, demo"


class TestPresetToWorkload:
    def test_takes_the_presets_rate_unless_told(self) -> None:
        preset = get_workload_preset("chat")
        workload = preset_to_workload(preset, model_id="m")
        assert (workload.name, workload.source, workload.model_id) == ("chat", "chat", "m")
        assert (workload.requests_per_s, workload.arrival) == (5.0, ArrivalProcess.POISSON)
        assert workload.classes == preset.classes
        assert preset_to_workload(preset, model_id="m", requests_per_s=0.5).requests_per_s == 0.5


class TestDefineClassName:
    def test_names_prompt_and_output(self) -> None:
        assert define_class_name(824, 253) == "p824-o253"
