# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""containerd: what is read, what is wanted for each version of its configuration, what is planned and done."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tomllib
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import apply as containerd_apply
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import config as containerd_config
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import observe as containerd
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import plan as containerd_plan
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import registries, toml
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.options import (
    ContainerdOptions,
    RegistryCredential,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.state import (
    CERTS_D,
    CONFIG,
    DROPIN,
    PENDING,
    ContainerdState,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core import mappings
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict, from_variables, to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.tests.unit.support import FIXTURES, Machine, fixture

ROOT = Path(__file__).resolve().parents[5]
BINARIES = {"1.6.20": 2, "1.7.35": 2, "2.1.9": 3, "2.3.7": 4, "2.4.2": 4}
DOCKER = 'disabled_plugins = ["cri"]\n'
DEBIAN = fixture("containerd/debian-12.toml")
SECRET = "s3cr3t-pa55"
CRI = "io.containerd.grpc.v1.cri"
RUNTIME = "io.containerd.cri.v1.runtime"
# As apt-cache policy says it of a package that is not installed.
OFFERED = (
    "{0}:\n  Installed: (none)\n  Candidate: {1}\n  Version table:\n     {1} 500\n"
    "        500 http://mirror.example.org/debian bookworm/main amd64 Packages\n"
)
IMAGES = "io.containerd.cri.v1.images"


def node(machine: Machine, binary: str = "1.6.20", config: str | None = DEBIAN) -> Machine:
    """A Debian machine with a containerd that runs, answering as the real binary of that version did."""
    machine.put("/etc/os-release", "ID=debian\n")
    machine.answer("dpkg-query -W", "containerd\t1.6.20~ds1-1+deb12u3\tamd64\tinstalled\tinstall\t\n")
    machine.answer("containerd --version", f"containerd github.com/containerd/containerd {binary} x\n")
    machine.answer("containerd config default", fixture(f"containerd/default-{binary}.toml"))

    def migrate(argv: Sequence[str], stdin: str | None) -> Result:
        name = "docker" if "disabled_plugins" in (stdin or "") else "debian-12"
        return Result(0, fixture(f"containerd/migrate-{name}-{binary}.toml"))

    machine.answer("containerd --config /dev/stdin config migrate", migrate)
    machine.answer("containerd --config /dev/stdin config dump", lambda argv, stdin: Result(0, stdin or ""))
    machine.answer(
        ["containerd", "--config", CONFIG, "config", "dump"], lambda argv, stdin: Result(0, machine.read(CONFIG) or "")
    )
    machine.answer("systemctl show", "ActiveState=active\nUnitFileState=enabled\n")
    machine.answer("systemctl restart", "")
    machine.answer("ctr plugins ls", fixture(f"containerd/plugins-{'2.3.7' if BINARIES[binary] > 2 else '1.6.20'}.txt"))
    if config is not None:
        machine.put(CONFIG, config)
    return machine


def planned(machine: Machine, options: ContainerdOptions | None = None, **more: Any) -> list[Step]:
    wanted = options or ContainerdOptions(**more)
    return containerd_plan.plan(containerd.observe(machine, wanted.image_repository, reveal=True), wanted)


def carry_out(machine: Machine, options: ContainerdOptions | None = None, **more: Any) -> list[Step]:
    steps = planned(machine, options, **more)
    for step in steps:
        containerd_apply.apply(step, machine)
    return steps


def actions(steps: Sequence[Step]) -> list[str]:
    return [step.action for step in steps]


def reason(steps: Sequence[Step], action: str) -> str:
    return next(step.reason for step in steps if step.action == action)


# -- TOML


@pytest.mark.parametrize("path", sorted((FIXTURES / "containerd").glob("*.toml")), ids=lambda path: path.name)
def test_toml_reads_and_writes_what_containerd_writes(path: Path) -> None:
    text = path.read_text()
    assert toml.loads(text) == tomllib.loads(text)
    assert tomllib.loads(toml.dumps(toml.loads(text))) == tomllib.loads(text)


TRICKY = """
a.b."c.d" = 1 # comment
'lit#eral' = 'C:\\x'
s = "tab\\t quote\\" \\u00e9"
m = \"\"\"
one
two\\
   three\"\"\"
n = [1, 0x1F, 1_000, -2.5e3, true,
  "x", # in between
]
t = {k = "v", l.m = [1]}
d = 2026-11-23
[[list]]
x = 1
[[list]]
x = 2
[list.inner]
y = 3
"""


def test_toml_reads_the_rest_of_the_language() -> None:
    expected = tomllib.loads(TRICKY)
    assert toml.loads(TRICKY) == {**expected, "d": "2026-11-23"}
    assert tomllib.loads(toml.dumps(toml.loads(TRICKY))) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nb = [1,\n", "line 2: the array is not closed"),
        ("a = 1\na = 2", "line 2: key a is defined twice"),
        ("a = yes", "line 1: a value is expected; text needs quotes"),
        ("[a]\n[a]", "line 2: table a is defined twice"),
        ('\na = "x', "line 2: the text is not closed"),
        ("= 1", "line 1: a key is expected"),
        ("a = 1 b = 2", "line 1: the end of the line is expected"),
        ("a = 1\n[a.b]", "line 2: a.b is not a table"),
        ('a = "\\q"', "line 1: \\q is not an escape"),
    ],
)
def test_toml_says_what_is_wrong_and_where(text: str, message: str) -> None:
    with pytest.raises(toml.TomlError) as caught:
        toml.loads(text)
    assert caught.value.message == message
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(text)


# -- observing


@pytest.mark.parametrize(("binary", "schema"), BINARIES.items())
def test_the_schema_is_the_binarys_own(machine: Machine, binary: str, schema: int) -> None:
    state = containerd.observe(node(machine, binary))
    assert (state.version, state.schema, state.active, state.enabled, state.cri) == (binary, schema, True, True, "ok")
    assert state.default_sandbox.startswith("registry.k8s.io/pause:3.")
    assert state.has_bin_dirs == (schema > 2)


def test_the_state_survives_json(machine: Machine) -> None:
    state = containerd.observe(node(machine))
    assert from_dict(ContainerdState, json.loads(json.dumps(to_dict(state)))) == state


def test_a_bare_machine(machine: Machine) -> None:
    state = containerd.observe(machine)
    assert (state.schema, state.version, state.packages, state.cri) == (0, "", {}, "not running")
    steps = containerd_plan.plan(state, ContainerdOptions())
    assert actions(steps) == ["install", "write_config", "restart"]
    with pytest.raises(KubesteadError, match="not installed; install the package containerd.io first"):
        containerd_apply.apply(steps[0], machine)
    with pytest.raises(KubesteadError, match="containerd is not installed; install its package first"):
        containerd_apply.apply(steps[1], machine)


@pytest.mark.parametrize(
    ("files", "policy", "package"),
    [
        ({}, "", "containerd"),
        (
            {"/etc/apt/sources.list": "deb https://download.docker.com/linux/debian bookworm stable\n"},
            "",
            "containerd.io",
        ),
        (
            {"/etc/apt/sources.list": "# deb https://download.docker.com/linux/debian bookworm stable\n"},
            "",
            "containerd",
        ),
        (
            {"/etc/apt/sources.list.d/docker.sources": "Types: deb\nURIs: https://download.docker.com/linux/ubuntu\n"},
            "",
            "containerd.io",
        ),
        ({}, OFFERED.format("containerd.io", "2.1.4-1"), "containerd.io"),
        ({}, "containerd.io:\n  Installed: (none)\n  Candidate: (none)\n", "containerd"),
    ],
)
def test_the_package_on_debian(machine: Machine, files: dict[str, str], policy: str, package: str) -> None:
    machine.put("/etc/os-release", "ID=debian\n")
    for path, text in files.items():
        machine.put(path, text)
    machine.answer("apt-cache", policy)
    state = containerd.observe(machine)
    assert containerd_plan.package_name(state, ContainerdOptions()) == package
    assert containerd_plan.package_name(state, ContainerdOptions(package="mine")) == "mine"
    assert containerd_plan.problems(state, ContainerdOptions()) == []


@pytest.mark.parametrize(
    ("repo", "warned"),
    [
        ("[docker-ce-stable]\nbaseurl=https://download.docker.com/linux/centos/9/x86_64/stable\nenabled=1\n", False),
        ("[docker-ce-stable]\nbaseurl=https://mirror.example.com/docker\nenabled = 0\n[other]\nenabled=1\n", True),
        ("", True),
    ],
)
def test_the_package_on_the_rhel_family(machine: Machine, repo: str, warned: bool) -> None:
    machine.put("/etc/os-release", 'ID="rocky"\nID_LIKE="rhel centos fedora"\n')
    machine.put("/etc/yum.repos.d/docker-ce.repo", repo)
    state = containerd.observe(machine)
    assert containerd_plan.package_name(state, ContainerdOptions()) == "containerd.io"
    assert bool(containerd_plan.problems(state, ContainerdOptions())) == warned
    assert containerd_plan.problems(state, ContainerdOptions(package="mine")) == []


def test_an_installed_package_is_kept(machine: Machine) -> None:
    machine.put("/etc/os-release", 'ID="rocky"\nID_LIKE="rhel centos fedora"\n')
    machine.answer("rpm -q", "containerd.io\t2.1.4-1.el9\tx86_64\t\npackage containerd is not installed\n", rc=1)
    state = containerd.observe(machine)
    assert state.packages == {"containerd.io": "2.1.4-1.el9"}
    assert containerd_plan.package_name(state, ContainerdOptions()) == "containerd.io"


def test_kubeadms_sandbox_image(machine: Machine) -> None:
    node(machine)
    machine.answer("kubeadm config images list", fixture("containerd/images-1.35.0.txt"))
    options = ContainerdOptions(image_repository="registry.example.com/k8s")
    # One that is newer than this collection is asked.
    machine.answer("kubeadm version -o short", "v1.99.0\n")
    state = containerd.observe(machine, options.image_repository)
    assert machine.ran[-1][-2:] == ["--image-repository", "registry.example.com/k8s"]
    assert "--kubernetes-version" in machine.ran[-1]
    assert containerd_config.sandbox_image(state, options) == "registry.example.com/k8s/pause:3.10.1"
    assert containerd_config.sandbox_image(state, ContainerdOptions(sandbox_image="x/pause:1")) == "x/pause:1"
    machine.answer("kubeadm config images list", "", rc=1)
    known = containerd.observe(machine, options.image_repository, kubeadm_version="1.35.0")
    assert known.kubeadm_sandbox == state.kubeadm_sandbox
    # Its own default differs by version.
    assert containerd.observe(machine, "", kubeadm_version="1.35.0").kubeadm_sandbox == ""


def test_the_sandbox_image_can_be_pinned_by_its_digest(machine: Machine) -> None:
    node(machine)
    state = containerd.observe(machine)
    image = "registry.k8s.io/pause:3.10.1@sha256:" + "0a" * 32
    options = ContainerdOptions(sandbox_image=image)
    options.validate()
    assert containerd_config.sandbox_image(state, options) == image
    with pytest.raises(OptionError, match="containerd_sandbox_image is not the name of an image"):
        ContainerdOptions(sandbox_image=image[:-1]).validate()


def test_the_sandbox_image_without_kubeadm(machine: Machine) -> None:
    state = containerd.observe(node(machine))
    assert containerd_config.sandbox_image(state, ContainerdOptions()) == ""
    assert (
        containerd_config.sandbox_image(state, ContainerdOptions(image_repository="r.example/k"))
        == "r.example/k/pause:3.6"
    )


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (fixture("containerd/plugins-1.6.20.txt"), "ok"),
        (fixture("containerd/plugins-2.3.7.txt"), "ok"),
        ("io.containerd.grpc.v1  cri  linux/amd64  error\n", "its plugin is in state error"),
        ("io.containerd.grpc.v1  images  -  ok\n", "its plugin is not loaded"),
    ],
)
def test_the_state_of_cri(text: str, status: str) -> None:
    assert containerd.cri_status(text) == status


