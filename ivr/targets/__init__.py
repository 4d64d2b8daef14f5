"""Where finished leads go: one file per target, all of them in `TARGETS`."""

from ivr.targets.base import Handover, Receipt, Target
from ivr.targets.npa import Npa
from ivr.targets.webhook import Webhook

TARGETS: dict[str, Target] = {"npa": Npa(), "webhook": Webhook()}

__all__ = ["TARGETS", "Handover", "Receipt", "Target"]
