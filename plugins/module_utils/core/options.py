# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dataclasses as data: to and from plain dictionaries, and from Ansible variables.

A component's options are a frozen dataclass. Its fields are the role's variables: ``package`` of the component
``containerd`` is ``containerd_package``, unless the metadata of the field name another one (:func:`var`).
"""

from __future__ import annotations

import dataclasses
import re
import typing
from types import MappingProxyType
from typing import Any, Dict, Mapping, Type, TypeVar

from . import untrusted
from .errors import OptionError

T = TypeVar("T")
_NONE_TYPE = type(None)


# An address with a user name or a password in any option; one with spaces in it is not an address.
_CREDENTIALS = re.compile(r":/+[^\s@]*@")
# Metadata of a field that is an address, which may be given without its scheme; of one that may be a path too.
ADDRESS: Mapping[str, Any] = MappingProxyType({"credentials": "@"})
PATH_OR_ADDRESS: Mapping[str, Any] = MappingProxyType({"credentials": ":.*@"})

# Metadata of a field whose value must not leave the task that gets it.
SECRET: Mapping[str, Any] = MappingProxyType({"secret": True})
# The cache of field_types.
_TYPES: Dict[Type[Any], Dict[str, Any]] = {}


def var(name: str) -> Dict[str, str]:
    """Metadata of a field whose variable is ``name``, not ``<component>_<field>``."""
    return {"var": name}


def to_dict(value: Any) -> Any:
    """A dataclass (or list, mapping of them) as plain data that JSON can carry."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_dict(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_dict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_dict(item) for item in value]
    return value


def field_types(cls: Type[Any]) -> Dict[str, Any]:
    """Name -> type of a dataclass's fields. The result is cached because Python has to evaluate annotations."""
    if cls not in _TYPES:
        _TYPES[cls] = typing.get_type_hints(cls)
    return _TYPES[cls]


def from_dict(cls: Type[T], data: Mapping[str, Any]) -> T:
    """The dataclass ``cls`` from plain data; unknown keys are left out, missing ones keep their default."""
    hints = field_types(cls)
    known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return cls(**{name: _convert(hints[name], item) for name, item in data.items() if name in known})


def variable_name(component: str, field: dataclasses.Field[Any]) -> str:
    """The Ansible variable behind an options field."""
    return str(field.metadata.get("var") or "{0}_{1}".format(component, field.name))


def from_variables(cls: Type[T], component: str, variables: Mapping[str, Any]) -> T:
    """Options from Ansible variables. A variable that is absent or None keeps the default.

    Raises :class:`OptionError`, naming the variable, for a value of another type than the field's, and for a secret in
    one that shows in output: what is refused here is recorded nowhere.
    """
    hints = field_types(cls)
    values: Dict[str, Any] = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        name = variable_name(component, field)
        value = variables.get(name)
        if value is None:
            continue
        if not field.metadata.get("secret"):
            refuse_credentials(name, value, str(field.metadata.get("credentials", "")))
        values[field.name] = checked(name, hints[field.name], value, bool(field.metadata.get("secret")))
    options = cls(**values)
    # Only the task that uses secret options receives them, so they are checked here.
    for name in ("refuse_secrets", "check_secrets"):
        check = getattr(options, name, None)
        if check is not None:
            check()
    return options


def refuse_credentials(option: str, value: Any, pattern: str = "") -> None:
    """Raise :class:`OptionError` for an address with a user name or password in a value; never shows it.

    The value may be a text, list or mapping. ``pattern`` additionally matches credentials in an option that is an
    address (:data:`ADDRESS`). Options are recorded in facts and in the journals of machines, and addresses in files
    that all users can read.
    """
    if isinstance(value, str):
        if "@" in value and (_CREDENTIALS.search(value) or (pattern and re.search(pattern, value))):
            raise OptionError(
                option,
                "has a user name or password in an address",
                "remove it from the address; set registry credentials in containerd_registry_credentials",
            )
    elif isinstance(value, Mapping):
        for name, item in value.items():
            refuse_credentials(option, name, pattern)
            refuse_credentials(option, item, pattern)
    elif isinstance(value, (list, tuple)):
        for item in value:
            refuse_credentials(option, item, pattern)


