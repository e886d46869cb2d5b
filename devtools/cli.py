# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands of ``./dev``."""

from __future__ import annotations

import argparse
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import time
from typing import List, Optional, Sequence

from bench.arguments import add_arguments as add_bench_arguments
from lab import inventory, nodes
from lab.environment import ensure_venv, pip_configuration, tool_environment
from lab.machine import ROOT, MachineError, cache_dir, has, missing_packages, search_path, state_dir
from lab.node_image import remove_images
from lab.podman import remove_network
from lab.say import duration, say, step
from lab.sets import prepare_set
from lab.systems import SYSTEMS

from . import oldest

LAB_NODES = ("cp1", "w1", "w2")
PASSED_ON = ("KUBESTEAD_", "PIP_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(
        prog="./dev",
        description="The lab (Kubernetes nodes as containers on this machine) and the tests.",
        epilog="Environment: KUBESTEAD_BINARIES=/folder (Kubernetes binaries to use), KUBESTEAD_KUBERNETES="
        "upstream|binaries|debian, KUBESTEAD_SUBNET (the lab's network), KUBESTEAD_CACHE (default ~/.cache/kubestead).",
    )
    commands = top.add_subparsers(dest="command", metavar="command", required=True)

    lab = commands.add_parser("lab", help="create three nodes, a cluster on them, and a demo application")
    lab.add_argument("--fresh", action="store_true", help="replace existing nodes")
    add_systems(lab)
    lab.add_argument("--no-demo", action="store_true", help="do not deploy the demo application")
    lab.set_defaults(run=command_lab, root=True)

    down = commands.add_parser("lab-down", help="remove all nodes, the mirrors and the network; keep the cache")
    down.add_argument("--cache", action="store_true", help="also remove the cache and the node images")
    down.set_defaults(run=command_lab_down, root=True)

    group = commands.add_parser("nodes", help="create, destroy, restart or list nodes without a cluster")
    actions = group.add_subparsers(dest="action", metavar="action", required=True)
    create = actions.add_parser("create", help="create nodes; existing ones are kept")
    create.add_argument("names", nargs="+", metavar="node")
    create.add_argument(
        "--control-plane",
        metavar="a,b",
        help="the control planes; by default all names that begin with cp, else the first name",
    )
    add_systems(create)
    create.add_argument("--fresh", action="store_true", help="replace existing nodes")
    create.add_argument("--same-address", action="store_true", help="new nodes get the addresses of those they replace")
    create.add_argument(
        "--mirror-names-only", action="store_true", help="do not resolve the upstream names to the mirror"
    )
    create.add_argument(
        "--no-mirror", action="store_true", help="use this machine's own apt sources instead of the mirror"
    )
    create.add_argument(
        "--podman",
        action="append",
        default=[],
        metavar="ARG",
        help="another argument for podman create; may be repeated",
    )
    create.set_defaults(run=command_nodes_create)
    destroy = actions.add_parser("destroy", help="remove nodes; all of the set if none is named")
    destroy.add_argument("names", nargs="*", metavar="node")
    destroy.set_defaults(run=command_nodes_destroy)
    restart = actions.add_parser("restart", help="reboot nodes; all of the set if none is named")
    restart.add_argument("names", nargs="*", metavar="node")
    restart.set_defaults(run=command_nodes_restart)
    show = actions.add_parser("list", help="list the nodes")
    show.set_defaults(run=command_nodes_list)
    for action in (create, destroy, restart, show):
        action.add_argument("--set", dest="set_name", default=None if action is show else inventory.DEFAULT_SET)
        action.set_defaults(root=True)

    test = commands.add_parser("test", help="run all tests; the last line is 'N passed, N failed'")
    test.add_argument("--only", metavar="part", action="append", help="lint, unit, e2e or molecule; may be repeated")
    test.set_defaults(run=command_test, root=True)
    lint = commands.add_parser("lint", help="run the linters and ansible-test sanity")
    lint.set_defaults(run=command_lint, root=False)
    unit = commands.add_parser(
        "unit",
        help="run the unit tests, those of node code also on PyPy; arguments go to pytest alone",
    )
    unit.set_defaults(run=command_unit, root=False, rest=True)
    molecule = commands.add_parser("molecule", help="run all molecule scenarios, or the named ones")
    molecule.add_argument("scenarios", nargs="*", metavar="scenario")
    molecule.set_defaults(run=command_molecule, root=True)
    e2e = commands.add_parser("e2e", help="run the end-to-end tests; further arguments go to pytest")
    e2e.set_defaults(run=command_e2e, root=True, rest=True)
    faults = commands.add_parser("faults", help="test every fault at every moment; further arguments go to pytest")
    faults.set_defaults(run=command_faults, root=True, rest=True)
    bench = commands.add_parser("bench", help="measure on lab nodes; docs/performance.md has the latest figures")
    add_bench_arguments(bench)
    bench.set_defaults(run=command_bench, root=True)
    docs = commands.add_parser("docs", help="write the tables of variables in the README")
    docs.set_defaults(run=command_docs, root=False)
    commands.add_parser("help", help="show this text").set_defaults(run=lambda _: top.print_help(), root=False)
    return top


