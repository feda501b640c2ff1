"""Model presets."""

import json

import pytest

from engine.costmodel.sizes import count_parameters
from engine.domain.model_config import parse_model_config
from engine.domain.model_presets import list_model_presets
from engine.serving.demo_model import ModelShape


class TestListModelPresets:
    def test_has_the_named_models(self) -> None:
        assert [(preset.id, preset.is_local) for preset in list_model_presets()] == [
            ("llama-3.1-8b", False),
            ("llama-3.1-70b", False),
            ("qwen2.5-32b", False),
            ("qwen3-30b-a3b", False),
            ("deepseek-r1-distill-llama-70b", False),
            ("demo", True),
        ]

    @pytest.mark.parametrize(
        ("preset_id", "num_parameters"),
        [
            ("llama-3.1-8b", 8_030_261_248),
            ("llama-3.1-70b", 70_553_706_496),
            ("qwen2.5-32b", 32_763_417_600),  # published: 32.76e9; biases of the projections are left out
            ("qwen3-30b-a3b", 30_532_110_336),  # published: 30.5e9
            ("deepseek-r1-distill-llama-70b", 70_553_706_496),
            ("demo", 31_990_272),
        ],
    )
    def test_gives_configurations_with_the_published_size(self, preset_id: str, num_parameters: int) -> None:
        preset = next(preset for preset in list_model_presets() if preset.id == preset_id)
        spec = parse_model_config(preset.config, model_id=preset.id, name=preset.name)
        assert count_parameters(spec).total == num_parameters
        assert (spec.id, spec.name) == (preset.id, preset.name)

    def test_reads_the_same_after_a_round_trip_through_json(self) -> None:
        for preset in list_model_presets():
            again = json.loads(json.dumps(dict(preset.config)))
            assert parse_model_config(again, model_id="m", name="m") == parse_model_config(
                preset.config, model_id="m", name="m"
            )

    def test_describes_the_demo_model_that_this_host_makes(self) -> None:
        shape = ModelShape()
        demo = next(preset for preset in list_model_presets() if preset.is_local)
        spec = parse_model_config(demo.config, model_id=demo.id, name=demo.name)
        assert spec.vocab_size == shape.vocab_size
        assert spec.hidden_size == shape.hidden_size
        assert spec.num_layers == shape.num_layers
        assert spec.num_attention_heads == shape.num_heads
        assert spec.num_kv_heads == shape.num_kv_heads
        assert spec.intermediate_size == shape.ffn_size
        assert spec.max_context_tokens == shape.max_position
