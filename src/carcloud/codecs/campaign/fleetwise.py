"""AWS IoT FleetWise campaigns (the JSON of CreateCampaign) as campaigns of ours.

Names of signals stay as they are: a signal catalog of FleetWise uses VSS paths. What has no
counterpart is left out and reported, never guessed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from carcloud.codecs.campaign.document import ON_REQUEST, Campaign, parse_campaign, to_document
from carcloud.codecs.campaign.fields import DocumentError

_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
_SECONDS = {"HOURS": 3600, "DAYS": 86_400, "WEEKS": 7 * 86_400}
_LEFT_OUT = {
    "targetArn": "targets are chosen when the campaign is made here",
    "signalCatalogArn": "the catalogue is the tenant's",
    "dataDestinationConfigs": "what is collected goes to the lake and to the signals table",
    "signalsToFetch": "signals are read as they come; nothing is asked of an ECU",
    "stateTemplates": "no state templates: last known state is what agents report all the time",
    "tags": "labels are given when the campaign is made here",
    "diagnosticsMode": "active trouble codes are not attached; collect the frames of DM1 instead",
}
_KNOWN = frozenset(
    {
        "name", "description", "startTime", "expiryTime", "postTriggerCollectionDuration",
        "spoolingMode", "compression", "priority", "signalsToCollect", "collectionScheme",
        "dataExtraDimensions", "dataPartitions",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that was changed or left out, with the field it stood in."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Imported:
    """The campaign, its JSON form, and what an engineer should look at."""

    campaign: Campaign
    document: dict[str, Any]
    remarks: tuple[Remark, ...]


def import_campaign(document: object, *, compatibility: bool = False) -> Imported:
    """Bring a CreateCampaign document over; raises `DocumentError` with the field of ours.

    `compatibility` keeps the behaviour of the FleetWise agent to the letter: equality within
    0.001, and ALWAYS firing before the first evaluation.
    """
    if not isinstance(document, Mapping):
        raise DocumentError("", "expected an object")
    remarks: list[Remark] = []
    whole = _whole(document, remarks)
    if compatibility:
        whole["compatibility"] = True
    campaign = parse_campaign({key: value for key, value in whole.items() if value is not None})
    return Imported(campaign, to_document(campaign), tuple(remarks))


def _whole(document: Mapping[str, Any], remarks: list[Remark]) -> dict[str, Any]:
    for key, value in document.items():
        if key in _LEFT_OUT and value not in (None, [], "OFF"):
            remarks.append(Remark(key, _LEFT_OUT[key]))
        elif key not in _KNOWN and key not in _LEFT_OUT:
            remarks.append(Remark(str(key), "unknown; left out"))
    return {
        "id": document.get("name"),
        "version": 1,
        "description": document.get("description"),
        "trigger": _trigger(document.get("collectionScheme"), remarks),
        "post_trigger_ms": document.get("postTriggerCollectionDuration"),
        "signals": _signals(document, remarks),
        "priority": document.get("priority"),
        "start": _time("startTime", document.get("startTime"), 0),
        "expiry": _time("expiryTime", document.get("expiryTime"), 253_402_214_400),
        "compression": _compression(document.get("compression", "SNAPPY"), remarks),
        # A partition is a store on disk, whatever the mode says.
        "spooling": "disk"
        if document.get("spoolingMode") == "TO_DISK" or document.get("dataPartitions")
        else "none",
        "partitions": _partitions(document, remarks),
        "dimensions": document.get("dataExtraDimensions"),
    }


def _trigger(scheme: object, remarks: list[Remark]) -> dict[str, Any]:
    where = "collectionScheme"
    kinds = scheme if isinstance(scheme, Mapping) else {}
    timed = kinds.get("timeBasedCollectionScheme", kinds.get("timeBased"))
    rule = kinds.get("conditionBasedCollectionScheme", kinds.get("conditionBased"))
    if isinstance(timed, Mapping) and isinstance(rule, Mapping):
        raise DocumentError(where, "is time-based or condition-based, not both")
    if isinstance(timed, Mapping):
        return {"every_ms": timed.get("periodMs")}
    if not isinstance(rule, Mapping):
        raise DocumentError(where, "is neither time-based nor condition-based")
    if rule.get("conditionLanguageVersion", 1) != 1:
        raise DocumentError(f"{where}.conditionLanguageVersion", "only version 1 is known")
    if "==" in str(rule.get("expression")) or "!=" in str(rule.get("expression")):
        text = (
            "== and != between numbers are exact here; write `within 0.001`, or import compatible"
        )
        remarks.append(Remark(f"{where}.expression", text))
    if "LAST_WINDOW_" in str(rule.get("expression")):
        text = "FleetWise has the window's length elsewhere: give each such signal its `window_ms`"
        remarks.append(Remark(f"{where}.expression", text))
    trigger = {
        "when": rule.get("expression"),
        "mode": rule.get("triggerMode"),
        "minimum_interval_ms": rule.get("minimumTriggerIntervalMs"),
    }
    return {key: value for key, value in trigger.items() if value is not None}


def _signals(document: Mapping[str, Any], remarks: list[Remark]) -> list[dict[str, Any]]:
    found = []
    for at, each in enumerate(_list(document, "signalsToCollect")):
        where = f"signalsToCollect[{at}]"
        if not isinstance(each, Mapping):
            raise DocumentError(where, "expected an object")
        item = {
            "path": each.get("name"),
            # FleetWise wants a count; a document without one means one sample here.
            "max_samples": each.get("maxSampleCount"),
            "min_interval_ms": each.get("minimumSamplingIntervalMs"),
            "partition": each.get("dataPartitionId"),
        }
        found.append({key: value for key, value in item.items() if value is not None})
        known = {"name", "maxSampleCount", "minimumSamplingIntervalMs", "dataPartitionId"}
        remarks += [Remark(f"{where}.{key}", "unknown; left out") for key in each.keys() - known]
    return found


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    value = document.get(key) or []
    if not isinstance(value, list):
        raise DocumentError(key, "expected a list")
    return value


def _partitions(document: Mapping[str, Any], remarks: list[Remark]) -> list[dict[str, Any]] | None:
    found = []
    for at, each in enumerate(_list(document, "dataPartitions")):
        where = f"dataPartitions[{at}]"
        entry = {
            "id": _part(each, "id", where),
            "max_bytes": _amount(each, "maximumSize", _UNITS, where),
            "keep_s": _amount(each, "minimumTimeToLive", _SECONDS, where),
        }
        upload = each.get("uploadOptions")
        if upload:
            entry["upload_when"] = _part(upload, "expression", f"{where}.uploadOptions")
        else:
            entry["upload"] = ON_REQUEST
            text = "without it, data stays in the vehicle until `campaigns forward` asks for it"
            remarks.append(Remark(f"{where}.uploadOptions", text))
        if each["storageOptions"].get("storageLocation"):
            remarks.append(
                Remark(f"{where}.storageOptions.storageLocation", "the agent's own folder")
            )
        found.append(entry)
    return _with_default(document, found)


def _part(given: object, key: str, where: str) -> Any:
    """What a FleetWise document must have at `where`."""
    if not isinstance(given, Mapping):
        raise DocumentError(where, "expected an object")
    if key not in given:
        raise DocumentError(f"{where}.{key}", "is missing")
    return given[key]


def _amount(partition: object, key: str, units: Mapping[str, int], where: str) -> int:
    """A value with its unit, such as 1 GB."""
    amount = _part(_part(partition, "storageOptions", where), key, f"{where}.storageOptions")
    where = f"{where}.storageOptions.{key}"
    value, unit = _part(amount, "value", where), _part(amount, "unit", where)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DocumentError(f"{where}.value", "expected a whole number")
    if not isinstance(unit, str) or unit not in units:
        raise DocumentError(f"{where}.unit", f"one of {', '.join(units)}")
    return value * units[unit]


def _with_default(
    document: Mapping[str, Any], found: list[dict[str, Any]]
) -> list[dict[str, Any]] | None:
    if not found:
        return None
    ids = {each["id"] for each in found}
    loose = [
        each for each in _list(document, "signalsToCollect") if not each.get("dataPartitionId")
    ]
    return found if not loose or "default" in ids else [{"id": "default"}, *found]


def _compression(value: object, remarks: list[Remark]) -> str:
    if value == "OFF":
        return "none"
    remarks.append(Remark("compression", "Snappy becomes zlib"))
    return "zlib"


def _time(field: str, value: object, default: int) -> str | None:
    """Seconds since 1970 or ISO text, as the tools of AWS print them, to RFC 3339."""
    if value is None or value == default:
        return None
    if isinstance(value, str):
        return value
    try:
        return datetime.fromtimestamp(float(value), UTC).isoformat()  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise DocumentError(field, f"not a time: {value!r:.40}") from error