# -- the configuration


def effective(config: dict[str, Any], schema: int) -> tuple[Any, ...]:
    runtime, images = (CRI, CRI) if schema == 2 else (RUNTIME, IMAGES)
    plugins = config["plugins"]
    cni = plugins[runtime]["cni"]
    sandbox = plugins[images].get("sandbox_image") if schema == 2 else plugins[images]["pinned_images"]["sandbox"]
    return (
        config["version"],
        config["disabled_plugins"],
        plugins[runtime]["containerd"]["runtimes"]["runc"],
        sandbox,
        plugins[images]["registry"]["config_path"],
        cni.get("bin_dirs") or [cni["bin_dir"]],
        config["imports"],
    )


@pytest.mark.parametrize(("binary", "schema"), BINARIES.items())
def test_the_configuration_has_everything_in_its_place(machine: Machine, binary: str, schema: int) -> None:
    state = containerd.observe(node(machine, binary, config=None))
    config = containerd_config.desired_config(state, ContainerdOptions(sandbox_image="r/pause:9"), state.config)
    assert effective(tomllib.loads(containerd_config.render_config(config)), schema) == (
        schema,
        [],
        {"runtime_type": "io.containerd.runc.v2", "options": {"SystemdCgroup": True}},
        "r/pause:9",
        CERTS_D,
        ["/opt/cni/bin"],
        ["/etc/containerd/conf.d/*.toml"],
    )
    assert ("bin_dir" in config["plugins"][CRI if schema == 2 else RUNTIME]["cni"]) == (schema == 2)


