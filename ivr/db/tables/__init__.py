"""Every table, in one place because foreign keys ignore folder borders. No queries here.

Rows belong to a tenant; times are aware UTC; phone numbers are E.164; JSON columns hold dicts.
"""

from datetime import UTC, datetime

from ivr.db.tables.costs import Alert, IdempotencyRecord, UsageLog
from ivr.db.tables.leads import (
    Escalation,
    FieldValue,
    Lead,
    LeadCount,
    LeadWord,
    QualificationRule,
    ReviewItem,
    Task,
    Transition,
)
from ivr.db.tables.people import (
    ApiKey,
    ConsentEvent,
    Contact,
    ContactPoint,
    MergeRecord,
    PhoneNumber,
    Suppression,
    Tenant,
)
from ivr.db.tables.talk import (
    Conversation,
    InboundEvent,
    Message,
    Turn,
)
from ivr.db.tables.targets import (
    FailedLead,
    Submission,
    SubmissionAttempt,
    SucceededLead,
)
from ivr.db.tables.webhooks import (
    OutboxEvent,
    WebhookDelivery,
    WebhookEndpoint,
)
from ivr.db.tables.words import (
    Axis,
    Channel,
    ConsentAction,
    ConversationStatus,
    DeliveryState,
    Direction,
    EscalationState,
    KeyKind,
    Lifecycle,
    MessageState,
    Purpose,
    ReviewKind,
    Role,
    Source,
    SubmissionState,
    TaskKind,
    TenantStatus,
    Trigger,
)

__all__ = [
    "Alert",
    "ApiKey",
    "Axis",
    "Channel",
    "ConsentAction",
    "ConsentEvent",
    "Contact",
    "ContactPoint",
    "Conversation",
    "ConversationStatus",
    "DeliveryState",
    "Direction",
    "Escalation",
    "EscalationState",
    "FailedLead",
    "FieldValue",
    "IdempotencyRecord",
    "InboundEvent",
    "KeyKind",
    "Lead",
    "LeadCount",
    "LeadWord",
    "Lifecycle",
    "MergeRecord",
    "Message",
    "MessageState",
    "OutboxEvent",
    "PhoneNumber",
    "Purpose",
    "QualificationRule",
    "ReviewItem",
    "ReviewKind",
    "Role",
    "Source",
    "Submission",
    "SubmissionAttempt",
    "SubmissionState",
    "SucceededLead",
    "Suppression",
    "Task",
    "TaskKind",
    "Tenant",
    "TenantStatus",
    "Transition",
    "Trigger",
    "Turn",
    "UsageLog",
    "WebhookDelivery",
    "WebhookEndpoint",
    "utc_now",
]


def utc_now() -> datetime:
    """Return the time; taken once per operation and passed on."""
    return datetime.now(UTC)
