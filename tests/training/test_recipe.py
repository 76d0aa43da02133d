"""Recipes: what they say is checked, and what is wrong is named with what would be right."""

from dataclasses import asdict, replace

import pytest

from liquid_control.cli import main
from liquid_control.errors import InputError
from liquid_control.training.imitation import for_arguments
from liquid_control.training.recipe import Augmentation, Recipe, check, read_recipe

START = "data: [x]\nmodel: m\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (START + "lenght: 4\n", "unknown key 'lenght', the nearest known one is 'length'"),
        (START + "augmentation: {shaddow: 1}\n", "augmentation has .* nearest .* 'shadow'"),
        (START + "closed_loop: {wrld: 1}\n", "closed_loop has .* nearest .* 'world'"),
        (START + "camera: {tpo: 0.2}\n", "camera has .* nearest .* 'top'"),
        ("model: m\n", "lacks a value"),
        (START + "outputs: [wings]\n", "outputs wings; known are curvature"),
        (START + "burn_in: 20\n", "burn_in < length"),
        ("data: [d]\nmodel: ../m\n", "model: a name, not a path, got '../m'"),
        ("data: [d]\nmodel: ''\n", "model: a name, not a path, got ''"),
        (START + "validation: 0.6\ntest: 0.5\n", r"validation \+ test < 1"),
        (START + "epochs: many\n", "epochs must be a whole number, got 'many'"),
        (START + "epochs: true\n", "epochs must be a whole number, got True"),
        (START + "batch: 0\n", "batch of 1 or more, got 0"),
        (START + "head_rate: .nan\n", "head_rate of 0 or more, got nan"),
        (START + "mode: forwards\n", "mode is one of windows, stateful, got 'forwards'"),
        (START + "strides: 2\n", "strides must be a list, each a whole number, got 2"),
        (START + "ema: 1\n", "ema of 0 or more and below 1"),
        (START + "weights: [1, 2]\n", "weights above 0, one for each of 1 outputs"),
        (START + "augmentation: 3\n", "augmentation must hold `key: value` lines"),
        (START + "augmentation: {season: 2}\n", "season from 0 to 1, got 2.0"),
        (START + "outputs: [steering]\naugmentation: {yaw: 0.1}\n", "needs the output curvature"),
        (START + "camera: {top: 0.2}\naugmentation: {yaw: 0.1}\n", "needs whole frames"),
        (START + "closed_loop: {world: w, episodes: 0}\n", "closed_loop: episodes"),
        (START + "closed_loop: {world: w, patience: -1}\n", "patience of 0 or more, got -1"),
        (START + "seed: -1\n", "a seed of 0 or more, below 2.32, got -1"),
        ("- a\n- b\n", "must hold `key: value` lines"),
        ("data: [x\n", "not valid YAML"),
        ("data: \x00\n", "not valid YAML"),
    ],
)
def test_a_bad_recipe_is_refused_with_a_reason(tmp_path, text, sentence):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(InputError, match=sentence) as said:
        read_recipe(tmp_path / "recipe.yaml")
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("name", ["driving", "driving_v1", "drone", "drone_far", "rc_track"])
def test_the_shipped_recipes_are_valid(name, pytestconfig):
    recipe = read_recipe(pytestconfig.rootpath / "config" / f"{name}.yaml")
    assert recipe.circuit == "ncp-ltc"
    assert asdict(recipe) == recipe.to_dict()


def test_numbers_may_be_written_in_any_way(tmp_path):
    (tmp_path / "recipe.yaml").write_text(START + "alpha: 1\nweights: [2]\nhead_rate: 5e-4\n")
    recipe = read_recipe(tmp_path / "recipe.yaml")
    assert (recipe.alpha, recipe.weights, recipe.head_rate) == (1.0, (2.0,), 5e-4)


def test_any_setting_can_be_given_on_the_command_line(tmp_path, monkeypatch):
    import tyro

    (tmp_path / "recipe.yaml").write_text(START + "augmentation: {noise: 0.2}\n")
    seen = []
    monkeypatch.setattr(
        "liquid_control.training.imitation.fit", lambda recipe, *_, **__: seen.append(recipe)
    )
    arguments = [str(tmp_path / "recipe.yaml"), "--batch", "7", "--augmentation.gamma", "0.5"]
    tyro.cli(for_arguments(arguments), args=arguments)
    assert seen == [
        Recipe(("x",), "m", batch=7, augmentation=Augmentation(noise=0.2, gamma=0.5)),
    ]
    with pytest.raises(InputError, match="batch of 1 or more, got 0"):
        tyro.cli(for_arguments(arguments[:1]), args=[arguments[0], "--batch", "0"])


def test_a_bad_recipe_is_one_line_and_exit_code_2(tmp_path, capsys):
    (tmp_path / "recipe.yaml").write_text(START + "lenght: 4\n")
    assert main(["train", str(tmp_path / "recipe.yaml")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "'length'" in said


def test_changes_are_checked_like_the_file():
    recipe = Recipe(("x",), "m")
    assert check(recipe, "here") is recipe
    with pytest.raises(InputError, match="here needs clip above 0"):
        check(replace(recipe, clip=0.0), "here")
