"""Sandboxes made by bubblewrap, a program of Debian and other distributions."""

from carcloud.engines.sandbox_bwrap.packages import Packages
from carcloud.engines.sandbox_bwrap.sandbox import BwrapSandbox

__all__ = ["BwrapSandbox", "Packages"]
