"""Where a model cannot be written is said before the hours that make it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from liquid_control.errors import InputError
from liquid_control.training.adapt import Settings, adapt
from liquid_control.training.dagger.recipe import DaggerRecipe
from liquid_control.training.dagger.rounds import learn as learn_by_dagger
from liquid_control.training.imitation import fit
from liquid_control.training.networks import make_policy
from liquid_control.training.recipe import Recipe
from liquid_control.training.rl.command import learn as learn_by_rl
from liquid_control.training.rl.recipe import RLRecipe
from liquid_control.training.tune.command import search

RECIPE = Recipe(data=("nowhere",), model="m")


def adapted(output: Path) -> None:
    model = output.with_name("model")
    make_policy("ncp-ltc", RECIPE.spec).save(model)
    adapt(str(model), (Path("nowhere"),), output=output, settings=Settings(steps=1))


@pytest.mark.parametrize(
    "make",
    [
        lambda output: fit(RECIPE, output),
        adapted,
        lambda output: learn_by_dagger(DaggerRecipe(RECIPE, "m", "nowhere"), output, output),
        lambda output: learn_by_rl(RLRecipe("m", "nowhere"), output, output),
        lambda output: search(Path("nowhere"), 1, Path("nowhere"), output),
    ],
    ids=["train", "adapt", "dagger", "rl", "tune"],
)
def test_an_output_that_cannot_be_written_is_said_first(
    make: Callable[[Path], object], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="is a file; give another folder"):
        make(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "in the way"
