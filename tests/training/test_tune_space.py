"""Search spaces: what a file says is checked, and an error names what would be right."""

from pathlib import Path

import optuna
import pytest

from liquid_control.cli import main
from liquid_control.errors import InputError
from liquid_control.training.recipe import build_recipe
from liquid_control.training.tune.space import changed, read_settings, read_space

SETTINGS = {"data": ["x"], "model": "m", "augmentation": {"noise": 0.1}, "burn_in": 3}


def read(tmp_path: Path, text: str, settings: dict = SETTINGS):
    (tmp_path / "space.yaml").write_text(text)
    return read_space(tmp_path / "space.yaml", settings)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("head_rat: {low: 1e-4, high: 1e-3}", "unknown key 'head_rat', the nearest .* 'head_rate'"),
        (
            "augmentation: {nois: [0, 1]}",
            "'augmentation.nois', the nearest .* 'augmentation.noise'",
        ),
        ("augmentation.shadw: [0, 1]", "the nearest known one is 'augmentation.shadow'"),
        ("augmentation: 3", "unknown key 'augmentation', the nearest"),
        ("head_rate: {lo: 1e-4, high: 1e-3}", "unknown key 'lo', the nearest known one is 'low'"),
        ("head_rate: {low: 1e-4}", "needs numbers for low and high"),
        ("head_rate: {low: a, high: b}", "needs numbers for low and high"),
        ("head_rate: {low: 1e-3, high: 1e-4}", "low below high"),
        ("head_rate: {low: .nan, high: 1}", "low below high"),
        ("head_rate: {low: 0, high: 1e-3, log: true}", "with true low is above 0"),
        ("alpha: {low: 0, high: 1, step: 2}", "a step that fits"),
        ("batch: {low: 1.5, high: 8}", "needs whole numbers"),
        ("circuit: {low: 1, high: 8}", "is no number, so it needs a list of choices"),
        ("batch: [4]", "at least two different choices"),
        ("batch: [4, 4]", "at least two different choices"),
        ("batch: [4, many]", r"batch: many\): batch must be a whole number"),
        ("augmentation.shadow: {low: 0, high: 2}", "shadow from 0 to 1, got 2.0"),
        ("length: {low: 2, high: 8}", "burn_in < length"),
        ("strides: [1, 2]", "strides must be a list"),
        ("alpha: 1", "searches nothing"),
        ("validation: [0.1, 0.2]", "cannot be searched, as it changes what a score means"),
        ("seed: [1, 2]", "cannot be searched"),
        ("labels: [interventions, driven]", "cannot be searched"),
        ("closed_loop: {seconds: [5, 9]}", "cannot be searched"),
        ("- a", "must hold `key: value` lines"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_bad_space_is_refused_with_a_reason(tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence) as said:
        read(tmp_path, text)
    assert "\n" not in str(said.value)


def test_dotted_and_nested_keys_ranges_choices_and_single_values(tmp_path):
    space = read(
        tmp_path,
        "head_rate: {low: 1e-5, high: 1e-2, log: true}\n"
        "batch: {low: 4, high: 32, step: 4}\n"
        "strides: [[1], [1, 2]]\n"
        "circuit: [ncp-ltc, ncp-cfc]\n"
        "augmentation: {shadow: {low: 0, high: 1}}\n"
        "camera.top: 0.2\n",
    )
    assert [each.name for each in space.dimensions] == [
        *("head_rate", "batch", "strides", "circuit", "augmentation.shadow"),
    ]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    drawn = [space.suggest(study.ask()) for _ in range(40)]
    assert all(1e-5 <= each["head_rate"] <= 1e-2 for each in drawn)
    # Half of a logarithmic range lies below its geometric middle.
    assert 10 <= sum(each["head_rate"] < 10**-3.5 for each in drawn) <= 30
    assert {each["batch"] for each in drawn} <= set(range(4, 33, 4))
    assert {tuple(each["strides"]) for each in drawn} == {(1,), (1, 2)}
    assert {each["circuit"] for each in drawn} == {"ncp-ltc", "ncp-cfc"}
    recipe = build_recipe(changed(SETTINGS, drawn[0]), "here")
    assert (recipe.augmentation.noise, recipe.camera.top) == (0.1, 0.2)
    assert recipe.strides == tuple(drawn[0]["strides"])
    assert SETTINGS["augmentation"] == {"noise": 0.1}


def test_the_recipes_own_values_are_the_first_trial_where_the_space_holds_them(tmp_path):
    text = "strides: [[1], [1, 2]]\naugmentation.noise: {low: 0, high: 0.3}\n"
    recipe = build_recipe(SETTINGS, "here")
    assert read(tmp_path, text).own(recipe) == {"strides": "[1]", "augmentation.noise": 0.1}
    assert read(tmp_path, "alpha: {low: 1, high: 2}").own(recipe) is None


@pytest.mark.parametrize("name", ["rc_track", "driving_v1"])
def test_the_shipped_spaces_fit_their_recipes(name, pytestconfig):
    config = pytestconfig.rootpath / "config"
    settings = read_settings(config / f"{name}.yaml", "")
    space = read_space(config / f"tune_{name}.yaml", settings)
    assert space.own(build_recipe(changed(settings, space.fixed), name)) is not None


@pytest.mark.parametrize(
    ("files", "options", "sentence"),
    [
        ({}, [], "No r.yaml"),
        ({"r.yaml": "model: m\nenv: w\n"}, [], "a recipe of `liquid-control rl`"),
        ({"r.yaml": "data: [x]\nmodel: m\n"}, [], "No tune_r.yaml"),
        ({"r.yaml": "data: [x]\nmodel: m\nlenght: 3\n"}, [], "nearest known one is 'length'"),
        ({"r.yaml": "data: [x]\nmodel: m\n"}, ["--trials", "0"], "trials of at least 1"),
        (
            {"r.yaml": "data: [x]\nmodel: m\n", "tune_r.yaml": "epochs: [1, 2]\n"},
            ["--epochs", "3"],
            "searches epochs, so leave out --epochs",
        ),
    ],
)
def test_bad_input_of_the_command_is_one_sentence(
    tmp_path, monkeypatch, capsys, files, options, sentence
):
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert main(["tune", "r.yaml", *options]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()
