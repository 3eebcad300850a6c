"""What all parts of the client share: a transport, and documents read into values."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from app.retries import ClientError
from app.transport import Transport

Model = TypeVar("Model", bound=BaseModel)


class Calls:
    """Requests to one service, answered with typed values."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _ask(self, model: type[Model], method: str, path: str, **options: Any) -> Model:
        return read(model, self._transport.json(method, path, **options))

    def _list(self, model: type[Model], path: str, **params: Any) -> Iterator[Model]:
        given = {name: value for name, value in params.items() if value is not None}
        return (read(model, item) for item in self._transport.items(path, given))

    def _download(self, path: str, target: Path) -> Path:
        with self._transport.stream("GET", path) as response:
            return write(response, target)


def without_none(**values: Any) -> Mapping[str, Any]:
    """The values that were given."""
    return {name: value for name, value in values.items() if value is not None}


def read(model: type[Model], document: Any) -> Model:
    """The typed value of a document; raises ClientError where the service speaks of something else."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step) for step in (model.__name__, *fault["loc"]))
        raise ClientError(
            f"The service answers what this client does not know ({place}: {fault['msg']}); is it of another version?"
        ) from error


def write(response: httpx.Response, target: Path) -> Path:
    """Stream the body to ``target``, which is only there once all of it has come."""
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target
