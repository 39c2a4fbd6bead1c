"""The names of feature bits."""

from __future__ import annotations

import pytest

import rbd

pytestmark = pytest.mark.needs("rbd_features_to_string", "rbd_features_from_string")

NAMES = {
    "layering": rbd.RBD_FEATURE_LAYERING,
    "striping": rbd.RBD_FEATURE_STRIPINGV2,
    "exclusive-lock": rbd.RBD_FEATURE_EXCLUSIVE_LOCK,
    "object-map": rbd.RBD_FEATURE_OBJECT_MAP,
    "fast-diff": rbd.RBD_FEATURE_FAST_DIFF,
    "deep-flatten": rbd.RBD_FEATURE_DEEP_FLATTEN,
    "journaling": rbd.RBD_FEATURE_JOURNALING,
    "data-pool": rbd.RBD_FEATURE_DATA_POOL,
    "operations": rbd.RBD_FEATURE_OPERATIONS,
    "migrating": rbd.RBD_FEATURE_MIGRATING,
    "non-primary": rbd.RBD_FEATURE_NON_PRIMARY,
}


@pytest.mark.parametrize("name", NAMES)
def test_each_feature_has_its_name(name: str) -> None:
    assert rbd.RBD().features_to_string(NAMES[name]) == name
    assert rbd.RBD().features_from_string(name) == NAMES[name]


def test_several_features_are_named_together() -> None:
    bits = rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_STRIPINGV2
    assert rbd.RBD().features_to_string(features=bits) == "layering,striping"
    assert rbd.RBD().features_from_string(str_features="striping,layering") == bits
    assert rbd.RBD().features_from_string("61") == 61
    everything = sum(NAMES.values())
    assert rbd.RBD().features_from_string(rbd.RBD().features_to_string(everything)) == everything
    assert rbd.RBD().features_to_string(0) == ""


def test_unknown_features_are_refused() -> None:
    with pytest.raises(rbd.InvalidArgument) as bits:
        rbd.RBD().features_to_string(1 << 60)
    with pytest.raises(rbd.InvalidArgument, match="'bogus'") as name:
        rbd.RBD().features_from_string("bogus")
    assert bits.value.errno == name.value.errno == 22


def test_bad_arguments_are_refused() -> None:
    for outside in (-1, 2**64):
        with pytest.raises(OverflowError):
            rbd.RBD().features_to_string(outside)
    for wrong in ("layering", None, 1.5):
        with pytest.raises(TypeError):
            rbd.RBD().features_to_string(wrong)
    for wrong_text in (5, None, ["layering"]):
        with pytest.raises(TypeError):
            rbd.RBD().features_from_string(wrong_text)
    with pytest.raises(ValueError, match="NUL"):
        rbd.RBD().features_from_string("a\0b")
