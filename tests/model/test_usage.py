"""The tables of meters and limits, and the message of a usage."""

import msgspec
import pytest

from carcloud.model.ids import Tenant
from carcloud.model.limits import LIMITS, Bound, OverLimit, check
from carcloud.model.meters import METERS
from carcloud.model.usage import InvalidUsage, Usage, read_usage, usage_event

A = Tenant("a")


def test_every_name_is_once_in_its_table():
    for table in (METERS, LIMITS):
        names = [row.name for row in table]
        assert len(set(names)) == len(names)
    assert all(meter.per_unit >= 1 for meter in METERS)


def test_a_usage_is_read_as_it_was_told():
    told = (
        Usage("job-1", A, "compute_seconds", 1_500, 7, "job-1"),
        Usage("p:2", A, "messages", 3, 8),
    )
    message = usage_event(*told)
    assert message.subject == "usage.a"
    assert message.message_id == "usage-a-job-1"
    assert tuple(read_usage(A, message.data)) == told
    assert [usage.numbered for usage in told] == [None, ("p", 2)]


@pytest.mark.parametrize(
    ("meter", "quantity", "id"), [("none", 1, "x"), ("messages", -1, "x"), ("messages", 1, "")]
)
def test_a_usage_that_cannot_be_counted_is_refused(meter, quantity, id):
    with pytest.raises(InvalidUsage):
        Usage(id, A, meter, quantity, 0)


def test_the_subject_decides_who_pays():
    message = usage_event(Usage("x", A, "messages", 1, 0))
    with pytest.raises(InvalidUsage, match="another tenant"):
        read_usage(Tenant("b"), message.data)
    with pytest.raises(InvalidUsage):
        usage_event(Usage("x", A, "messages", 1, 0), Usage("x", Tenant("b"), "messages", 1, 0))
    for data in (b"", b"{}", msgspec.json.encode([{"id": "x"}]), message.data[:-1]):
        with pytest.raises(InvalidUsage):
            read_usage(A, data)


def test_over_limit_names_the_limit_and_what_helps():
    check("vehicles", 5, 4)
    with pytest.raises(OverLimit) as refused:
        check("vehicles", 5, 5)
    error = refused.value
    assert (error.limit, error.value, error.used, error.bound) == ("vehicles", 5, 5, Bound.AMOUNT)
    assert "the limit vehicles is 5 vehicle, and 5 are used" in str(error)
    assert "carcloud quotas set TENANT vehicles VALUE" in error.how
