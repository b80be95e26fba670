"""A campaign checked against a catalogue: what an engine takes."""

from collections.abc import Mapping
from dataclasses import dataclass

from carcloud.codecs.campaign.checking import Catalogue, Checked, SignalType, check
from carcloud.codecs.campaign.document import Campaign
from carcloud.codecs.campaign.expression import WINDOW_FUNCTIONS, ExpressionError
from carcloud.codecs.campaign.fields import DocumentError


@dataclass(frozen=True, slots=True)
class Prepared:
    """A campaign whose expressions can be evaluated and whose signals exist.

    `condition` is None for a campaign at a period; `uploads` has the condition of each partition
    that has one; `types` the type of every signal that is collected or read.
    """

    campaign: Campaign
    condition: Checked | None
    uploads: Mapping[str, Checked]
    types: Mapping[str, SignalType]

    @property
    def windows(self) -> dict[str, int]:
        """Length in microseconds of the fixed windows of each signal that has them."""
        return {
            item.path: item.window_us
            for item in self.campaign.signals
            if item.window_us is not None
        }

    @property
    def every_cycle(self) -> bool:
        """Whether the condition is evaluated whatever comes."""
        condition = self.condition
        if condition is None:
            return False
        return condition.every_cycle or (condition.custom and self.campaign.compatibility)


def prepare(campaign: Campaign, catalogue: Catalogue) -> Prepared:
    """Check expressions and signals; raises `DocumentError` with field, position and reason."""
    windows = {item.path for item in campaign.signals if item.window_us is not None}
    condition = None
    if campaign.trigger.expression is not None:
        condition = _checked("trigger.when", campaign.trigger.expression, campaign, catalogue)
        _have_windows("trigger.when", condition, windows)
    uploads = {}
    for at, partition in enumerate(campaign.partitions):
        if partition.upload_when is not None:
            where = f"partitions[{at}].upload_when"
            found = _checked(where, partition.upload_when, campaign, catalogue)
            _is_upload(where, found, campaign)
            _have_windows(where, found, windows)
            uploads[partition.id] = found
    return Prepared(campaign, condition, uploads, _types(campaign, condition, uploads, catalogue))


def _checked(where: str, text: str, campaign: Campaign, catalogue: Catalogue) -> Checked:
    try:
        return check(text, catalogue, compatible=campaign.compatibility)
    except ExpressionError as error:
        raise DocumentError(where, str(error)) from error


def _have_windows(where: str, found: Checked, windows: set[str]) -> None:
    for each in found.inputs:
        if each.kind in WINDOW_FUNCTIONS and each.path not in windows:
            reason = f"{each.kind} needs window_ms of {each.path} among the signals"
            raise DocumentError(where, reason)


def _is_upload(where: str, found: Checked, campaign: Campaign) -> None:
    if found.every_cycle:
        raise DocumentError(where, "isNull and edges have no meaning in a condition of upload")
    listed = {item.path for item in campaign.signals}
    for path in found.paths:
        if path not in listed:
            raise DocumentError(where, f"{path} is not among the signals of the campaign")


def _types(
    campaign: Campaign,
    condition: Checked | None,
    uploads: Mapping[str, Checked],
    catalogue: Catalogue,
) -> dict[str, SignalType]:
    types = {}
    for at, item in enumerate(campaign.signals):
        known = catalogue(item.path)
        if known is None:
            raise DocumentError(f"signals[{at}].path", f"there is no signal {item.path}")
        if item.window_us is not None and known.datatype.endswith(("[]", "string")):
            raise DocumentError(f"signals[{at}].window_ms", f"{item.path} has no numbers")
        types[item.path] = known
    for found in filter(None, (condition, *uploads.values())):
        for path in found.paths:
            known = catalogue(path)
            assert known is not None  # noqa: S101 - `check` has asked
            types[path] = known
    return types
