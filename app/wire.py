"""Types that several wire schemas share: bounded numbers, names that are safe to print, times."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer
from pydantic_core import PydanticCustomError


def _number(value: Any) -> Any:
    # What pydantic would take for a number too: JSON has numbers of its own, and a client that sends others errs.
    if isinstance(value, bool | str):
        raise PydanticCustomError("number_type", "Input should be a number")
    return value


NoText = BeforeValidator(_number)
"""Stands last in a number's annotation, or else pydantic leaves the bounds out of the description."""
# Far beyond any rig, near enough that no product of two overflows.
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9), NoText]


def printable(text: str) -> str:
    """The text, which must not hold control characters."""
    if not text.isprintable():
        raise ValueError("it must not hold control characters")
    return text


def _multiline(text: str) -> str:
    if not all(character.isprintable() or character in "\n\r\t" for character in text):
        raise ValueError("it must not hold control characters")
    return text


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(printable)]
Tag = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(printable)]
Notes = Annotated[str, Field(max_length=10_000), AfterValidator(_multiline)]
Time = Annotated[datetime, PlainSerializer(lambda moment: moment.isoformat().replace("+00:00", "Z"), when_used="json")]
Studio = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9 ._-]*$")]
Id = Annotated[str, Path(min_length=1, max_length=40)]
