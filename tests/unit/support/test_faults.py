"""The points at which tests put faults into mpi-pi."""

import functools
import importlib

import pytest

from support.faults import POINTS, Point


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_point_of_a_fault_is_there_to_be_replaced(point: Point) -> None:
    """Only tests that put a fault there would notice otherwise, which take a while."""
    module, _, path = point.name.partition(":")
    functools.reduce(getattr, path.split("."), importlib.import_module(f"mpi_pi.{module}"))
