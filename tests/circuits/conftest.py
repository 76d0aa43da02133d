import pytest
import torch


@pytest.fixture(autouse=True)
def repeatable_draws():
    torch.manual_seed(0)