@pytest.mark.parametrize("binary", BINARIES)
@pytest.mark.parametrize("original", [None, DEBIAN, DOCKER], ids=["none", "debian", "docker"])
def test_a_first_run_changes_the_file_and_a_second_nothing(machine: Machine, binary: str, original: str | None) -> None:
    node(machine, binary, original)
    first = carry_out(machine)
    assert actions(first) == ["write_config", "restart"]
    assert machine.read(CONFIG + ".before-kubestead") == original
    assert machine.read(PENDING) is None
    assert "SystemdCgroup" in reason(first, "restart")
    assert planned(machine) == []
    assert machine.read(CONFIG + ".before-kubestead") == original


def test_the_reasons_name_the_meaning(machine: Machine) -> None:
    steps = planned(node(machine))
    assert reason(steps, "write_config") == (
        "cni.bin_dir /usr/lib/cni -> /opt/cni/bin, registry.config_path default -> /etc/containerd/certs.d, "
        "SystemdCgroup false -> true, imports /etc/containerd/conf.d"
    )
    assert '-bin_dir = "/usr/lib/cni"'[1:] in steps[0].before
    assert "SystemdCgroup = true" in steps[0].after


def test_docker_switches_cri_off_and_we_on(machine: Machine) -> None:
    node(machine, "2.3.7", DOCKER)
    steps = carry_out(machine)
    assert reason(steps, "write_config").startswith("version 1 -> 4, cri plugin disabled -> enabled, ")
    assert tomllib.loads(machine.read(CONFIG) or "")["disabled_plugins"] == []


def test_other_settings_stay(machine: Machine) -> None:
    node(machine)
    machine.put(
        CONFIG,
        'version = 2\nroot = "/data"\n'
        f'disabled_plugins = ["io.containerd.snapshotter.v1.zfs", "{CRI}"]\n'
        f'[plugins."{CRI}".containerd]\ndefault_runtime_name = "nvidia"\n'
        f'[plugins."{CRI}".containerd.runtimes.nvidia]\nruntime_type = "io.containerd.runc.v2"\n'
        f'[plugins."{CRI}".containerd.runtimes.nvidia.options]\nBinaryName = "/usr/bin/nvidia-container-runtime"\n'
        f'[plugins."{CRI}".containerd.runtimes.kata]\nruntime_type = "io.containerd.kata.v2"\n'
        f'[plugins."{CRI}".registry.configs."r.example".auth]\nusername = "me"\npassword = "{SECRET}"\n',
    )
    steps = carry_out(machine)
    config = tomllib.loads(machine.read(CONFIG) or "")
    runtimes = config["plugins"][CRI]["containerd"]["runtimes"]
    assert config["root"] == "/data"
    assert config["disabled_plugins"] == ["io.containerd.snapshotter.v1.zfs"]
    assert config["plugins"][CRI]["containerd"]["default_runtime_name"] == "nvidia"
    assert runtimes["nvidia"]["options"] == {"BinaryName": "/usr/bin/nvidia-container-runtime", "SystemdCgroup": True}
    assert runtimes["kata"] == {"runtime_type": "io.containerd.kata.v2"}
    assert config["plugins"][CRI]["registry"]["configs"]["r.example"]["auth"]["password"] == SECRET
    assert SECRET not in repr([(step.reason, step.before, step.after) for step in steps])
    assert machine.mode(CONFIG) == 0o600
    assert "SystemdCgroup of runtime nvidia false -> true" in reason(steps, "restart")
    assert planned(machine) == []


def test_registries_in_the_old_place_stay_until_there_are_new_ones(machine: Machine) -> None:
    node(machine)
    machine.put(CONFIG, f'version = 2\n[plugins."{CRI}".registry.mirrors."docker.io"]\nendpoint = ["https://m"]\n')
    carry_out(machine)
    registry = tomllib.loads(machine.read(CONFIG) or "")["plugins"][CRI]["registry"]
    assert registry == {"mirrors": {"docker.io": {"endpoint": ["https://m"]}}}
    steps = carry_out(machine, registry_mirrors={"docker.io": ["https://m"]})
    assert "registry.mirrors removed" in reason(steps, "restart")
    assert tomllib.loads(machine.read(CONFIG) or "")["plugins"][CRI]["registry"] == {"config_path": CERTS_D}


def test_another_form_of_the_same_is_no_change(machine: Machine) -> None:
    node(machine)
    carry_out(machine)
    text = machine.read(CONFIG) or ""
    machine.put(CONFIG, "# mine\n" + text.replace(" = ", "="))
    assert planned(machine) == []


def test_drift_is_seen(machine: Machine) -> None:
    node(machine)
    carry_out(machine)
    machine.put(CONFIG, (machine.read(CONFIG) or "").replace("SystemdCgroup = true", "SystemdCgroup = false"))
    steps = planned(machine)
    assert [(step.action, step.reason) for step in steps] == [
        ("write_config", "SystemdCgroup false -> true"),
        ("restart", "SystemdCgroup false -> true"),
    ]


def test_a_file_that_is_no_toml_is_replaced_and_kept_aside(machine: Machine) -> None:
    node(machine, config="version = 2\nfoo = [\n")
    steps = carry_out(machine)
    assert reason(steps, "write_config") == "the file is invalid (line 2: the array is not closed)"
    assert machine.read(CONFIG + ".broken") == "version = 2\nfoo = [\n"
    assert planned(machine) == []


@pytest.mark.parametrize(
    ("binary", "text", "wrong"),
    [
        (
            "1.6.20",
            f'version = 2\n[[plugins."{CRI}".containerd.runtimes]]\na = 1\n',
            "containerd.runtimes is not a table",
        ),
        ("1.6.20", f'version = 2\nplugins."{CRI}".containerd.runtimes = 1\n', "containerd.runtimes is not a table"),
        (
            "1.6.20",
            f'version = 2\nplugins."{CRI}".containerd.runtimes.runc = "x"\n',
            "containerd.runtimes.runc is not a table",
        ),
        (
            "1.6.20",
            f'version = 2\nplugins."{CRI}".registry.config_path = ["/a"]\n',
            "registry.config_path is not a string",
        ),
        (
            "1.6.20",
            f'version = 2\nplugins."{CRI}".registry.configs.a.tls = 1\n',
            "registry.configs.a.tls is not a table",
        ),
        (
            "2.3.7",
            f'version = 2\n[[plugins."{CRI}".containerd.runtimes]]\na = 1\n',
            "containerd.runtimes is not a table",
        ),
        ("2.3.7", f'version = 3\nplugins."{RUNTIME}".cni = "/etc/cni"\n', "cni is not a table"),
        ("2.3.7", f'version = 3\nplugins."{IMAGES}".pinned_images = ["pause"]\n', "pinned_images is not a table"),
        ("2.3.7", "version = true\n", "version is True"),
    ],
)
def test_a_file_of_other_types_is_replaced_and_kept_aside(machine: Machine, binary: str, text: str, wrong: str) -> None:
    node(machine, binary, text)
    steps = carry_out(machine)
    said = reason(steps, "write_config")
    assert said.startswith("the file is invalid (") and said.endswith(wrong + ")")
    assert machine.read(CONFIG + ".broken") == text
    assert planned(machine) == []