def public_fields(value: Any) -> Dict[str, Any]:
    """The fields of an options dataclass without those marked secret, as plain data."""
    return {
        field.name: to_dict(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if not field.metadata.get("secret")
    }


def checked(name: str, hint: Any, value: Any, secret: bool = False) -> Any:
    """A value as the type of its field. Raises :class:`OptionError`, without the value if it is ``secret``."""
    origin = typing.get_origin(hint)
    if origin is typing.Union:
        inner = [item for item in typing.get_args(hint) if item is not _NONE_TYPE]
        return checked(name, inner[0], value, secret)
    if hint is bool:
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("true", "yes", "on", "1"):
            return True
        if str(value).lower() in ("false", "no", "off", "0"):
            return False
        raise OptionError(name, "is {0}, not a boolean".format(_shown(value, secret)), "use true or false")
    if hint is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        try:
            return int(str(value))
        except ValueError:
            raise OptionError(name, "is {0}, not an integer".format(_shown(value, secret)), "use a number") from None
    if hint is str:
        if isinstance(value, (Mapping, list, tuple, bool)):
            raise OptionError(name, "is {0}, not text".format(_kind(value)), "put it in quotes")
        return str(value)
    if origin is list:
        if not isinstance(value, (list, tuple)):
            raise OptionError(name, "is {0}, not a list".format(_kind(value)), "use a YAML list")
        (inner_hint,) = typing.get_args(hint) or (Any,)
        if secret or inner_hint is str or dataclasses.is_dataclass(inner_hint):
            return [
                checked("{0}[{1}]".format(name, at), inner_hint, item, secret)
                for at, item in enumerate(value)
                if item is not None
            ]
        return _convert(hint, value)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise OptionError(name, "is {0}, not a dictionary".format(_kind(value)), "use a YAML dictionary")
        inner_hint = (typing.get_args(hint) or (str, Any))[1]
        if inner_hint not in (str, bool):
            return _convert(hint, value)
        return {
            key: checked("{0}[{1!r}]".format(name, key), inner_hint, _text_of(item, inner_hint), secret)
            for key, item in ((str(_text_of(key, str)), item) for key, item in value.items())
        }
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _checked_fields(name, hint, value, secret)
    return value


def _text_of(value: Any, hint: Any) -> Any:
    """A scalar in YAML's spelling, for an option that must be text. null becomes an empty text."""
    if hint is str and (value is None or isinstance(value, bool)):
        return "" if value is None else str(value).lower()
    return value


def _checked_fields(name: str, cls: Type[T], value: Any, secret: bool) -> T:
    """A dataclass within an option. Missing keys have their defaults, unknown keys are refused.

    The values of fields with the metadata :data:`SECRET` are not shown.
    """
    if not isinstance(value, Mapping):
        raise OptionError(name, "is {0}, not a dictionary".format(_kind(value)), "use a YAML dictionary")
    hints = field_types(cls)
    secrets = {field.name: bool(field.metadata.get("secret")) for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    fields = list(secrets)
    unknown = sorted(str(key) for key in value if key not in fields)
    if unknown:
        # A key may be a secret too.
        text = "has an unknown key {0}".format(unknown[0] if len(unknown[0]) <= 20 or not secret else "")
        raise OptionError(name, text, "the keys are {0}".format(", ".join(fields)))
    return cls(
        **{
            field: checked("{0}.{1}".format(name, field), hints[field], value[field], secret or secrets[field])
            for field in fields
            if value.get(field) is not None
        }
    )


def _kind(value: Any) -> str:
    """The kind of a value, for messages: the value itself may contain a password."""
    return "a {0}".format(untrusted.type_name(value))


def _shown(value: Any, secret: bool) -> str:
    """A value as messages show it; only its type if it is secret or a collection."""
    if value is None:
        return "null"
    plain = isinstance(value, (str, int, float)) and len(str(value)) <= 100
    return repr(value) if plain and not secret else _kind(value)


def _convert(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin is typing.Union:
        inner = [item for item in arguments if item is not _NONE_TYPE]
        return _convert(inner[0], value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return from_dict(hint, value)
    if origin is list:
        return [_convert(arguments[0], item) for item in value]
    if origin is dict:
        return {key: _convert(arguments[1], item) for key, item in value.items()}
    return value
