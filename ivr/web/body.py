"""The body of a request, or its query, as a model."""

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """What is sent; a name that is not here is refused, and named."""

    model_config = ConfigDict(extra="forbid")
