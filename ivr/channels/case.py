"""One thing that came in, whose it is, and what the installation can do. Plain data."""

from dataclasses import dataclass
from datetime import timedelta

from ivr.channels.first_word import FirstWord
from ivr.channels.inbound import Inbound
from ivr.db.tables import Tenant
from ivr.leads.attention.staff import Staff
from ivr.leads.profile import Profile

PAUSED = "came while the business was paused"  # why a person is to write back


@dataclass(frozen=True, slots=True)
class Case:
    """What the desk writes down at once; `silence` is how long its conversation may rest."""

    tenant: Tenant
    profile: Profile
    inbound: Inbound
    silence: timedelta
    staff: Staff
    first_word: FirstWord
