"""Where finished leads go: one file per target, all of them in `TARGETS`."""

from ivr.targets.base import Handover, Receipt, Target
from ivr.targets.npa import Npa

TARGETS: dict[str, Target] = {"npa": Npa()}

__all__ = ["TARGETS", "Handover", "Receipt", "Target"]
