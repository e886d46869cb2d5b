# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The preparation of a machine: its components one after the other, in one process on the node."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from .api_endpoint import component as api_endpoint
from .api_endpoint.options import Endpoint, EndpointOptions
from .containerd import apply as containerd_apply
from .containerd import observe as containerd_observe
from .containerd import plan as containerd_plan
from .containerd import pull
from .containerd.options import ContainerdOptions
from .core import versions
from .core.errors import KubesteadError
from .core.options import checked
from .core.step import Step
from .core.system import System
from .host import prepare as host
from .packages import kube_observe, kube_plan, manager, transaction
from .packages.kube_state import KubePackagesOptions

#: In the order in which they are applied: kubeadm names the sandbox image that containerd is configured with.
COMPONENTS = ("host", "kube_packages", "containerd", "api_endpoint", "images")

# Seconds that one image may take. The kubelet pulls what is missing.
_PULL_TIMEOUT = 300.0


@dataclass(frozen=True)
class Expected:
    """The values from the plan that are not options of the host.

    ``kubeadm_version`` is the version once the packages are installed, for a dry run; ``extra_packages`` are installed
    in the same transaction as the kube packages, by this run; ``images`` are those to pull. ``api_endpoint`` is None if
    there is no plan.
    """

    kubeadm_version: str = ""
    extra_packages: List[str] = field(default_factory=list)
    images: List[str] = field(default_factory=list)
    api_endpoint: Optional[Endpoint] = None


@dataclass
class Report:
    """What was done, or in a dry run would be. ``seconds`` maps a component to the time it took."""

    steps: List[Step] = field(default_factory=list)
    warnings: List[str] = field(default_factory=list)
    seconds: Dict[str, float] = field(default_factory=dict)


class Preparation:
    """Applies components to a machine. With ``check_mode`` nothing is changed."""

    def __init__(self, system: System, expected: Expected, check_mode: bool = False) -> None:
        self.system = system
        self.expected = expected
        self.check_mode = check_mode
        self.report = Report()
        # The version of the kubeadm that this run has installed: a start of kubeadm takes 40 ms of CPU time.
        self._kubeadm = ""

    def run(self, components: Sequence[str], options: Mapping[str, Mapping[str, Any]]) -> Report:
        """Apply the components in their order, whatever order they are given in.

        Raises :class:`KubesteadError` that begins with the component; what was done before is in the details.
        """
        work: Dict[str, Callable[[Mapping[str, Any]], None]] = {
            "host": self._host,
            "kube_packages": self._kube_packages,
            "containerd": self._containerd,
            "api_endpoint": self._api_endpoint,
            "images": self._images,
        }
        for name in COMPONENTS:
            if name not in components:
                continue
            started = time.monotonic()
            try:
                work[name](options.get(name) or {})
            except KubesteadError as err:
                done = [] if self.check_mode else [step.public() for step in self.report.steps]
                details = dict(err.details, component=name, steps=done, changed=bool(done))
                raise KubesteadError("{0}: {1}".format(name, err.message), details) from err
            self.report.seconds[name] = round(time.monotonic() - started, 2)
        return self.report

    def _apply(self, steps: Sequence[Step], apply: Callable[[Step, System], Any]) -> None:
        for step in steps:
            if not self.check_mode:
                apply(step, self.system)
            self.report.steps.append(step)

    def _host(self, given: Mapping[str, Any]) -> None:
        options = checked("options.host", host.HostOptions, given)
        options.validate()
        state = host.observe(self.system, options.kernel_modules, list(options.sysctls))
        for problem in host.problems(state, options):
            if problem.level == "error":
                raise KubesteadError(problem.line)
            self.report.warnings.append(problem.line)
        self._apply(host.plan(state, options), host.apply)

    def _kube_packages(self, given: Mapping[str, Any]) -> None:
        options = checked("options.kube_packages", KubePackagesOptions, given)
        options.validate()
        state = kube_observe.observe(self.system, options.url, options.request)
        self.report.warnings += [
            problem.line for problem in kube_plan.problems(state, options) if problem.level == "warning"
        ]
        self._apply(kube_plan.plan(state, options, self.expected.extra_packages), kube_plan.apply)
        self._kubeadm = str(versions.parse(kube_plan.planned_packages(state, options).get("kubeadm", "")) or "")

    def _containerd(self, given: Mapping[str, Any]) -> None:
        options = checked("options.containerd", ContainerdOptions, given)
        options.validate()
        version = self.expected.kubeadm_version if self.check_mode else self._kubeadm
        state = containerd_observe.observe(self.system, options.image_repository, reveal=True, kubeadm_version=version)
        state = containerd_plan.assume_version(state, version, options.image_repository)
        missing = [] if self._comes_with_others(state.packages) else containerd_plan.planned_packages(state, options)
        if missing:
            self._install(missing)
            if not self.check_mode:
                known = state.kubeadm_version
                state = containerd_observe.observe(self.system, options.image_repository, True, kubeadm_version=known)
        steps = containerd_plan.plan(state, options, package_planned_elsewhere=True)
        self._apply(steps, containerd_apply.apply)
        # Whether another file overrides what was written shows only now.
        if steps and state.other_dropins and not self.check_mode:
            known = state.kubeadm_version
            state = containerd_observe.observe(self.system, options.image_repository, kubeadm_version=known)
        self.report.warnings += [problem.line for problem in containerd_plan.problems(state, options)]

    def _comes_with_others(self, installed: Mapping[str, str]) -> bool:
        """True in a dry run where the transaction of the kube packages installs the runtime as well."""
        return self.check_mode and bool(self.expected.extra_packages) and not installed

    def _install(self, names: Sequence[str]) -> None:
        wanted = [manager.Wanted(name) for name in names]
        state = manager.observe(self.system, wanted)
        self._apply(manager.plan(state, wanted, component="containerd"), transaction.apply)

    def _api_endpoint(self, _given: Mapping[str, Any]) -> None:
        endpoint = self.expected.api_endpoint
        if endpoint is not None:
            wanted = endpoint.virtual_ip.address if endpoint.virtual_ip else ""
            state = api_endpoint.observe(self.system, address=wanted)
            self._apply(api_endpoint.plan(state, EndpointOptions(), endpoint), api_endpoint.apply)

    def _images(self, _given: Mapping[str, Any]) -> None:
        missing = pull.observe(self.system, self.expected.images)
        report = pull.PullReport(pulled=missing)
        if not self.check_mode:
            report = pull.pull(self.system, missing, _PULL_TIMEOUT)
        for image, reason in report.failed.items():
            self.report.warnings.append("{0} can't be pulled yet: {1}".format(image, reason))
        self.report.steps += pull.plan(report.pulled)
