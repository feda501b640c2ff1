"""The catalogue of accelerators."""

import pytest

from engine.domain.gpu_catalog import UnknownGpuError, get_gpu_spec, list_gpu_specs, normalise_gpu_name
from engine.domain.hardware import DeviceKind, LinkKind
from engine.units import GIB


class TestListGpuSpecs:
    def test_has_what_the_market_sells(self) -> None:
        wanted = {"T4", "L4", "A10G", "L40S", "A40", "A6000", "RTX4090", "A100-40", "A100-80", "H100", "H200", "B200",
                  "MI300X", "cpu-slot"}  # fmt: skip
        names = [spec.name for spec in list_gpu_specs()]
        assert wanted <= set(names)
        assert len(names) == len(set(names))

    @pytest.mark.parametrize("spec", list_gpu_specs(), ids=lambda spec: spec.name)
    def test_gives_possible_figures_with_their_source(self, spec: object) -> None:
        assert 1 * GIB <= spec.memory_bytes <= 300 * GIB
        assert 1e10 <= spec.memory_bandwidth_bytes_per_s <= 1e13
        assert 1e11 <= spec.peak_flop_per_s <= 5e15
        assert 1e9 < spec.link_bytes_per_s < spec.memory_bandwidth_bytes_per_s
        assert spec.source
        assert spec.source_date

    def test_has_one_cpu(self) -> None:
        assert [spec.name for spec in list_gpu_specs() if spec.kind is DeviceKind.CPU] == ["cpu-slot"]


class TestGetGpuSpec:
    def test_gives_the_data_sheet(self) -> None:
        spec = get_gpu_spec("H200")
        assert spec.memory_bytes == 141 * GIB
        assert spec.memory_bandwidth_bytes_per_s == 4.8e12
        assert spec.peak_flop_per_s == 989.5e12
        assert (spec.link_kind, spec.link_bytes_per_s) == (LinkKind.NVLINK, 450e9)

    def test_takes_error_correction_off_cards_that_keep_it_in_memory(self) -> None:
        assert get_gpu_spec("L4").memory_bytes == 22.5 * GIB

    def test_names_the_accelerators_there_are(self) -> None:
        with pytest.raises(UnknownGpuError) as error:
            get_gpu_spec("H1000")
        assert error.value.field == "gpu_name"
        assert error.value.remedy.startswith("use one of T4, L4, ")


class TestNormaliseGpuName:
    @pytest.mark.parametrize("spec", list_gpu_specs(), ids=lambda spec: spec.name)
    def test_keeps_canonical_names(self, spec: object) -> None:
        assert normalise_gpu_name(spec.name) == spec.name

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("NVIDIA A100-SXM4-80GB", "A100-80"),
            ("A100 40GB PCIe", "A100-40"),
            ("a100-80", "A100-80"),
            ("NVIDIA H100 80GB HBM3", "H100"),
            ("H100 SXM", "H100"),
            ("NVIDIA H200", "H200"),
            ("Tesla T4", "T4"),
            ("NVIDIA GeForce RTX 4090", "RTX4090"),
            ("RTX 4090", "RTX4090"),
            ("RTX A6000", "A6000"),
            ("NVIDIA RTX A4000", "A4000"),
            ("L40S", "L40S"),
            ("NVIDIA L4 Tensor Core GPU", "L4"),
            ("AMD Instinct MI300X", "MI300X"),
            ("NVIDIA A10G", "A10G"),
        ],
    )
    def test_reads_what_providers_write(self, text: str, expected: str | None) -> None:
        assert normalise_gpu_name(text) == expected

    @pytest.mark.parametrize("text", ["", "A100", "H100 PCIe", "H100 NVL", "RTX 6000 Ada", "Radeon", "V100"])
    def test_knows_what_it_does_not_know(self, text: str) -> None:
        assert normalise_gpu_name(text) is None
