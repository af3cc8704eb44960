"""From pydantic's error locations back to the file: the key path, the model it belongs to, and whether it is secret."""

from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, WithJsonSchema
from pydantic.fields import FieldInfo

from mcwatch.option_types import Secret
from mcwatch.settings.document import KeyPath


@dataclass(frozen=True)
class Place:
    """Where in the configuration a problem is."""

    path: KeyPath
    model: type[BaseModel] | None
    """The model that the last key is, or should be, a field of."""
    secret: bool
    """Whether the value there must not be shown."""
    kind: str | None = None
    """``duration`` or ``size`` where numbers are written in such a way."""


def locate(root: type[BaseModel], location: tuple[int | str, ...]) -> Place:
    """Follow a location of pydantic's, which holds the tags of unions beside the keys."""
    path: list[str | int] = []
    annotation: object = root
    owner: type[BaseModel] | None = None
    secret = False
    kind: str | None = None
    for step in location:
        annotation, members = _open(annotation)
        if members:
            # A union: the step is the tag of the member that was tried.
            annotation = next((member for member in members if _has_tag(member, step)), None)
            continue
        owner = annotation if _is_model(annotation) else None
        path.append(step)
        annotation, hidden = _below(annotation, step)
        kind = _kind(annotation)
        secret = secret or hidden
    return Place(tuple(path), owner, secret or _open(annotation)[0] is Secret, kind)


def key_names(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a model by the names they have in the file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _below(annotation: object, step: int | str) -> tuple[object, bool]:
    """Return the type of what stands under a key or index, and whether it is marked as not to be shown."""
    if _is_model(annotation):
        field = key_names(annotation).get(str(step))
        if field is None:
            return None, True
        return Annotated[field.annotation, field], not field.repr
    arguments = get_args(annotation)
    if get_origin(annotation) in {list, tuple, set, frozenset} and arguments:
        return arguments[0], False
    if get_origin(annotation) is dict and len(arguments) == 2:
        return arguments[1], False
    return None, False


def _kind(annotation: object) -> str | None:
    """Return the notation that Annotated types of option_types.py carry, within Optional too."""
    for argument in get_args(annotation):
        marks = [argument, *argument.metadata] if isinstance(argument, FieldInfo) else [argument]
        for mark in marks:
            if isinstance(mark, WithJsonSchema) and mark.json_schema:
                return str(mark.json_schema.get("x-kind"))
        if found := _kind(argument):
            return found
    return None


def _open(annotation: object) -> tuple[object, list[object]]:
    """Take off Annotated and Optional; return the type, or the members of a union that errors are tagged by."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in {Union, UnionType}:
        # A word beside another type (discover, or a list) is told apart by its value, not by a tag.
        members = [m for m in get_args(annotation) if m is not type(None) and get_origin(m) is not Literal]
        if len(members) == 1:
            return _open(members[0])
        return annotation, members
    return annotation, []


def _has_tag(member: object, tag: int | str) -> bool:
    member, _ = _open(member)
    if not _is_model(member):
        return False
    kind = key_names(member).get("type")
    return kind is not None and get_origin(kind.annotation) is Literal and tag in get_args(kind.annotation)


def _is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
