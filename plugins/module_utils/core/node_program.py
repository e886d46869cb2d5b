# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node's side of a module call: reads the options, prints one line of JSON, and writes a line to the system log.

The control machine has already checked the options against the module's argument spec
(``plugin_utils/node_payload.py``). This file implements the parts of Ansible's AnsibleModule that the collection needs;
AnsibleModule itself is not sent to the node.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import syslog
from typing import Any, Dict, Mapping

from .ansible_module import outcome
from .call import Call, masked, secrets_of
from .redact import redact

NOT_LOGGED = "NOT_LOGGING_PARAMETER"


def main(name: str, arguments: str) -> None:
    """Run a module by its full name with Ansible's arguments (JSON), print its result, and exit."""
    answer = run(name, json.loads(arguments))
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()
    raise SystemExit(1 if answer.get("failed") else 0)


def run(name: str, given: Mapping[str, Any]) -> Dict[str, Any]:
    """The module's result without secrets. An unexpected exception becomes a failure with a traceback."""
    module = importlib.import_module(name)
    # bootstrap.start disabled it for the imports.
    gc.enable()
    spec: Dict[str, Dict[str, Any]] = module.argument_spec()
    params = {option: _param(one, given.get(option)) for option, one in spec.items()}
    call = Call(params, bool(given.get("_ansible_check_mode")))
    call.hide(*secrets_of(spec, params))
    log(name, spec, call, given)
    try:
        answer = outcome(call, module.work)
    except Exception as err:
        import traceback

        msg = "Module failed: {0}: {1}".format(type(err).__name__, err)
        answer = {"failed": True, "msg": redact(msg), "exception": redact(traceback.format_exc())}
    if call.warnings:
        answer["warnings"] = call.warnings
    return {key: masked(value, call.hidden) for key, value in answer.items()}


def _param(one: Mapping[str, Any], value: Any) -> Any:
    """An option's value. ``~`` and variables in a path are expanded on the node."""
    if one.get("type") == "path" and isinstance(value, str):
        return os.path.expanduser(os.path.expandvars(value))
    return value


def log(name: str, spec: Mapping[str, Mapping[str, Any]], call: Call, given: Mapping[str, Any]) -> None:
    """Write the module's name and its options to the system log, as Ansible's modules do.

    Nothing is written if the task sets ``no_log`` or Ansible's configuration sets ``no_target_syslog``.
    """
    if given.get("_ansible_no_log"):
        return
    shown = [
        "{0}={1}".format(option, NOT_LOGGED if spec[option].get("no_log") else redact(str(value)))
        for option, value in call.params.items()
    ]
    words = [str(given.get("_ansible_target_log_info") or ""), "Invoked with", *shown]
    text = masked(" ".join(word for word in words if word), call.hidden).replace("\x00", "\ufffd")
    facility = getattr(syslog, str(given.get("_ansible_syslog_facility")), syslog.LOG_USER)
    syslog.openlog("ansible-kubestead.cluster." + name.rpartition(".")[2], 0, facility)
    syslog.syslog(syslog.LOG_INFO, text.encode("utf-8", "replace").decode("utf-8"))
