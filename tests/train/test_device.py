"""What a device is slow at is said, from what PyTorch reports of the processor."""

import pytest
import torch

from evenface.train.device import slow_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "emulated"),
    [
        ({"avx2": True, "amx_bf16": False, "avx512_bf16": False}, True),
        ({"avx2": True, "amx_bf16": False, "avx512_bf16": True}, False),
        ({"amx_bf16": True, "avx512_bf16": False}, False),
        ({"bf16": True}, False),  # Arm
        ({}, True),
    ],
)
def test_emulated_bf16_is_reported(monkeypatch, capabilities, emulated):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    remark = slow_precision("bf16", CPU)
    assert (remark is not None and "precision=fp32" in remark) is emulated
    assert slow_precision("fp32", CPU) is None
    assert slow_precision("bf16", torch.device("cuda")) is None
