"""The types a profile's fields may have, one module each, listed by the name profiles use."""

from collections.abc import Mapping

from ivr.leads.field_types.base import FieldType
from ivr.leads.field_types.choice import Choice
from ivr.leads.field_types.email import Email
from ivr.leads.field_types.flag import Flag
from ivr.leads.field_types.free_text import FreeText
from ivr.leads.field_types.money import Money
from ivr.leads.field_types.person_name import PersonName
from ivr.leads.field_types.phone import Phone
from ivr.leads.field_types.place import Place
from ivr.leads.field_types.us_phone import UsPhone
from ivr.leads.field_types.us_zip import UsZip
from ivr.leads.field_types.vehicle import VehicleMake, VehicleModel
from ivr.leads.field_types.year import Year
from ivr.leads.field_types.yes_no import YesNo

TYPES: Mapping[str, FieldType] = {
    "person_name": PersonName(),
    "us_phone": UsPhone(),
    "phone": Phone(),
    "us_zip": UsZip(),
    "year": Year(),
    "vehicle_make": VehicleMake(),
    "vehicle_model": VehicleModel(),
    "choice": Choice(),
    "yes_no": YesNo(),
    "free_text": FreeText(),
    "email": Email(),
    "money": Money(),
    "place": Place(),
    "flag": Flag(),
}
