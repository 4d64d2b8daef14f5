"""The names of what others can be told of; which data each carries is said where it is emitted."""

from enum import StrEnum


class EventType(StrEnum):
    """`<what>.<what happened>`; a name that is out is never given another meaning."""

    STAGE_CHANGED = "lead.stage_changed"
    LIFECYCLE_CHANGED = "lead.lifecycle_changed"
    STATUS_CHANGED = "lead.status_changed"
    ESCALATION_OPENED = "escalation.opened"
    ESCALATION_TAKEN = "escalation.acknowledged"
    ESCALATION_RESOLVED = "escalation.resolved"
    SUBMISSION_SUCCEEDED = "submission.succeeded"
    SUBMISSION_FAILED = "submission.failed"
