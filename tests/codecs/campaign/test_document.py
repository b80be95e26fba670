"""Campaign documents: what is read, what is refused with the field's name, and FleetWise's."""

import json

import pytest
from tests.codecs.campaign.script import TYPES

from carcloud.codecs.campaign.document import (
    Partition,
    document_hash,
    parse_campaign,
    to_document,
)
from carcloud.codecs.campaign.fields import DocumentError
from carcloud.codecs.campaign.fleetwise import import_campaign
from carcloud.codecs.campaign.prepare import prepare

FULL = {
    "id": "hard-braking",
    "version": 4,
    "name": "Hard braking",
    "description": "What happened before",
    "trigger": {
        "when": "Vehicle.Speed > 50 && LAST_WINDOW_AVG(Vehicle.A) < 3",
        "mode": "RISING_EDGE",
        "fire_on_first_true": True,
        "minimum_interval_ms": 10000,
    },
    "pre_trigger_ms": 60000,
    "post_trigger_ms": 5000,
    "signals": [
        {"path": "Vehicle.Speed", "max_samples": 600, "min_interval_ms": 100},
        {"path": "Vehicle.A", "condition_only": True, "window_ms": 1000},
        {"path": "Vehicle.Cells", "partition": "slow"},
        {"path": "Vehicle.IsMoving", "partition": "slow"},
    ],
    "frames": [
        {"id": 291, "max_frames": 100, "bus": "can0"},
        {"id": 0x18FEF147, "extended": True, "min_interval_ms": 10},
        {"pgn": 61444, "max_frames": 5},
    ],
    "priority": 2,
    "start": "2030-01-01T00:00:00Z",
    "expiry": "2031-01-01T00:00:00Z",
    "compression": "none",
    "spooling": "none",
    "partitions": [
        {"id": "default"},
        {"id": "slow", "upload_when": "!Vehicle.IsMoving", "max_bytes": 1000000, "keep_s": 86400},
    ],
    "dimensions": ["fleet"],
    "compatibility": True,
}


def changed(path, value):
    """The full document with one field set, or taken away for `...`."""
    whole = json.loads(json.dumps(FULL))
    *parents, last = path
    place = whole
    for each in parents:
        place = place[each]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return whole


def test_every_field_is_read_and_written_back():
    campaign = parse_campaign(json.dumps(FULL))
    assert to_document(campaign) == FULL
    assert campaign.signals[0].interval_us == 100_000
    assert campaign.start_us == 1_893_456_000_000_000
    assert campaign.partitions[1] == Partition(
        "slow", "!Vehicle.IsMoving", 1_000_000, 86_400_000_000
    )
    assert prepare(campaign, TYPES.get).windows == {"Vehicle.A": 1_000_000}


def test_what_is_left_out_has_its_default():
    small = {"id": "a", "trigger": {"every_ms": 100}, "signals": [{"path": "Vehicle.A"}]}
    assert to_document(parse_campaign(small)) == {**small, "version": 1}


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("id",), ..., "id"),
        (("id",), "a/b", "id"),
        (("id",), "..", "id"),
        (("version",), 0, "version"),
        (("version",), True, "version"),
        (("colour",), 1, "colour"),
        (("trigger",), 5, "trigger"),
        (("trigger", "every_ms"), 1000, "trigger"),
        (("trigger", "mode"), "SOMETIMES", "trigger.mode"),
        (("trigger", "when"), 3, "trigger.when"),
        (("trigger", "minimum_interval_ms"), -1, "trigger.minimum_interval_ms"),
        (("trigger", "minimum_interval_ms"), 2**32, "trigger.minimum_interval_ms"),
        (("trigger", "fire_on_first_true"), "yes", "trigger.fire_on_first_true"),
        (("trigger", "often"), 1, "trigger.often"),
        (("post_trigger_ms",), 1.5, "post_trigger_ms"),
        (("signals",), {}, "signals"),
        (("signals", 1), "x", "signals[1]"),
        (("signals", 1, "path"), ..., "signals[1].path"),
        (("signals", 0, "max_samples"), 0, "signals[0].max_samples"),
        (("signals", 0, "partition"), "fast", "signals[0].partition"),
        (("signals", 0, "unit"), "km/h", "signals[0].unit"),
        (("signals",), [{"path": "Vehicle.A"}] * 1001, "signals"),
        (("frames", 0, "pgn"), 1, "frames[0].id"),
        (("frames", 0, "id"), 0x800, "frames[0].id"),
        (("frames", 2, "pgn"), 2**18, "frames[2].pgn"),
        (("frames", 0, "partition"), "fast", "frames[0].partition"),
        (("start",), "2030-01-01T00:00:00", "start"),
        (("expiry",), "2029-01-01T00:00:00Z", "expiry"),
        (("expiry",), 5, "expiry"),
        (("compression",), "snappy", "compression"),
        (("spooling",), True, "spooling"),
        (("partitions", 1, "id"), "default", "partitions"),
        (("partitions", 1, "max_bytes"), 5, "partitions[1].max_bytes"),
        (("dimensions",), [1], "dimensions[0]"),
        (("dimensions",), "fleet", "dimensions"),
    ],
)
def test_an_error_names_the_field(path, value, field):
    with pytest.raises(DocumentError) as caught:
        parse_campaign(changed(path, value))
    assert caught.value.field == field