def add_systems(parser: argparse.ArgumentParser) -> None:
    """Add the option for the operating systems of nodes."""
    parser.add_argument(
        "--systems",
        metavar="a,b",
        type=lambda text: tuple(text.split(",")),
        default=(),
        help=f"systems of the nodes in their order, the last for all others: {', '.join(SYSTEMS)}; "
        "by default this machine's own",
    )


def main(argv: Sequence[str]) -> int:
    """Run one command and return the exit code."""
    options, rest = parser().parse_known_args(list(argv) or ["help"])
    if rest and not getattr(options, "rest", False):
        parser().error(f"unknown argument {rest[0]}")
    options.rest = rest
    if options.root and os.geteuid() != 0:
        return as_root(argv)
    if options.run in (command_lab_down, command_nodes_destroy, command_nodes_list) and not has("podman"):
        say("podman is not installed, so there are no nodes")
        return 0
    os.environ["PATH"] = search_path(os.environ.get("PATH", ""))
    try:
        code = options.run(options)
    except MachineError as err:
        say(f"./dev {options.command}: {err}")
        code = 1
    except KeyboardInterrupt:
        code = 130
    finally:
        hand_back()
    return int(code or 0)


def as_root(argv: Sequence[str]) -> int:
    """Run the same command through sudo, with this user's cache and settings."""
    if not shutil.which("sudo"):
        say("./dev: nodes need root and sudo is not installed; run ./dev as root")
        return 1
    kept = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON) or name.lower() in PROXIES}
    kept["KUBESTEAD_CACHE"] = str(cache_dir())
    kept.update(pip_configuration())
    ask = [] if sys.stdin and sys.stdin.isatty() else ["-n"]
    given = [f"{name}={value}" for name, value in sorted(kept.items())]
    return subprocess.run(["sudo", *ask, "env", *given, sys.executable, str(ROOT / "dev"), *argv]).returncode


