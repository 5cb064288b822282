"""Which models a run uses when it is told "auto", and one sentence that says why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pose_utils.errors import AssetError
from pose_utils.zoo import assets
from pose_utils.zoo.manifest import WrongFile
from pose_utils.zoo.specs import ModelSpec, get_spec, parse_models

BEST_RTM = "rtmdet-m+rtmpose-m"
"""The pair of the published comparison."""

BUNDLED: tuple[str, ...] = ("rtmdet-nano-demo+rtmpose-t-demo",)
"""Small RTM pairs that the project itself trained and brings, best first (`zoo/bundled/README.md`)."""

_STAND_IN = "movenet-multipose"

_RELEASED = (BEST_RTM, "rtmdet-nano+rtmpose-m", "rtmdet-nano+pp-tinypose")

PREFERRED: tuple[str, ...] = (*_RELEASED, _STAND_IN, *BUNDLED)
"""What "auto" tries, most accurate first."""

STUDIED: tuple[str, ...] = (*_RELEASED, *BUNDLED, _STAND_IN)
"""What "auto" tries in a study: two stages before one, and RTM networks before any other."""


@dataclass(frozen=True)
class ModelChoice:
    """The models of a run.

    Attributes:
        models: "detector+pose" or a one-stage name, as `parse_models` reads it.
        trained: Whether trained weights are on this machine; otherwise seeded random ones stand in.
        reason: One sentence for people.
        trained_on: Data that the weights saw, in the order of the models; empty where not trained.
    """

    models: str
    trained: bool
    reason: str
    trained_on: tuple[str, ...] = ()

    @property
    def specs(self) -> tuple[ModelSpec, ...]:
        """The specs behind `models`."""
        return parse_models(self.models)


def choose_models(models: str = "auto", study: bool = False) -> ModelChoice:
    """Settles which models a run uses, fetching their weights where they can be had.

    Args:
        models: "auto", "rtm", "movenet", "detector+pose", a one-stage name or a published name.
        study: Whether "auto" goes by `STUDIED`, not by `PREFERRED`.

    Returns:
        The choice. "auto" ends with the first pair of its list whose trained weights can be had; every
        other name is kept, and `trained` says whether its weights can be had.

    Raises:
        UsageError: The name means nothing.
        AssetError: "auto" found trained weights for none of its models.
    """
    if models != "auto":
        return _named(BEST_RTM if models == "rtm" else "+".join(spec.name for spec in parse_models(models)))
    missing: dict[str, list[AssetError]] = {}
    for candidate in STUDIED if study else PREFERRED:
        failures = _fetch_weights(candidate)
        if not failures:
            return ModelChoice(candidate, True, _auto_reason(candidate, missing), _trained_on(candidate))
        missing[candidate] = [error for errors in failures.values() for error in errors]
    every = dict.fromkeys(str(error) for errors in missing.values() for error in errors)
    raise AssetError("no trained weights can be had for any model.\n" + "\n".join(every))


def weight_file(spec: ModelSpec) -> str | None:
    """Returns the name in `assets.toml` of the weights that are here for `spec`, or None.

    PyTorch weights go first: every other format is made from them.
    """
    return next((name for name in spec.assets.values() if assets.available(name)), None)


def _named(models: str) -> ModelChoice:
    failures = _fetch_weights(models)
    if not failures:
        return ModelChoice(models, True, f"{models} runs with trained weights.", _trained_on(models))
    if any(get_spec(name).config is None for name in failures):
        stand_in = "and nothing stands in for them"
    else:
        stand_in = "so seeded random weights of the same architecture stand in: for speed, not for poses"
    names = " and ".join(failures)
    why = _why([error for errors in failures.values() for error in errors])
    return ModelChoice(models, False, f"Trained weights of {names} cannot be had ({why}), {stand_in}.")


def _auto_reason(chosen: str, missing: dict[str, list[AssetError]]) -> str:
    if not missing:
        return f"{chosen} runs with trained weights, the best pair there is."
    kind = _KINDS.get(chosen, "the best pair whose weights are here")
    why = _why(missing[BEST_RTM])
    return f"Trained weights of {BEST_RTM} cannot be had ({why}), so {chosen}, {kind}, runs in its place."


_KINDS = {_STAND_IN: "Google's one-stage model"} | dict.fromkeys(
    BUNDLED, "the project's own demo pair of the same architecture"
)


def _why(errors: Iterable[AssetError]) -> str:
    for error in errors:
        if isinstance(error, WrongFile):
            return str(error).rstrip(".")
    if assets.is_offline():
        return "POSE_OFFLINE is set and they are in neither POSE_ASSETS_DIR nor the cache"
    return "they are in neither POSE_ASSETS_DIR nor the cache, and none of their hosts gave them"


def _fetch_weights(models: str) -> dict[str, list[AssetError]]:
    """Returns, by model, why its weights cannot be had; empty where all can."""
    failures: dict[str, list[AssetError]] = {}
    for spec in parse_models(models):
        errors = []
        # What is here already goes before any download.
        for name in sorted(spec.assets.values(), key=lambda each: not assets.available(each)):
            try:
                assets.fetch(name)
                break
            except AssetError as error:
                errors.append(error)
        else:
            failures[spec.name] = errors
            break  # One missing model settles it; the other one need not be downloaded.
    return failures


def _trained_on(models: str) -> tuple[str, ...]:
    names = [weight_file(spec) for spec in parse_models(models)]
    return tuple(assets.manifest()[name].trained_on for name in names if name)
