"""A query parameter that nobody reads is refused: a name that is mistyped would else give another result in silence."""

from collections.abc import Iterator

from fastapi.dependencies.models import Dependant
from starlette.requests import HTTPConnection

from models.errors import InvalidInput

_SHOWN = 40


async def require_known(connection: HTTPConnection) -> None:
    """Refuse what neither the route nor anything that it depends on declares; raises InvalidInput."""
    if not connection.query_params:
        return
    known = set(_declared(connection.scope["route"].dependant))
    for name in connection.query_params:
        if name not in known:
            told = f"those known are {', '.join(sorted(known))}" if known else "there are none"
            raise InvalidInput(
                f"The parameter {name[:_SHOWN]!r} is not known here; {told}.",
                at=f"query.{name[:_SHOWN]}",
                code="unknown_parameter",
            )


def _declared(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        yield field.alias
    for inner in dependant.dependencies:
        yield from _declared(inner)