def hand_back() -> None:
    """Give the files that root wrote for a user, through sudo, to that user."""
    user = os.environ.get("SUDO_UID")
    if os.geteuid() != 0 or not user or user == "0":
        return
    entry = pwd.getpwuid(int(user))
    tops = [state_dir(), ROOT / "inventories" / "lab", ROOT / "docs"]
    if pathlib.Path(entry.pw_dir) in cache_dir().parents:
        tops.append(cache_dir())
    for top in tops:
        for folder, folders, files in os.walk(top):
            for name in (".", *folders, *files):
                os.chown(os.path.join(folder, name), entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def tool(argv: Sequence[str]) -> int:
    """Run a tool of the Python environment in the checkout with its output shown; return its exit code."""
    venv = ensure_venv()
    return subprocess.run(
        [str(venv / "bin" / argv[0]), *argv[1:]], stdin=subprocess.DEVNULL, env=tool_environment(venv), cwd=ROOT
    ).returncode


# -- nodes


def command_nodes_create(options: argparse.Namespace) -> int:
    """``./dev nodes create``"""
    planes: Optional[List[str]] = options.control_plane.split(",") if options.control_plane else None
    made = nodes.Options(
        upstream_names=not options.mirror_names_only,
        machine_apt=options.no_mirror,
        fresh=options.fresh,
        same_address=options.same_address,
        extra=tuple(options.podman),
        systems=options.systems,
    )
    path = prepare_set(options.set_name, options.names, made, planes, mirror=not options.no_mirror)
    say(f"inventory: {os.path.relpath(path)}")
    return 0


def command_nodes_destroy(options: argparse.Namespace) -> int:
    """``./dev nodes destroy``"""
    gone = nodes.destroy(options.set_name, options.names)
    if not nodes.listed(options.set_name):
        inventory.remove(options.set_name)
    say(f"removed from {options.set_name}: {' '.join(gone) or 'nothing'}")
    return 0


def command_nodes_restart(options: argparse.Namespace) -> int:
    """``./dev nodes restart``"""
    nodes.restart(options.set_name, options.names)
    return 0


def command_nodes_list(options: argparse.Namespace) -> int:
    """``./dev nodes list``"""
    for node in nodes.listed(options.set_name):
        say(f"{node.set_name:<16} {node.name:<16} {node.address:<16} {node.state:<10} {node.system}")
    return 0


# -- the lab


def command_lab(options: argparse.Namespace) -> int:
    """``./dev lab``"""
    from lab import demo

    began = time.monotonic()
    venv = ensure_venv()
    path = prepare_set(
        inventory.DEFAULT_SET, LAB_NODES, nodes.Options(fresh=options.fresh, systems=options.systems), renew=True
    )
    with step("create a cluster on the nodes over SSH, with site.yml"):
        demo.play(venv, path, "site.yml")
    say("$ kubectl get nodes -o wide")
    say(demo.kubectl("get nodes -o wide"))
    if not options.no_demo:
        with step("deploy the demo application examples/webapp"):
            demo.play(venv, path, "kubestead.cluster.deploy", *demo.DEPLOY)
        with step("query the demo on every node, for answers of pods on different nodes"):
            demo.show()
    folder = os.path.relpath(nodes.set_dir(inventory.DEFAULT_SET))
    say(f"\nThe lab is up ({duration(time.monotonic() - began)}). Try:")
    say(f"  ssh -F {folder}/ssh_config cp1     # kubectl get pods -A")
    say(f"  ansible-playbook -i {os.path.relpath(path)} site.yml --check --diff")
    say("  ./dev lab-down")
    return 0


def command_lab_down(options: argparse.Namespace) -> int:
    """``./dev lab-down``"""
    from lab.mirror import server

    began = time.monotonic()
    with step("remove all nodes"):
        for set_name in nodes.by_set(nodes.listed()):
            nodes.destroy(set_name)
            inventory.remove(set_name)
    with step("remove the mirrors and the network"):
        server.remove_mirrors()
        remove_network()
    if options.cache:
        with step("remove the cache"):
            remove_images()
            server.remove_images()
            shutil.rmtree(cache_dir(), ignore_errors=True)
            shutil.rmtree(state_dir(), ignore_errors=True)
    say(f"the lab is removed ({duration(time.monotonic() - began)})")
    return 0


# -- tests


def command_test(options: argparse.Namespace) -> int:
    """``./dev test``"""
    from .testing import run_all

    return run_all(options.only)


def command_lint(options: argparse.Namespace) -> int:
    """``./dev lint``"""
    from .testing import run_all

    return run_all(["lint"])


# The end-to-end tests of ./dev faults.
FAULTS = tuple(
    f"tests/e2e/test_{name}.py" for name in ("faults", "upgrade", "replace", "drain_blockers", "simultaneous")
)


def tests(rest: Sequence[str], *places: str) -> List[str]:
    """pytest's arguments: the given ones, and the files or folders of tests unless they name tests."""
    named = any(word.startswith("tests/") and (ROOT / word.partition("::")[0]).exists() for word in rest)
    return [*rest] if named else [*places, *rest]


def command_unit(options: argparse.Namespace) -> int:
    """``./dev unit``"""
    code = tool(["pytest", *tests(options.rest, "tests/unit")])
    if code or options.rest or not oldest.folders():
        return code
    if missing_packages(["oldest-python"]) and os.geteuid() != 0:
        say("the tests of node code did not run on PyPy: install pypy3-venv, or run ./dev unit as root once")
        return code
    return tool(["python", "-m", "devtools.oldest"])


def command_molecule(options: argparse.Namespace) -> int:
    """``./dev molecule``"""
    from .testing import run_molecule

    return run_molecule(options.scenarios)


def command_e2e(options: argparse.Namespace) -> int:
    """``./dev e2e``"""
    return tool(["pytest", *tests(options.rest, "tests/e2e")])


def command_faults(options: argparse.Namespace) -> int:
    """``./dev faults``: all faults at all moments; ``./dev test`` runs a representative part of them."""
    return tool(["pytest", "-v", "-m", "thorough or not thorough", *tests(options.rest, *FAULTS)])


def command_bench(options: argparse.Namespace) -> int:
    """``./dev bench``"""
    from bench import run

    return run.bench(options)


def command_docs(options: argparse.Namespace) -> int:
    """``./dev docs``"""
    return tool(["python", "-m", "devtools.docs"])
