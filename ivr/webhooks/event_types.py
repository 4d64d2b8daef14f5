"""The names of what others can be told of; which data each carries is said where it is emitted."""

from enum import StrEnum


class EventType(StrEnum):
    """`<what>.<what happened>`; a name that is out is never given another meaning."""

    STAGE_CHANGED = "lead.stage_changed"
    LIFECYCLE_CHANGED = "lead.lifecycle_changed"
    STATUS_CHANGED = "lead.status_changed"
    SCORE_CHANGED = "lead.score_changed"
    OWNER_CHANGED = "lead.owner_changed"
    HOT = "lead.hot"
    FORGOTTEN = "lead.forgotten"
    ESCALATION_OPENED = "escalation.opened"
    ESCALATION_TAKEN = "escalation.acknowledged"
    ESCALATION_RESOLVED = "escalation.resolved"
    SUBMISSION_SUCCEEDED = "submission.succeeded"
    SUBMISSION_FAILED = "submission.failed"
    BUDGET_ALERT = "budget.alert"
    BUDGET_EXHAUSTED = "budget.exhausted"
