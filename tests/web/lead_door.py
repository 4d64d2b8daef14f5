"""What tests of the REST API of leads do at its door, and how they look behind it."""

import uuid
from typing import Any

from sqlmodel import col, select

from ivr.db.tables import (
    Conversation,
    Transition,
)
from tests.channels.world import World
from tests.leads.cast import rows, until

DOOR = "/api/v1/leads"
WHOLE = {
    "name": "John Doe",
    "phone": "(770) 555-0123",
    "source": "trade fair",
    "fields": {
        "zip_code": "30093",
        "vehicle_year": 2020,
        "vehicle_make": "yamaha",
        "vehicle_model": "MT-07",
    },
}
NOBODY = "00000000-0000-4000-8000-000000000000"


async def create(w: World, body: Any = WHOLE, *, status: int = 201, **headers: str) -> Any:
    response = await w.http.post(DOOR, json=body, headers=headers)
    assert response.status_code == status, response.text
    return response.json()


async def get(w: World, lead_id: str) -> Any:
    response = await w.http.get(f"{DOOR}/{lead_id}")
    assert response.status_code == 200, response.text
    return response.json()


async def patch(w: World, lead_id: str, body: Any, *, status: int = 200) -> Any:
    response = await w.http.patch(f"{DOOR}/{lead_id}", json=body)
    assert response.status_code == status, response.text
    return response.json()


async def moves(w: World, lead_id: str, axis: str) -> list[tuple[str | None, str, str, str]]:
    query = select(Transition).where(
        Transition.lead_id == uuid.UUID(lead_id), Transition.axis == axis
    )
    async with w.db.read() as session:
        found = (await session.exec(query.order_by(col(Transition.seq)))).all()
    return [(row.from_value, row.to_value, row.actor, row.reason) for row in found]


async def finished(w: World) -> None:
    """Wait until the road has no conversation left."""

    async def is_over() -> bool:
        return all(one.status == "finished" for one in await rows(w.db, Conversation))

    await until(is_over)