@pytest.mark.parametrize("text", ["", "[", "[]", "5", "null", '{"id": "a"', "[" * 100_000])
def test_what_is_no_object_is_refused(text):
    with pytest.raises(DocumentError):
        parse_campaign(text)


@pytest.mark.parametrize(
    ("path", "value", "field", "reason"),
    [
        (("signals", 0, "path"), "Vehicle.Nope", "signals[0].path", "no signal Vehicle.Nope"),
        (("trigger", "when"), "Vehicle.Speed >", "trigger.when", "position 16"),
        (("trigger", "when"), "LAST_WINDOW_MAX(Vehicle.B) > 1", "trigger.when", "needs window_ms"),
        (("partitions", 1, "upload_when"), "Vehicle.B > 1", "partitions[1].upload_when",
         "not among the signals"),
        (("partitions", 1, "upload_when"), "isNull(Vehicle.A)", "partitions[1].upload_when",
         "no meaning"),
        (("signals", 2, "window_ms"), 100, "signals[2].window_ms", "no numbers"),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_is_refused_with_its_field(path, value, field, reason):
    with pytest.raises(DocumentError) as caught:
        prepare(parse_campaign(changed(path, value)), TYPES.get)
    assert caught.value.field == field
    assert reason in caught.value.reason


def test_the_hash_knows_no_order_of_fields():
    turned = dict(reversed(FULL.items()))
    assert document_hash(turned) == document_hash(FULL) != document_hash(changed(("id",), "b"))


FLEETWISE = {
    "name": "braking",
    "signalCatalogArn": "arn:aws:iotfleetwise:eu-central-1:111111111111:signal-catalog/c",
    "targetArn": "arn:aws:iotfleetwise:eu-central-1:111111111111:vehicle/v",
    "startTime": 1893456000,
    "expiryTime": "2031-01-01T00:00:00+00:00",
    "postTriggerCollectionDuration": 1000,
    "diagnosticsMode": "SEND_ACTIVE_DTCS",
    "spoolingMode": "TO_DISK",
    "compression": "SNAPPY",
    "priority": 1,
    "signalsToCollect": [
        {"name": "Vehicle.Speed", "maxSampleCount": 10, "minimumSamplingIntervalMs": 100},
        {"name": "Vehicle.IsMoving", "maxSampleCount": 1, "dataPartitionId": "slow"},
    ],
    "collectionScheme": {
        "conditionBasedCollectionScheme": {
            "expression": "$variable.`Vehicle.Speed` == 50.0",
            "minimumTriggerIntervalMs": 1000,
            "triggerMode": "ALWAYS",
            "conditionLanguageVersion": 1,
        }
    },
    "dataPartitions": [
        {
            "id": "slow",
            "storageOptions": {
                "maximumSize": {"unit": "MB", "value": 5},
                "storageLocation": "slow",
                "minimumTimeToLive": {"unit": "DAYS", "value": 2},
            },
            "uploadOptions": {"expression": "!$variable.`Vehicle.IsMoving`"},
        }
    ],
    "signalsToFetch": [{"fullyQualifiedName": "Vehicle.A"}],
    "dataExtraDimensions": ["fleet"],
    "novelty": 1,
}


def test_a_campaign_of_fleetwise_comes_over_with_a_report():
    got = import_campaign(FLEETWISE)
    prepare(got.campaign, TYPES.get)
    assert got.document == {
        "id": "braking",
        "version": 1,
        "trigger": {
            "when": "$variable.`Vehicle.Speed` == 50.0",
            "mode": "ALWAYS",
            "minimum_interval_ms": 1000,
        },
        "post_trigger_ms": 1000,
        "signals": [
            {"path": "Vehicle.Speed", "max_samples": 10, "min_interval_ms": 100},
            {"path": "Vehicle.IsMoving", "partition": "slow"},
        ],
        "priority": 1,
        "start": "2030-01-01T00:00:00Z",
        "expiry": "2031-01-01T00:00:00Z",
        "partitions": [
            {"id": "default"},
            {
                "id": "slow",
                "upload_when": "!$variable.`Vehicle.IsMoving`",
                "max_bytes": 5_000_000,
                "keep_s": 172_800,
            },
        ],
        "dimensions": ["fleet"],
    }
    assert {each.field for each in got.remarks} == {
        "signalCatalogArn", "targetArn", "diagnosticsMode", "signalsToFetch", "novelty",
        "compression", "collectionScheme.expression",
        "dataPartitions[0].storageOptions.storageLocation",
    }  # fmt: skip


def test_a_partition_of_fleetwise_without_upload_options_waits_for_a_request():
    size, life = {"unit": "MB", "value": 5}, {"unit": "DAYS", "value": 2}
    store = {"maximumSize": size, "minimumTimeToLive": life}
    given = {
        "name": "slow",
        "collectionScheme": {"timeBasedCollectionScheme": {"periodMs": 10000}},
        "signalsToCollect": [{"name": "Vehicle.Speed", "dataPartitionId": "slow"}],
        "dataPartitions": [{"id": "slow", "storageOptions": store}],
        "stateTemplates": [{"identifier": "state"}],
    }
    got = import_campaign(given)
    (part,) = got.campaign.partitions
    assert (part.upload, part.max_bytes, got.campaign.spooling) == ("on_request", 5_000_000, "disk")
    assert got.document["partitions"][0]["upload"] == "on_request"
    assert {each.field for each in got.remarks} >= {
        "dataPartitions[0].uploadOptions", "stateTemplates"
    }  # fmt: skip


@pytest.mark.parametrize("more", [{"upload_when": "Vehicle.Speed > 1"}, {}])
def test_a_partition_on_request_has_no_condition_and_a_spool(more):
    whole = {
        "id": "c",
        "trigger": {"every_ms": 1000},
        "signals": [{"path": "Vehicle.Speed"}],
        "spooling": "disk" if more else "none",
        "partitions": [{"id": "default", "upload": "on_request", **more}],
    }
    with pytest.raises(DocumentError, match=r"partitions\[0\].upload: on_request goes"):
        parse_campaign(whole)


def test_a_time_based_campaign_of_fleetwise():
    given = {
        "name": "slow",
        "compression": "OFF",
        "collectionScheme": {"timeBasedCollectionScheme": {"periodMs": 10000}},
        "signalsToCollect": [{"name": "Vehicle.Speed", "maxSampleCount": 1}],
    }
    got = import_campaign(given, compatibility=True)
    assert got.remarks == ()
    assert got.campaign.trigger.period_us == 10_000_000
    assert (got.campaign.spooling, got.campaign.compression) == ("none", "none")
    assert got.campaign.compatibility


@pytest.mark.parametrize(
    "change",
    [
        {"collectionScheme": None},
        {"collectionScheme": {"conditionBasedCollectionScheme": {"conditionLanguageVersion": 2}}},
        {"signalsToCollect": 5},
        {"signalsToCollect": [5]},
        {"dataPartitions": [{"id": "x"}]},
        {"dataPartitions": [5]},
        {"startTime": []},
        {"name": 5},
    ],
)
def test_what_is_no_campaign_of_fleetwise_is_refused(change):
    with pytest.raises(DocumentError):
        import_campaign({**FLEETWISE, **change})


STORE = FLEETWISE["dataPartitions"][0]["storageOptions"]


@pytest.mark.parametrize(
    ("partition", "field"),
    [
        ({"storageOptions": STORE}, "dataPartitions[0].id: is missing"),
        ({"id": "x"}, "dataPartitions[0].storageOptions: is missing"),
        ({"id": "x", "storageOptions": 5}, "dataPartitions[0].storageOptions: expected an object"),
        (
            {"id": "x", "storageOptions": {**STORE, "maximumSize": {"unit": "KB", "value": 5}}},
            "dataPartitions[0].storageOptions.maximumSize.unit: one of MB, GB, TB",
        ),
        (
            {"id": "x", "storageOptions": {**STORE, "maximumSize": {"unit": "MB", "value": "5"}}},
            "dataPartitions[0].storageOptions.maximumSize.value: expected a whole number",
        ),
        (
            {"id": "x", "storageOptions": {"maximumSize": STORE["maximumSize"]}},
            "dataPartitions[0].storageOptions.minimumTimeToLive: is missing",
        ),
        (
            {"id": "x", "storageOptions": STORE, "uploadOptions": {"when": "true"}},
            "dataPartitions[0].uploadOptions.expression: is missing",
        ),
    ],
)
def test_a_partition_of_fleetwise_that_lacks_something_names_it(partition, field):
    with pytest.raises(DocumentError) as refused:
        import_campaign({**FLEETWISE, "dataPartitions": [partition]})
    assert str(refused.value) == field


def test_a_campaign_of_fleetwise_has_one_scheme():
    both = {**FLEETWISE["collectionScheme"], "timeBasedCollectionScheme": {"periodMs": 10_000}}
    with pytest.raises(DocumentError, match="not both"):
        import_campaign({**FLEETWISE, "collectionScheme": both})


def test_windows_of_fleetwise_need_their_length():
    rule = {
        **FLEETWISE["collectionScheme"]["conditionBasedCollectionScheme"],
        "expression": "LAST_WINDOW_MAX($variable.`Vehicle.Speed`) > 5",
    }
    got = import_campaign(
        {**FLEETWISE, "collectionScheme": {"conditionBasedCollectionScheme": rule}}
    )
    said = [one.text for one in got.remarks if one.field == "collectionScheme.expression"]
    assert any("window_ms" in text for text in said)
