"""Finding the policy that a record says has decided, by the hash of its weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from liquid_control import models
from liquid_control.deploy.runtime import ExportDriver
from liquid_control.errors import InputError
from liquid_control.evaluation.audit_record import Facts, Record
from liquid_control.policy import Policy
from liquid_control.policy.fingerprint import configuration_hash, weights_hash
from liquid_control.policy.updated import updated

__all__ = ["exported", "find_policy", "with_updates"]


def find_policy(facts: Facts, model: str | None = None) -> tuple[Policy, Path, list[str]]:
    """The policy with the weights of a run.

    Args:
        facts: of the run.
        model: name or folder of the model to take, whatever its weights; by default the run's own
            folder, else the first of the shipped models with the weights of the run.

    Returns:
        The policy, its folder, and one sentence for each thing in which it is not that of the run.

    Raises:
        InputError: no model has these weights, or `model` cannot be loaded.
    """
    if model is not None:
        folder = models.find(model)
        policy = Policy.load(folder)
        return policy, folder, _unlike(policy, folder, facts)
    for folder in _candidates(facts):
        try:
            policy = Policy.load(folder)
        except InputError:
            continue
        if weights_hash(policy) == facts.weights:
            return policy, folder, _unlike(policy, folder, facts)
    raise InputError(
        f"No model with the weights {facts.weights} of this run: neither {facts.model} nor one of "
        f"{', '.join(models.folders()) or 'the shipped models'} has them; name the model's folder "
        "with --model."
    )


def exported(facts: Facts, folder: Path, policy: Policy) -> ExportDriver | None:
    """What drove by the export in `folder`; None for a run that torch drove.

    Raises:
        InputError: the folder holds no whole export, or its runtime is not installed.
    """
    runtime = facts.parameters.get("runtime", "torch")
    if runtime == "torch":
        return None
    driver = ExportDriver(folder, runtime)
    driver.policy = policy
    return driver


def with_updates(policy: Policy, record: Record) -> dict[str, Policy]:
    """All policies of a run by the hash of their weights: as shipped, then after each update.

    Updates that are damaged, or belong to another model, are left out and told of in
    `record.damage`.
    """
    found = {weights_hash(policy): policy}
    for update in record.updates:
        if update.after not in found:
            try:
                found[update.after] = updated(policy, update.weights, update.after)
            except InputError as error:
                record.damage.append(str(error))
    return found


def _candidates(facts: Facts) -> Iterator[Path]:
    if Path(facts.model).is_dir():
        yield Path(facts.model)
    # Where the run's own folder has gone, a model of the same name is the likeliest.
    name = Path(facts.model).name
    yield from sorted(models.folders().values(), key=lambda folder: folder.name != name)


def _unlike(policy: Policy, folder: Path, facts: Facts) -> list[str]:
    found = []
    weights, configuration = weights_hash(policy), configuration_hash(policy)
    if weights != facts.weights:
        found.append(f"The weights of {folder} are {weights}, those of the run {facts.weights}.")
    if configuration != facts.configuration:
        found.append(
            f"The configuration of {folder} is {configuration}, that of the run "
            f"{facts.configuration}: outputs, limits, camera setup or circuit differ."
        )
    return found
