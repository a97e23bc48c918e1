"""Observations and effects are data: frozen, compared by value, each stamped with its time."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import get_args

import pytest

from proxy.core import effects, observations

OBSERVATIONS = (*get_args(observations.StreamObservation), *get_args(observations.SessionObservation))
EFFECTS = get_args(effects.Effect)


@pytest.mark.parametrize("kind", [*OBSERVATIONS, *EFFECTS])
def test_it_is_a_frozen_dataclass_with_slots(kind: type) -> None:
    assert is_dataclass(kind)
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]  # where dataclasses keep their options
    assert "__slots__" in vars(kind)


@pytest.mark.parametrize("kind", OBSERVATIONS)
def test_an_observation_says_when_it_was_made(kind: type) -> None:
    """Time arrives as data."""
    assert is_dataclass(kind)
    assert fields(kind)[0].name == "at"


@pytest.mark.parametrize("kind", get_args(observations.StreamObservation))
def test_an_observation_of_a_stream_names_it(kind: type) -> None:
    assert is_dataclass(kind)
    assert "stream_id" in {field.name for field in fields(kind)}
