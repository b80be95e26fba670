"""Campaign documents and expressions against a tenant's catalogue: everything that is wrong."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from carcloud.codecs.campaign.checking import SignalType, check
from carcloud.codecs.campaign.document import Campaign, parse_campaign
from carcloud.codecs.campaign.engine import Engine
from carcloud.codecs.campaign.expression import ExpressionError
from carcloud.codecs.campaign.fields import DocumentError
from carcloud.codecs.campaign.prepare import Prepared, prepare
from carcloud.model.catalogue import Signal
from carcloud.services.campaigns.errors import InvalidCampaign
from carcloud.services.campaigns.types import Check, Finding, UsedSignal

Catalogue = Mapping[str, Signal]


class Known:
    """A catalogue as the codec asks it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def __call__(self, path: str, /) -> SignalType | None:
        """Type of a path; None where there is no such signal."""
        signal = self._catalogue.get(path)
        return None if signal is None else SignalType(signal.datatype, signal.allowed)


def prepared(document: Mapping[str, Any], catalogue: Catalogue) -> Prepared:
    """A document that can be run; raises `InvalidCampaign` with field and position."""
    try:
        return prepare(parse_campaign(document), Known(catalogue))
    except DocumentError as error:
        found = finding(error)
        raise InvalidCampaign(found.field, found.reason, found.position) from error


def check_document(document: object, catalogue: Catalogue) -> Check:
    """All that is wrong with a document, as far as one can see behind the first fault."""
    known = Known(catalogue)
    try:
        campaign = parse_campaign(document)
    except DocumentError as error:
        return Check((finding(error),), (), ())
    errors = _of_expressions(campaign, known)
    for at, item in enumerate(campaign.signals):
        if known(item.path) is None:
            reason = f"there is no signal {item.path}"
            errors.append(Finding(f"signals[{at}].path", reason))
    if errors:
        return Check(tuple(errors), (), ())
    try:
        ready = prepare(campaign, known)
    except DocumentError as error:
        return Check((finding(error),), (), ())
    return Check((), tuple(_remarks(ready, catalogue)), used(ready, catalogue))


def check_expression(text: str, catalogue: Catalogue) -> Check:
    """What is wrong with an expression alone, and which signals it reads."""
    try:
        found = check(text, Known(catalogue))
    except ExpressionError as error:
        return Check((Finding("expression", error.reason, error.position),), (), ())
    signals = [_used(catalogue[path], read=True) for path in found.paths]
    return Check((), (), tuple(signals))


def used(ready: Prepared, catalogue: Catalogue) -> tuple[UsedSignal, ...]:
    """The signals of a campaign, those that are collected first."""
    read = set() if ready.condition is None else set(ready.condition.paths)
    for upload in ready.uploads.values():
        read |= set(upload.paths)
    collected = {item.path for item in ready.campaign.signals if not item.condition_only}
    return tuple(
        _used(catalogue[path], collected=path in collected, read=path in read)
        for path in sorted(ready.types, key=lambda path: (path not in collected, path))
    )


def finding(error: DocumentError) -> Finding:
    """A fault of a document, with its place in an expression."""
    cause = error.__cause__
    if isinstance(cause, ExpressionError):
        return Finding(error.field, cause.reason, cause.position)
    return Finding(error.field, error.reason)


def _of_expressions(campaign: Campaign, known: Known) -> list[Finding]:
    texts = {"trigger.when": campaign.trigger.expression}
    for at, partition in enumerate(campaign.partitions):
        texts[f"partitions[{at}].upload_when"] = partition.upload_when
    errors = []
    for field, text in texts.items():
        if text is None:
            continue
        try:
            check(text, known, compatible=campaign.compatibility)
        except ExpressionError as error:
            errors.append(Finding(field, error.reason, error.position))
    return errors


def _remarks(ready: Prepared, catalogue: Catalogue) -> list[Finding]:
    remarks = [
        Finding(f"signals[{at}].path", f"{item.path} is deprecated")
        for at, item in enumerate(ready.campaign.signals)
        if catalogue[item.path].deprecated
    ]
    always = replace(ready, campaign=replace(ready.campaign, start_us=0))
    refused = Engine(lambda _campaign, _record: None).configure([always], 0)
    remarks += [
        Finding("signals", f"an agent with its usual memory refuses it: {why}")
        for why in refused.values()
    ]
    if not ready.campaign.signals and not ready.campaign.frames:
        remarks.append(Finding("signals", "nothing is collected but that it triggered"))
    return remarks


def _used(signal: Signal, *, collected: bool = False, read: bool = False) -> UsedSignal:
    kind, unit = signal.datatype, signal.unit
    return UsedSignal(signal.path, kind, unit, signal.allowed, collected, read)
