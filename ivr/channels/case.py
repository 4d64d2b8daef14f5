"""One thing that came in, whose it is, and what the installation can do. Plain data."""

from dataclasses import dataclass
from datetime import timedelta

from ivr.channels.first_word import FirstWord
from ivr.channels.inbound import Inbound
from ivr.db.tables import Tenant
from ivr.leads.profile import Profile
from ivr.leads.staff import Staff

ACTIVE = "active"  # a tenant that is not paused


@dataclass(frozen=True, slots=True)
class Case:
    """What the desk writes down at once; `silence` is how long its conversation may rest."""

    tenant: Tenant
    profile: Profile
    inbound: Inbound
    silence: timedelta
    staff: Staff
    first_word: FirstWord