def test_types_of_plugins_that_are_not_ours_are_left_to_containerd(machine: Machine) -> None:
    node(machine, config='version = 2\n[plugins."io.example.v1.own"]\ncontainerd = 1\nregistry = "x"\n')
    assert "invalid" not in reason(planned(machine), "write_config")


def test_what_containerd_refuses_is_not_written(machine: Machine) -> None:
    node(machine)
    machine.answer("containerd --config /dev/stdin config dump", Result(1, "", "containerd: no such thing\n"))
    with pytest.raises(KubesteadError, match="config.toml: containerd: no such thing"):
        carry_out(machine)
    assert machine.read(CONFIG) == DEBIAN
    assert machine.read(PENDING) is None


@pytest.mark.parametrize(
    ("show", "plugins", "expected"),
    [
        ("ActiveState=inactive\nUnitFileState=enabled\n", "", [("restart", "not running")]),
        ("ActiveState=inactive\nUnitFileState=disabled\n", "", [("enable", "not enabled"), ("restart", "not running")]),
        (
            "ActiveState=active\nUnitFileState=enabled\n",
            "io.containerd.grpc.v1 cri linux/amd64 error\n",
            [("restart", "the CRI service fails: its plugin is in state error")],
        ),
    ],
)
def test_the_service(machine: Machine, show: str, plugins: str, expected: list[tuple[str, str]]) -> None:
    node(machine)
    carry_out(machine)
    machine.answer("systemctl show", show)
    machine.answer("ctr plugins ls", plugins)
    assert [(step.action, step.reason) for step in planned(machine)] == expected


def test_a_run_that_was_killed_before_the_restart(machine: Machine) -> None:
    node(machine)
    for step in planned(machine)[:-1]:
        containerd_apply.apply(step, machine)
    assert [(step.action, step.reason) for step in planned(machine)] == [
        ("restart", "an interrupted run changed the configuration")
    ]
    carry_out(machine)
    assert planned(machine) == []


def test_a_restart_that_fails_says_why(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    node(machine)
    monkeypatch.setattr(containerd_apply, "PROBE_SECONDS", 0.0)
    machine.answer("ctr plugins ls", Result(1, "", 'ctr: failed to dial "/run/containerd/containerd.sock"\n'))
    machine.answer("journalctl", 'level=info msg="starting"\ncontainerd: invalid plugin config\nStopped.\n')
    with pytest.raises(KubesteadError) as caught:
        carry_out(machine)
    assert "\n" not in caught.value.message
    assert "does not serve CRI after the restart: does not answer: ctr: failed to dial" in caught.value.message
    assert "(containerd: invalid plugin config); see 'journalctl -u containerd'" in caught.value.message
    assert machine.exists(PENDING)


def test_another_drop_in_that_takes_systemd_cgroups_away(machine: Machine) -> None:
    node(machine)
    carry_out(machine)
    machine.put("/etc/containerd/conf.d/99-nvidia.toml", "version = 2\n")
    dump = fixture("containerd/default-1.6.20.toml")
    machine.answer(["containerd", "--config", CONFIG, "config", "dump"], dump)
    problems = containerd_plan.problems(containerd.observe(machine), ContainerdOptions())
    assert [problem.message for problem in problems] == [
        "/etc/containerd/conf.d/99-nvidia.toml overrides SystemdCgroup = true"
    ]
    machine.answer(["containerd", "--config", CONFIG, "config", "dump"], f'disabled_plugins = ["{CRI}"]\n')
    problems = containerd_plan.problems(containerd.observe(machine), ContainerdOptions())
    assert problems[0].message == "/etc/containerd/conf.d/99-nvidia.toml disables the cri plugin"


def test_containerd_is_only_asked_what_it_uses_if_another_drop_in_may_change_it(machine: Machine) -> None:
    asked = ["containerd", "--config", CONFIG, "config", "dump"]
    node(machine)
    carry_out(machine)
    machine.ran.clear()
    containerd.observe(machine)
    assert asked not in machine.ran
    machine.put("/etc/containerd/conf.d/99-nvidia.toml", "version = 2\n")
    containerd.observe(machine)
    assert asked in machine.ran


# -- the drop-in

OWN = f'[plugins."{CRI}"]\nrestrict_oom_score_adj = true\n'


def test_the_drop_in_for_containerd_1_repeats_the_section(machine: Machine) -> None:
    node(machine)
    steps = carry_out(machine, config_dropin=OWN)
    assert actions(steps) == ["write_dropin", "write_config", "restart"]
    dropin = tomllib.loads(machine.read(DROPIN) or "")
    main = tomllib.loads(machine.read(CONFIG) or "")
    assert dropin["version"] == 2
    assert dropin["plugins"][CRI] == {**main["plugins"][CRI], "restrict_oom_score_adj": True}
    assert "restrict_oom_score_adj" not in main["plugins"][CRI]
    assert planned(machine, config_dropin=OWN) == []
    changed = planned(machine, config_dropin=OWN, sandbox_image="x/pause:1")
    assert actions(changed) == ["write_dropin", "write_config", "restart"]
    assert actions(carry_out(machine)) == ["remove_dropin", "restart"]
    assert machine.read(DROPIN) is None


def test_the_drop_in_for_containerd_2(machine: Machine) -> None:
    node(machine, "2.3.7", None)
    carry_out(machine, config_dropin=OWN)
    # Written for containerd 1.x, and containerd 2 is told so.
    assert tomllib.loads(machine.read(DROPIN) or "") == {
        "version": 2,
        "plugins": {CRI: {"restrict_oom_score_adj": True}},
    }
    own = f'[plugins."{RUNTIME}"]\nrestrict_oom_score_adj = true\n'
    carry_out(machine, config_dropin=own)
    assert tomllib.loads(machine.read(DROPIN) or "")["version"] == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = [", "containerd_config_dropin is not TOML: line 1: the array is not closed; correct this line"),
        (
            'version = "2"\n',
            "containerd_config_dropin can't be read by containerd: version is '2'; correct it",
        ),
        ("plugins = 1\n", "containerd_config_dropin can't be read by containerd: plugins is not a table; correct it"),
        (
            f'[[plugins."{CRI}".containerd.runtimes]]\na = 1\n',
            f"containerd_config_dropin can't be read by containerd: {CRI} containerd.runtimes is not a table; "
            "correct it",
        ),
        (
            f'plugins."{CRI}" = 1\n',
            f"containerd_config_dropin can't be read by containerd: {CRI} is not a table; correct it",
        ),
        (
            "version = 3\n",
            "containerd_config_dropin has version 3, but containerd 1.6.20 supports at most 2; write it in version 2",
        ),
        (
            f'[plugins."{RUNTIME}"]\na = 1\n',
            f"containerd_config_dropin sets {RUNTIME}, which containerd 1.6.20 does not have; set {CRI} instead",
        ),
    ],
)
def test_a_drop_in_that_can_not_be(machine: Machine, text: str, message: str) -> None:
    node(machine)
    options = ContainerdOptions(config_dropin=text)
    with pytest.raises(OptionError) as caught:
        planned(machine, options)
    assert caught.value.message == message
    assert [problem.level for problem in containerd_plan.problems(containerd.observe(machine), options)] == ["error"]


