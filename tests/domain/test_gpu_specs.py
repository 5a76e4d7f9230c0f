"""Figures of GPUs by label value."""

import pytest

from inference_cache.domain.gpu_products import GPU_FAMILIES, expand_products
from inference_cache.domain.gpu_specs import GPU_SPECS, choose_gpu_spec


def test_every_known_product_has_figures_and_no_others() -> None:
    assert set(GPU_SPECS) == {value for values in GPU_FAMILIES.values() for value in values}


@pytest.mark.parametrize("product", GPU_SPECS)
def test_figures_have_the_magnitude_of_their_unit(product: str) -> None:
    spec = GPU_SPECS[product]
    assert 40e9 <= spec.memory_bytes <= 200e9
    assert 300e12 <= spec.flops <= 2500e12
    assert 0.8e12 <= spec.hbm_bytes_per_second <= 8e12
    assert 28e9 <= spec.pcie_bytes_per_second <= 225e9


def test_one_product_is_taken_as_its_data_sheet_says() -> None:
    choice = choose_gpu_spec(["NVIDIA-H200"])
    assert choice.spec is not None
    assert (choice.spec.flops, choice.spec.memory_bytes, choice.spec.hbm_bytes_per_second) == (989e12, 141e9, 4.8e12)
    assert "NVIDIA-H200" in choice.note


def test_family_is_planned_with_its_slowest_member() -> None:
    choice = choose_gpu_spec(expand_products(["H200"]))
    assert choice.spec == GPU_SPECS["NVIDIA-H200-NVL"]
    assert "smallest" in choice.note
    assert "NVIDIA-H200-NVL" in choice.note


def test_slowest_is_taken_for_each_figure_apart() -> None:
    spec = choose_gpu_spec(["NVIDIA-H100-PCIe", "NVIDIA-A100-SXM4-40GB"]).spec
    assert spec is not None
    assert (spec.memory_bytes, spec.flops, spec.hbm_bytes_per_second) == (40e9, 312e12, 1.555e12)
    spec = choose_gpu_spec(["NVIDIA-H100-NVL", "NVIDIA-H100-80GB-HBM3"]).spec
    assert spec is not None
    assert (spec.memory_bytes, spec.flops, spec.hbm_bytes_per_second) == (80e9, 835.5e12, 3.35e12)


def test_equal_figures_under_two_names_are_not_called_a_compromise() -> None:
    choice = choose_gpu_spec(["NVIDIA-H200", "NVIDIA-H200-SXM5-141GB"])
    assert choice.spec == GPU_SPECS["NVIDIA-H200"]
    assert "smallest" not in choice.note


@pytest.mark.parametrize(
    "values",
    [[], ["NVIDIA-H200", "NVIDIA-H100-80GB-HBM3-MIG-1g.10gb"], ["NVIDIA-H200-SHARED"], ["NVIDIA-X9000"]],
    ids=["none", "a MIG slice among others", "a shared GPU", "a newer product"],
)
def test_figures_are_undecided_with(values: list[str]) -> None:
    choice = choose_gpu_spec(values)
    assert choice.spec is None
    assert all(value in choice.note for value in values if value not in GPU_SPECS)
