"""Checks for the calls of every topic: closed handles and wrong types are refused."""

from __future__ import annotations

from typing import Any, List, Sequence, Tuple, Union

import pytest

import rbd
import rbd.rados
from rbd.testing import Cluster

#: Methods and arguments that their types allow; a call may be marked, as in pytest.param().
Calls = List[Union[Tuple[str, Tuple[Any, ...]], Any]]


def with_arguments(calls: Calls) -> Calls:
    """Return the calls that have arguments which could be wrong."""
    return [call for call in calls if (getattr(call, "values", None) or call)[1]]


def refuses_closed_image(image: rbd.Image, method: str, arguments: Sequence[Any]) -> None:
    image.close()
    with pytest.raises(rbd.InvalidArgument) as error:
        getattr(image, method)(*arguments)
    assert error.value.errno is None


def refuses_other_than_an_open_ioctx(
    rbd_cluster: Cluster, method: str, arguments: Sequence[Any]
) -> None:
    """Check a method of RBD whose first argument is an ioctx."""
    call = getattr(rbd.RBD(), method)
    with rbd_cluster.connect() as cluster:
        ioctx = cluster.open_ioctx(rbd_cluster.pools[0])
        ioctx.close()
        with pytest.raises(rbd.rados.IoctxStateError):
            call(ioctx, *arguments)
    for wrong in (None, 3, "rbd", cluster):
        with pytest.raises(TypeError):
            call(wrong, *arguments)


def refuses_wrong_types(subject: Any, method: str, arguments: Sequence[Any], *before: Any) -> None:
    """Call with each argument in turn of a type that no parameter accepts; `before` stays right."""
    for i in range(len(arguments)):
        wrong = [*arguments[:i], object(), *arguments[i + 1 :]]
        with pytest.raises(TypeError):
            getattr(subject, method)(*before, *wrong)