# -- registries

CREDENTIALS = [
    RegistryCredential("registry.example.com:5000", "puller", SECRET),
    RegistryCredential("docker.io", "me", "pw"),
]


def hosts(machine: Machine, registry: str) -> dict[str, Any]:
    return tomllib.loads(machine.read(f"{CERTS_D}/{registry}/hosts.toml") or "")


def test_mirrors(machine: Machine) -> None:
    node(machine)
    pem = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----"
    mirrors = {
        "docker.io": ["https://m1.example.com/", {"url": "http://m2.example.com:5000/v2/x", "override_path": True}],
        "quay.io": {"mirrors": [{"url": "https://m1.example.com", "ca": pem, "skip_verify": True}], "fallback": False},
        "_default": "https://all.example.com",
        "own.example.com": [{"url": "https://own.example.com", "ca": "/etc/ssl/own.pem"}],
    }
    carry_out(machine, registry_mirrors=mirrors)
    own = {"capabilities": ["pull", "resolve"]}
    assert hosts(machine, "docker.io") == {
        "server": "https://registry-1.docker.io",
        "capabilities": ["pull", "resolve", "push"],
        "host": {
            "https://m1.example.com": own,
            "http://m2.example.com:5000/v2/x": {**own, "override_path": True},
        },
    }
    authority = f"{CERTS_D}/quay.io/kubestead-0.crt"
    assert hosts(machine, "quay.io") == {
        "server": "https://m1.example.com",
        **own,
        "ca": authority,
        "skip_verify": True,
    }
    assert machine.read(authority) == pem + "\n"
    assert hosts(machine, "_default") == {"host": {"https://all.example.com": own}}
    assert hosts(machine, "own.example.com") == {"server": "https://own.example.com", **own, "ca": "/etc/ssl/own.pem"}
    assert planned(machine, registry_mirrors=mirrors) == []
    mirrors["docker.io"] = list(reversed(mirrors["docker.io"]))  # type: ignore[arg-type]
    steps = planned(machine, registry_mirrors=mirrors)
    assert [(step.action, step.reason) for step in steps] == [("write_hosts", "different mirrors")]
    gone = carry_out(machine)
    assert sorted(actions(gone)) == ["remove_ca"] + ["remove_hosts"] * 4
    assert machine.names(CERTS_D) == []


def test_a_password_in_a_users_own_files_shows_nowhere(machine: Machine) -> None:
    node(machine)
    address = "https://bob:s3cret@mirror.example.com"
    machine.write(f"{CERTS_D}/quay.io/hosts.toml", f'[host."{address}"]\n  capabilities = ["pull"]\n')
    state = containerd.observe(machine)
    assert "s3cret" not in repr(state) and "https://bob:<hidden>@mirror.example.com" in repr(state)
    steps = planned(machine, registry_mirrors={"quay.io": "https://all.example.com"})
    assert "write_hosts" in actions(steps) and "s3cret" not in repr([(one.before, one.after) for one in steps])


def test_registries_need_no_restart(machine: Machine) -> None:
    node(machine)
    carry_out(machine)
    assert actions(carry_out(machine, registry_mirrors={"docker.io": ["https://m"]})) == ["write_hosts"]


def test_files_of_others_stay_unless_asked_for(machine: Machine) -> None:
    node(machine)
    carry_out(machine)
    path = f"{CERTS_D}/docker.io/hosts.toml"
    machine.put(path, 'server = "https://x"\n')
    assert planned(machine) == []
    steps = carry_out(machine, registry_mirrors={"docker.io": ["https://m"]})
    assert reason(steps, "write_hosts") == "replaces a file that was not created by this collection"
    assert machine.read(path + ".before-kubestead") == 'server = "https://x"\n'


@pytest.mark.parametrize("binary", ["1.6.20", "2.3.7"])
def test_credentials(machine: Machine, binary: str) -> None:
    node(machine, binary, None)
    options = ContainerdOptions(
        registry_credentials=CREDENTIALS, registry_mirrors={"quay.io": ["https://registry.example.com:5000"]}
    )
    steps = carry_out(machine, options)
    header = {"Authorization": "Basic cHVsbGVyOnMzY3IzdC1wYTU1"}
    assert hosts(machine, "registry.example.com:5000")["header"] == header
    assert hosts(machine, "docker.io")["server"] == "https://registry-1.docker.io"
    assert hosts(machine, "docker.io")["header"] == {"Authorization": "Basic bWU6cHc="}
    assert hosts(machine, "quay.io")["host"]["https://registry.example.com:5000"]["header"] == header
    assert "header" not in hosts(machine, "quay.io")
    for name in machine.names(CERTS_D):
        assert machine.mode(f"{CERTS_D}/{name}/hosts.toml") == 0o600
    configs = mappings.get(tomllib.loads(machine.read(CONFIG) or ""), ["plugins", CRI, "registry", "configs"])
    if binary == "1.6.20":
        assert configs["registry-1.docker.io"]["auth"] == {"username": "me", "password": "pw"}
        assert machine.mode(CONFIG) == 0o600
    else:
        assert configs is None
    shown = json.dumps([dataclasses.asdict(dataclasses.replace(step, data={})) for step in steps]) + repr(steps)
    for secret in (SECRET, "cHVsbGVyOnMzY3IzdC1wYTU1", "bWU6cHc="):
        assert secret not in shown
        assert secret not in json.dumps(to_dict(containerd.observe(machine)))
    assert planned(machine, options) == []

    other = dataclasses.replace(
        options, registry_credentials=[RegistryCredential("docker.io", "me", "new"), CREDENTIALS[0]]
    )
    changed = planned(machine, other)
    assert reason(changed, "write_hosts") == "different credentials"
    if binary == "1.6.20":
        assert reason(changed, "restart") == "registry.configs.registry-1.docker.io.auth.password changed"
    else:
        assert actions(changed) == ["write_hosts"]

    carry_out(machine)
    assert machine.names(CERTS_D) == []
    assert "password" not in (machine.read(CONFIG) or "")
    assert planned(machine) == []


