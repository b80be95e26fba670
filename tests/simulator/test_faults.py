"""Naming faults and telling the truth about them."""

import io
import json

import numpy as np
import pytest

from carcloud.model.time import SECOND, parse_iso
from carcloud.simulator import faults
from carcloud.simulator.vins import vins


def test_parse():
    assert faults.parse("") == {}
    assert faults.parse("weak-cell=2, hot_probe") == {"weak_cell": 2, "hot_probe": 1}


@pytest.mark.parametrize("text", ["flat_tyre", "weak_cell=many", "weak_cell=-1"])
def test_nonsense_is_refused(text):
    with pytest.raises(ValueError, match=r"flat_tyre|whole number"):
        faults.parse(text)


def test_more_faults_than_cars_are_refused():
    with pytest.raises(ValueError, match="fleet of 2"):
        faults.plan(2, 1, {"weak_cell": 3})


def test_every_fault_gets_its_own_car_and_the_same_one_each_time():
    counts = {"weak_cell": 3, "hot_probe": 2, "insulation_fault": 4}
    one, other = faults.plan(20, 8, counts), faults.plan(20, 8, counts)
    assert np.bincount(one.kind, minlength=4).tolist() == [11, 3, 4, 2]
    assert np.array_equal(one.kind, other.kind)
    assert np.array_equal(one.onset_s, other.onset_s)


def test_truth_lines():
    plan = faults.plan(20, 8, {"weak_cell": 2, "insulation_fault": 1})
    names = vins(8, 20)
    start = 1_790_000_000 * SECOND
    file = io.StringIO()
    faults.write_truths(file, faults.truths(plan, names, start))
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    assert sorted(line["fault"] for line in lines) == ["insulation_fault", "weak_cell", "weak_cell"]
    for line in lines:
        car = names.index(line["vehicle"])
        assert faults.Fault(int(plan.kind[car])).name.lower() == line["fault"]
        assert start < parse_iso(line["onset"]) < parse_iso(line["full"])
        assert (line["part"] is None) == (line["fault"] == "insulation_fault")
