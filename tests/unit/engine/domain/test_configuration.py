"""Configurations."""

from engine.domain.configuration import Configuration, Stage


class TestConfiguration:
    def test_counts_its_accelerators(self) -> None:
        stages = tuple(
            Stage(offer_id="o", machine_index=0, gpu_name="H100", tensor_parallel=2, num_layers=40) for _ in range(2)
        )
        configuration = Configuration(
            id="m/o/tp2-pp2",
            model_id="m",
            machines={"o": 1},
            usd_per_hour=20.0,
            replicas_per_copy=2,
            stages=stages,
            kv_tokens=1000,
            max_num_seqs=256,
            max_num_batched_tokens=8192,
            performance={},
            estimate_source="prior",
            error_band=0.25,
        )
        assert (configuration.tensor_parallel, configuration.pipeline_parallel) == (2, 2)
        assert configuration.num_gpus == 8