def test_credentials_leave_the_configuration_with_containerd_1(machine: Machine) -> None:
    options = ContainerdOptions(registry_credentials=CREDENTIALS)
    carry_out(node(machine, "1.6.20", None), options)
    auth = {"auth": {"username": "me", "password": "pw"}}
    migrated = {
        "version": 4,
        "plugins": {IMAGES: {"registry": {"configs": {"registry-1.docker.io": auth, "other.example": auth}}}},
    }
    node(machine, "2.3.7", None)
    machine.answer("containerd --config /dev/stdin config migrate", toml.dumps(migrated))
    machine.put(CONFIG, "version = 2\n")
    carry_out(machine, options)
    registry = tomllib.loads(machine.read(CONFIG) or "")["plugins"][IMAGES]["registry"]
    assert registry == {"config_path": CERTS_D, "configs": {"other.example": auth}}


def test_on_the_control_machine_credentials_are_not_known(machine: Machine) -> None:
    node(machine)
    options = ContainerdOptions(registry_credentials=CREDENTIALS, config_dropin=OWN)
    carry_out(machine, options)
    state = containerd.observe(machine)
    public = dataclasses.replace(options, registry_credentials=[])
    steps = containerd_plan.plan(state, public, ["registry_credentials"])
    assert [(step.action, step.reason) for step in steps] == [
        ("compare", "credentials can only be compared on the node")
    ]
    assert "remove_hosts" in actions(containerd_plan.plan(state, public))


def test_open_files_with_credentials_are_closed(machine: Machine) -> None:
    node(machine)
    options = ContainerdOptions(registry_credentials=CREDENTIALS)
    carry_out(machine, options)
    (machine.folder / "etc/containerd/certs.d/docker.io/hosts.toml").chmod(0o644)
    assert [step.reason for step in carry_out(machine, options)] == ["mode 0644 -> 0600"]
    assert planned(machine, options) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"registry_mirrors": {"docker.io": []}}, "containerd_registry_mirrors['docker.io'] is not a list of URLs"),
        ({"registry_mirrors": {"docker.io": ["m.example"]}}, "has 'm.example', which is not a URL"),
        ({"registry_mirrors": {"docker.io": ["https://a:b@m.example"]}}, "has a user name or password in an address"),
        ({"registry_mirrors": {"docker.io": ["htps://a:b@m.example"]}}, "has a user name or password in an address"),
        ({"registry_mirrors": {"docker.io": [{"url": "a:b@m"}]}}, "has a user name or password in an address"),
        ({"registry_mirrors": {"a:b@docker.io": ["https://m"]}}, "has a user name or password in an address"),
        ({"registry_mirrors": {"docker.io\n": ["https://m"]}}, "not a registry"),
        (
            {"registry_mirrors": {"https://docker.io": ["https://m"]}},
            "has 'https://docker.io', which is not a registry",
        ),
        ({"registry_mirrors": {"../x": ["https://m"]}}, "has '../x', which is not a registry"),
        ({"registry_mirrors": {"docker.io": [{"url": "https://m", "ca_file": "x"}]}}, "has an unknown key 'ca_file'"),
        ({"registry_mirrors": {"docker.io": [{"url": "https://m", "ca": "x"}]}}, "neither a path nor a certificate"),
        (
            {"registry_credentials": [RegistryCredential("r.example", "me", "")]},
            "registry_credentials[0] has an empty value",
        ),
        ({"cni_bin_dir": "bin"}, "containerd_cni_bin_dir is 'bin', not an absolute path"),
        ({"package": "containerd.io=1.7.27-1"}, "containerd_package is 'containerd.io=1.7.27-1', not the name of a"),
        ({"package": "-y"}, "containerd_package is '-y', not the name of a package"),
        ({"registry_mirrors": {"docker.io": [{"url": "https://m", "skip_verify": "maybe"}]}}, "skip_verify is 'maybe'"),
        ({"registry_mirrors": {"docker.io": [{"url": "https://m", "capabilities": "pull"}]}}, "is a str, not a list"),
        ({"registry_mirrors": {"docker.io": [{"url": "https://m", "capabilities": 5}]}}, "is a int, not a list"),
        (
            {"registry_mirrors": {"docker.io": {"mirrors": ["https://m"], "fallback": []}}},
            "fallback is a list, not a b",
        ),
        ({"registry_mirrors": {"docker.io": ["https://m:99999"]}}, "'https://m:99999', which is not a URL"),
        ({"registry_mirrors": {"docker.io": "https://m https://n"}}, "which is not a URL"),
        ({"registry_mirrors": {"docker.io": [{"url": None}]}}, "has '', which is not a URL"),
    ],
)
def test_options_that_can_not_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        ContainerdOptions(**options).validate()
    assert message in caught.value.message
    assert "; " in caught.value.message
    assert "a:b" not in caught.value.message


def test_switches_of_mirrors_are_read_as_everywhere() -> None:
    """As text they come from the command line; "false" must not switch the check of certificates off."""
    one = {"url": "https://m.example", "ca": None, "skip_verify": "false", "override_path": "yes", "capabilities": None}
    (found,) = (
        ContainerdOptions(registry_mirrors={"docker.io": {"mirrors": [one], "fallback": "no"}}).mirrors().values()
    )
    (mirror,) = found.mirrors
    assert (mirror.skip_verify, mirror.override_path, found.fallback) == (False, True, False)
    assert (mirror.ca, mirror.capabilities) == ("", ["pull", "resolve"])


# -- the role


def test_the_roles_defaults_are_the_options(machine: Machine) -> None:
    defaults = yaml.safe_load((ROOT / "roles/containerd/defaults/main.yml").read_text())
    specs = yaml.safe_load((ROOT / "roles/containerd/meta/argument_specs.yml").read_text())
    described = specs["argument_specs"]["main"]["options"]
    own = {
        f"containerd_{field.name}": getattr(ContainerdOptions(), field.name)
        for field in dataclasses.fields(ContainerdOptions)
        if "var" not in field.metadata
    }
    assert defaults == own
    assert {name: entry["default"] for name, entry in described.items()} == own


