"""A circuit comes back from its file as it was; what is no such file is refused."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from liquid_control.circuits import LTC, AutoNCP, CfC, Circuit, load, save
from liquid_control.errors import InputError


def test_a_circuit_comes_back_with_its_outputs(make, tmp_path):
    network = make().eval()
    inputs, elapsed = torch.randn(2, 4, 4), torch.rand(2, 4)
    expected, _ = network(inputs, None, elapsed)
    save(network, tmp_path / "circuit.safetensors")
    again = load(tmp_path / "circuit.safetensors").eval()
    assert type(again) is type(network)
    assert torch.equal(again(inputs, None, elapsed)[0], expected)
    assert torch.equal(again(inputs)[0], network(inputs)[0])  # with the same default time
    assert [path.name for path in tmp_path.iterdir()] == ["circuit.safetensors"]


def test_what_was_changed_after_making_is_saved(tmp_path):
    network = LTC(4, AutoNCP(10, 2), ode_unfolds=3).to(torch.bfloat16)
    network.unfolds = 9
    network.return_sequences = False
    save(network, tmp_path / "circuit")
    again = load(tmp_path / "circuit")
    assert again.unfolds == 9
    assert again.wiring == network.wiring
    inputs = torch.randn(1, 3, 4)
    assert torch.equal(again(inputs)[0], network(inputs)[0])
    assert again(inputs)[0].dtype == torch.bfloat16


def test_the_file_holds_the_wiring_itself(tmp_path):
    save(CfC(4, AutoNCP(10, 2, seed=3)), tmp_path / "circuit")
    with safe_open(tmp_path / "circuit", "pt") as content:
        header = json.loads(content.metadata()["liquid_control"])
    assert header["arguments"]["units"] == AutoNCP(10, 2, seed=3).build(4).to_dict()


def _spoil(path, how):
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-50])
    elif how == "text":
        path.write_text("weights")
    elif how == "other":
        save_file({"a": torch.zeros(2)}, path)
    else:
        with safe_open(path, "pt") as content:
            header = json.loads(content.metadata()["liquid_control"])
            weights = {name: content.get_tensor(name) for name in list(content.keys())}
        if how == "kind":
            header["kind"] = "system"
        elif how == "arguments":
            header["arguments"]["solver"] = "magic"
        elif how == "wiring":
            header["arguments"]["units"]["adjacency"].append([99, 0, 1])
        elif how == "weights":
            weights.popitem()
        save_file(weights, path, {"liquid_control": json.dumps(header)})


@pytest.mark.parametrize(
    "how", ["truncated", "text", "other", "kind", "arguments", "wiring", "weights"]
)
def test_a_spoilt_file_is_refused_with_one_sentence(how, tmp_path):
    path = tmp_path / "circuit"
    save(LTC(4, AutoNCP(10, 2)), path)
    _spoil(path, how)
    with pytest.raises(InputError) as refused:
        load(path)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no file .*nowhere"):
        load(tmp_path / "nowhere")


def test_a_circuit_of_another_library_cannot_be_saved(tmp_path):
    class Mine(Circuit):
        pass

    with pytest.raises(TypeError, match="got Mine"):
        save(Mine(1, (1,), 1), tmp_path / "circuit")
    assert not list(tmp_path.iterdir())
