# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options, warnings and secrets of one module call. Secrets are removed from all output."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Set

#: The replacement for a secret option, and for a secret within a text; the same as Ansible's.
IN_PLACE = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
STARS = "*" * 8


class Call:
    """One call of a module: its checked options, and whether it may change anything.

    ``warnings`` are shown in addition to the result. ``hidden`` are the secrets that are removed from the output.
    """

    def __init__(self, params: Mapping[str, Any], check_mode: bool = False) -> None:
        self.params: Dict[str, Any] = dict(params)
        self.check_mode = check_mode
        self.warnings: List[str] = []
        self.hidden: Set[str] = set()

    def warn(self, text: str) -> None:
        """Show a warning in addition to the result."""
        self.warnings.append(text)

    def hide(self, *secrets: str) -> None:
        """Remove secrets from all output of the module. An empty text is ignored."""
        self.hidden.update(secret for secret in secrets if secret)


def secrets_of(spec: Mapping[str, Mapping[str, Any]], params: Mapping[str, Any]) -> Set[str]:
    """All texts in options that the argument spec marks with ``no_log``."""
    return {text for name, one in spec.items() if one.get("no_log") for text in _texts(params.get(name))}


def _texts(value: Any) -> Set[str]:
    if isinstance(value, Mapping):
        return {text for one in value.values() for text in _texts(one)}
    if isinstance(value, (list, tuple, set)):
        return {text for one in value for text in _texts(one)}
    if value is None or isinstance(value, bool):
        return set()
    return {str(value)} - {""}


def masked(value: Any, secrets: Set[str]) -> Any:
    """Plain data whose texts and numbers contain no secrets. The names of fields are not changed."""
    if not secrets or value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return {name: masked(one, secrets) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(one, secrets) for one in value]
    text = str(value)
    if text in secrets:
        return IN_PLACE
    found = [secret for secret in secrets if secret in text]
    if found and not isinstance(value, str):
        return IN_PLACE
    # The longest secret is replaced first, so that no part of it remains.
    for secret in sorted(found, key=len, reverse=True):
        text = text.replace(secret, STARS)
    return text if found else value