def test_any_header_of_a_registry_is_a_credential(machine: Machine) -> None:
    text = (
        'server = "https://r.example"\n[header]\nPrivate-Token = "geheim"\nX-List = ["geheim", "b"]\n'
        '[host."https://m.example"]\ncapabilities = ["pull"]\n'
        '[host."https://m.example".header]\nCookie = "geheim"\nx-plain = "geheim"\n'
    )
    machine.put("/etc/containerd/certs.d/r.example/hosts.toml", text, 0o600)
    state = containerd.observe(machine)
    assert state.hosts[0].data["server"] == "https://r.example" and "geheim" not in repr(state)
    assert "Private-Token" in repr(state)
    assert registries.has_secret(containerd.observe(machine, reveal=True).hosts[0].data)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            [{"registry": "r.example", "user": "me", "password": "geheim"}],
            "[0] has an unknown key user; the keys are",
        ),
        ([{"registry": "r.example", "username": "me", "passwd": "geheim"}], "has an unknown key passwd"),
        ([{"registry": "r.example", "username": "me"}], "has an empty value"),
        ([{"registry": "https://me:geheim@r.example", "username": "a", "password": "b"}], "has an invalid registry"),
        ("r.example me geheim", "is a str, not a list"),
        (["r.example me geheim"], "[0] is a str, not a dictionary"),
        ({"r.example": {"username": "me", "password": "geheim"}}, "is a dict, not a list"),
        ([{"registry": "r.example", "username": "me", "password": ["geheim"]}], "password is a list, not text"),
    ],
    ids=str,
)
def test_credentials_are_checked_where_variables_are_read_and_never_shown(value: object, text: str) -> None:
    """In the preflight: later nobody has them but the task that writes them."""
    with pytest.raises(OptionError) as caught:
        from_variables(ContainerdOptions, "containerd", {"containerd_registry_credentials": value})
    assert caught.value.message.startswith("containerd_registry_credentials") and text in caught.value.message
    assert "geheim" not in caught.value.message


# -- what others configured


@pytest.mark.parametrize(
    ("config_path", "without", "with_mirrors"),
    [
        ("", CERTS_D, CERTS_D),
        (CERTS_D, CERTS_D, CERTS_D),
        (CERTS_D + "/", CERTS_D + "/", CERTS_D + "/"),
        ("/srv/registries", "/srv/registries", CERTS_D + ":/srv/registries"),
        (CERTS_D + ":/etc/docker/certs.d", CERTS_D + ":/etc/docker/certs.d", CERTS_D + ":/etc/docker/certs.d"),
        ("/a:/b", "/a:/b", CERTS_D + ":/a:/b"),
    ],
)
@pytest.mark.parametrize("binary", ["1.6.20", "2.3.7"])
def test_folders_of_registries_of_others_stay(
    machine: Machine, binary: str, config_path: str, without: str, with_mirrors: str
) -> None:
    schema = BINARIES[binary]
    images = CRI if schema == 2 else "io.containerd.cri.v1.images"
    text = f"version = {schema}\n[plugins.'{images}'.registry]\nconfig_path = '{config_path}'\n"
    node(machine, binary, text)
    state = containerd.observe(machine)

    def path(options: ContainerdOptions) -> Any:
        config = containerd_config.desired_config(state, options, state.config)
        return config["plugins"][images]["registry"]["config_path"]

    assert path(ContainerdOptions()) == without
    assert path(ContainerdOptions(registry_mirrors={"quay.io": ["https://m"]})) == with_mirrors


def test_mirrors_in_the_old_place_beside_a_binary_that_has_a_folder_by_default(machine: Machine) -> None:
    node(
        machine,
        "2.3.7",
        "version = 4\n[plugins.'io.containerd.cri.v1.images'.registry.mirrors.'x']\nendpoint = ['y']\n",
    )
    state = dataclasses.replace(containerd.observe(machine), default_registry_path="/etc/containerd/certs.d")
    config = containerd_config.desired_config(state, ContainerdOptions(), state.config)
    registry = config["plugins"]["io.containerd.cri.v1.images"]["registry"]
    assert registry == {"mirrors": {"x": {"endpoint": ["y"]}}, "config_path": ""}
    older = dataclasses.replace(state, default_registry_path="")
    config = containerd_config.desired_config(older, ContainerdOptions(), state.config)
    assert "config_path" not in config["plugins"]["io.containerd.cri.v1.images"]["registry"]


NVIDIA = """version = 2
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "nvidia"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
runtime_type = "io.containerd.runc.v2"
"""


@pytest.mark.parametrize(
    ("binary", "text", "refused"),
    [
        ("1.6.20", NVIDIA, True),
        ("1.6.20", '[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/x"\n', True),
        (
            "1.6.20",
            NVIDIA + '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]\nSystemdCgroup = true\n',
            False,
        ),
        ("1.6.20", '[plugins."io.containerd.snapshotter.v1.devmapper"]\npool_name = "x"\n', False),
        ("1.6.20", "[metrics]\naddress = '127.0.0.1:1338'\n", False),
        ("1.6.20", "not TOML", False),
        ("2.3.7", NVIDIA, False),
        (
            "2.3.7",
            "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n"
            "SystemdCgroup = false\n",
            True,
        ),
        (
            "2.3.7",
            "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]\n"
            "SystemdCgroup = false\n",
            True,
        ),
    ],
)
def test_a_drop_in_of_others_is_judged_before_the_first_run(
    machine: Machine, binary: str, text: str, refused: bool
) -> None:
    node(machine, binary, None)
    machine.put("/etc/containerd/conf.d/99-nvidia.toml", text)
    found = [one.message for one in containerd_plan.problems(containerd.observe(machine), ContainerdOptions())]
    told = "/etc/containerd/conf.d/99-nvidia.toml would override SystemdCgroup = true"
    assert found == ([told] if refused else [])


def test_a_configuration_that_is_a_link_stays_one(machine: Machine) -> None:
    node(machine)
    real = Path(machine.path("/srv/containerd.toml"))
    real.parent.mkdir(parents=True)
    Path(machine.path(CONFIG)).rename(real)
    Path(machine.path(CONFIG)).symlink_to(real)
    carry_out(machine)
    assert Path(machine.path(CONFIG)).is_symlink() and "SystemdCgroup = true" in real.read_text()
    assert machine.read(CONFIG + ".before-kubestead") == DEBIAN


def test_a_copy_of_a_file_with_a_password_is_for_root_alone(machine: Machine) -> None:
    node(machine)
    given = f'[plugins."{CRI}".registry.configs."r.example".auth]\nusername = "me"\npassword = "pw"\n'
    machine.put(CONFIG, DEBIAN + given, 0o644)
    carry_out(machine)
    assert machine.mode(CONFIG) == 0o600
    assert machine.mode(CONFIG + ".before-kubestead") == 0o600


def test_a_copy_without_a_password_has_the_mode_of_the_file(machine: Machine) -> None:
    node(machine)
    mode = machine.mode(CONFIG)
    carry_out(machine)
    assert machine.mode(CONFIG + ".before-kubestead") == mode == 0o644


def test_the_steps_name_the_copies(machine: Machine) -> None:
    node(machine)
    machine.put(f"{CERTS_D}/quay.io/hosts.toml", 'server = "https://x"\n')
    steps = {step.action: step for step in planned(machine, registry_mirrors={"quay.io": ["https://m"]})}
    assert steps["write_config"].backup == CONFIG + ".before-kubestead"
    assert steps["write_hosts"].backup == f"{CERTS_D}/quay.io/hosts.toml.before-kubestead"
    carry_out(machine, registry_mirrors={"quay.io": ["https://m"]})
    steps = {step.action: step for step in planned(machine, registry_mirrors={"quay.io": ["https://n"]})}
    assert [step.backup for step in steps.values()] == [""]


# -- machines that are nodes already

JOINED = {
    "/etc/kubernetes/kubelet.conf": "kind: Config\n",
    "/var/lib/kubelet/config.yaml": "kind: KubeletConfiguration\ncgroupDriver: {0}\n",
}


def join(machine: Machine, driver: str, kubeadm: str = "v1.35.0") -> Machine:
    """A machine whose kubelet is configured for a cgroup driver."""
    for path, text in JOINED.items():
        machine.put(path, text.format(driver))
    machine.answer("kubeadm version", kubeadm)
    return machine


def typed(machine: Machine, *changes: tuple[str, str]) -> str:
    """The default configuration with what a handbook has one change, as text."""
    text = fixture("containerd/default-1.6.20.toml")
    for before, after in (("SystemdCgroup = false", "SystemdCgroup = true"), *changes):
        assert before in text
        text = text.replace(before, after)
    return re.sub(r'sandbox_image = ".*"', 'sandbox_image = "registry.k8s.io/pause:3.10.1"', text)


def test_a_typed_configuration_that_has_all_that_is_needed_stays(machine: Machine) -> None:
    node(join(machine, "systemd"), config=typed(machine))
    assert planned(machine) == []


@pytest.mark.parametrize(
    "options",
    [
        {"registry_mirrors": {"docker.io": ["https://m.example"]}},
        {"registry_credentials": [RegistryCredential("r.example", "me", "geheim")]},
        {"config_dropin": "oom_score = -500\n"},
    ],
    ids=str,
)
def test_it_is_changed_for_what_the_variables_want(machine: Machine, options: dict[str, Any]) -> None:
    node(join(machine, "systemd"), config=typed(machine))
    assert {"write_config", "restart"} <= set(actions(planned(machine, **options)))


def test_one_difference_that_counts_brings_all_of_them(machine: Machine) -> None:
    node(join(machine, "systemd"), config=typed(machine, ("SystemdCgroup = true", "SystemdCgroup = false")))
    why = reason(planned(machine), "write_config")
    assert "SystemdCgroup false -> true" in why and "imports /etc/containerd/conf.d" in why


def test_a_node_keeps_the_cgroup_driver_of_its_kubelet(machine: Machine) -> None:
    """The kubelet is not restarted with containerd, and new pods of it would fail."""
    old = (("SystemdCgroup = true", "SystemdCgroup = false"),)
    node(join(machine, "cgroupfs"), config=typed(machine, *old))
    assert planned(machine) == []
    found = containerd_plan.problems(containerd.observe(machine), ContainerdOptions())
    assert [(one.check, one.level) for one in found] == [("cgroup_driver", "warning")]
    # Both must agree: what differs from the kubelet is corrected.
    node(machine, config=typed(machine))
    assert "SystemdCgroup true -> false" in reason(planned(machine), "write_config")


@pytest.mark.parametrize(
    ("files", "driver"),
    [
        ({}, "systemd"),
        ({"/var/lib/kubelet/config.yaml": "cgroupDriver: cgroupfs\n"}, "systemd"),
        ({"/etc/kubernetes/kubelet.conf": "", "/var/lib/kubelet/config.yaml": "cgroupDriver: 'systemd'\n"}, "systemd"),
        ({"/etc/kubernetes/kubelet.conf": "", "/var/lib/kubelet/config.yaml": "kind: X\n"}, "cgroupfs"),
        (
            {
                "/etc/kubernetes/kubelet.conf": "",
                "/var/lib/kubelet/config.yaml": "kind: X\n",
                "/var/lib/kubelet/kubeadm-flags.env": 'KUBELET_KUBEADM_ARGS="--cgroup-driver=systemd --v=2"\n',
            },
            "systemd",
        ),
    ],
    ids=str,
)
def test_the_cgroup_driver_of_a_kubelet(machine: Machine, files: dict[str, str], driver: str) -> None:
    node(machine)
    for path, text in files.items():
        machine.put(path, text)
    assert containerd.observe(machine, kubeadm_version="1.35.0").cgroup_driver == driver


@pytest.mark.parametrize(
    ("group", "driver"), [("kubepods", "cgroupfs"), ("kubepods.slice", "systemd"), ("x", "systemd")]
)
def test_a_newer_kubelet_takes_the_driver_of_the_runtime(machine: Machine, group: str, driver: str) -> None:
    """Its configuration does not count; what it has created does."""
    node(join(machine, "cgroupfs" if driver == "systemd" else "systemd"), "2.3.7")
    machine.put(f"/sys/fs/cgroup/{group}/cgroup.procs")
    assert containerd.observe(machine, kubeadm_version="1.35.0").cgroup_driver == driver


def test_a_cgroup_that_a_reset_has_left_does_not_count(machine: Machine) -> None:
    node(machine, "2.3.7")
    machine.put("/sys/fs/cgroup/kubepods/cgroup.procs")
    assert containerd.observe(machine, kubeadm_version="1.35.0").cgroup_driver == "systemd"


@pytest.mark.parametrize("pattern", ["/etc/containerd/more/*.toml", "more/*.toml", "/etc/containerd/more/99-x.toml"])
def test_files_that_the_configuration_imports_from_elsewhere_are_judged_too(machine: Machine, pattern: str) -> None:
    node(machine, config=f'version = 2\nimports = ["{pattern}"]\n')
    machine.put(
        "/etc/containerd/more/99-x.toml",
        "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options]\nSystemdCgroup = false\n",
    )
    found = [one.message for one in containerd_plan.problems(containerd.observe(machine), ContainerdOptions())]
    assert found == ["/etc/containerd/more/99-x.toml would override SystemdCgroup = true"]
