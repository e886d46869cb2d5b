# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users wrote into their kubeconfig of this cluster stays, while the admin's entries are brought up to date."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubeconfig, kubeconfig_entries
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import KubeconfigOptions
from ansible_collections.kubestead.cluster.plugins.plugin_utils import kubeconfig_copy
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.kube.test_kubeconfig import (
    ADMIN,
    KEY,
    OTHER,
    PATH,
    node,
    plan,
    run,
)
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

__all__ = ["node"]

#: The admin's file before its certificate was renewed.
OLD = ADMIN.replace("client-certificate-data: L", "client-certificate-data: M")
OLD_CERTIFICATE = yaml.safe_load(OLD)["users"][0]["user"]["client-certificate-data"]
OWN_CONTEXT = """- context:
    cluster: kubernetes
    namespace: shop
    user: anna
  name: shop
"""
OWN_USER = """- name: anna
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: oidc-login
      args:
      - get-token
      - --scope=email # all of it
"""


def own(text: str) -> str:
    """A kubeconfig with a context and a user of anna's, a comment, and her context in use."""
    text = text.replace("contexts:\n", "# my own\ncontexts:\n" + OWN_CONTEXT)
    text = text.replace("users:\n", "users:\n" + OWN_USER)
    return text.replace("current-context: kubernetes-admin@kubernetes", "current-context: shop")


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_own_entries_stay_and_the_admins_are_renewed(node: Machine, start: bytes, ending: bytes) -> None:
    def written(text: str) -> bytes:
        # A comment of an editor that does not write UTF-8.
        return start + text.encode().replace(b"# my own", b"# f\xfcr mich").replace(b"\n", ending)

    before = written(own(OLD))
    path = Path(node.path(PATH))
    path.parent.mkdir(parents=True)
    path.write_bytes(before)
    reason = "for this cluster, with other entries; only the admin's entries are changed"
    assert plan(node) == [("write_kubeconfig", reason)]
    (step,) = kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions())
    assert step.backup == PATH + ".before-kubestead"
    run(node)
    assert path.read_bytes() == written(own(ADMIN))
    assert Path(node.path(PATH + ".before-kubestead")).read_bytes() == before
    assert plan(node) == []


def test_another_server_is_set_without_a_change_to_other_bytes(node: Machine) -> None:
    before = own(ADMIN).encode().replace(b"# my own", b"# f\xfcr mich").replace(b"\n", b"\r\n")
    node.put(PATH, "", 0o600)
    Path(node.path(PATH)).write_bytes(before)
    kubeconfig.change(node, kubeconfig.observe(node), lambda text: text.replace(SERVER, MOVED))
    assert Path(node.path(PATH)).read_bytes() == before.replace(SERVER.encode(), MOVED.encode())


def test_a_file_with_the_admins_entries_and_more_is_left_alone(node: Machine) -> None:
    node.put(PATH, own(ADMIN), 0o600)
    assert plan(node) == []
    assert kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions()) == []


def test_a_user_alone_gets_the_admins_beside_it(node: Machine) -> None:
    text = OLD.replace("name: kubernetes-admin\n", "name: anna\n").replace("user: kubernetes-admin\n", "user: anna\n")
    node.put(PATH, text.replace("name: kubernetes-admin@kubernetes", "name: anna@home"), 0o600)
    run(node)
    found = yaml.safe_load(node.read(PATH) or "")
    assert [one["name"] for one in found["users"]] == ["anna", "kubernetes-admin"]
    assert [one["name"] for one in found["contexts"]] == ["anna@home", "kubernetes-admin@kubernetes"]
    assert found["users"][1]["user"]["client-key-data"] == KEY
    assert plan(node) == []


#: A file with two clusters. kubeadm gives their admins the same name, so the entries of one of them have other names.
TWO_CLUSTERS = {
    "clusters": [
        {
            "name": "kubernetes",
            "cluster": {"certificate-authority-data": "b3RoZXI=", "server": "https://192.0.2.1:6443"},
        },
        {"name": "home", "cluster": yaml.safe_load(OLD)["clusters"][0]["cluster"]},
    ],
    "contexts": [
        {"name": "kubernetes-admin@kubernetes", "context": {"cluster": "kubernetes", "user": "kubernetes-admin"}},
        {"name": "home", "context": {"cluster": "home", "user": "home"}},
    ],
    "current-context": "home",
    "users": [
        {"name": "kubernetes-admin", "user": {"client-certificate-data": "b3RoZXI=", "client-key-data": "b3RoZXI="}},
        {"name": "home", "user": yaml.safe_load(OLD)["users"][0]["user"]},
    ],
}


def test_the_admin_of_another_cluster_in_the_file_keeps_its_credentials(node: Machine) -> None:
    node.put(PATH, yaml.safe_dump(TWO_CLUSTERS, width=1 << 20), 0o600)
    run(node)
    found = yaml.safe_load(node.read(PATH) or "")
    assert found["users"][:2] == TWO_CLUSTERS["users"] and found["contexts"][:2] == TWO_CLUSTERS["contexts"]
    assert found["clusters"] == TWO_CLUSTERS["clusters"]
    (user,), (context,) = found["users"][2:], found["contexts"][2:]
    assert user == {"name": "kubernetes-admin-home", "user": yaml.safe_load(ADMIN)["users"][0]["user"]}
    wanted = {"cluster": "home", "user": "kubernetes-admin-home"}
    assert context == {"name": "kubernetes-admin-home@home", "context": wanted}
    assert plan(node) == []
    # The next certificate goes to the same user.
    node.put(PATH, (node.read(PATH) or "").replace(user["user"]["client-certificate-data"], "b2xk"), 0o600)
    run(node)
    assert yaml.safe_load(node.read(PATH) or "") == found


def test_a_user_of_contexts_of_two_clusters_keeps_its_credentials(node: Machine) -> None:
    context = "- context:\n    cluster: lab\n    user: kubernetes-admin\n  name: lab\n"
    cluster = "- cluster:\n    certificate-authority-data: b3RoZXI=\n    server: https://192.0.2.1:6443\n  name: lab\n"
    text = OLD.replace("contexts:\n", "contexts:\n" + context).replace("clusters:\n", "clusters:\n" + cluster)
    node.put(PATH, text, 0o600)
    assert [action for action, _reason in plan(node)] == ["write_kubeconfig"]
    run(node)
    # Its own context uses the admin now.
    after = text.replace(
        "    cluster: kubernetes\n    user: kubernetes-admin\n",
        "    cluster: kubernetes\n    user: kubernetes-admin-kubernetes\n",
    )
    user = yaml.safe_load(ADMIN)["users"][0]["user"]
    after += "- user:\n" + "".join(f"    {key}: {value}\n" for key, value in user.items())
    assert node.read(PATH) == after + "  name: kubernetes-admin-kubernetes\n"
    assert plan(node) == []
    # A file with the present certificate is not changed, whoever else uses it.
    node.put(PATH, text.replace(OLD_CERTIFICATE, user["client-certificate-data"]), 0o600)
    assert plan(node) == []


@pytest.mark.parametrize(
    "credentials",
    [
        "    token: abc\n",
        "    exec:\n      command: login\n      args:\n      - server: x\n",
        "    client-certificate-data: b2xk\n    client-key-data: b2xk\n    token: abc\n",
        "    client-certificate-data: b2xk\n",
        "    client-certificate: admin.crt\n    client-key: admin.key\n",
    ],
)
def test_a_user_with_other_credentials_is_not_the_admin_whatever_its_name(node: Machine, credentials: str) -> None:
    text = "# mine\n" + OLD[: OLD.index("users:\n")] + "users:\n- name: kubernetes-admin\n  user:\n" + credentials
    node.put(PATH, text, 0o600)
    assert [action for action, _reason in plan(node)] == ["write_kubeconfig"]
    run(node)
    found, before = yaml.safe_load(node.read(PATH) or ""), yaml.safe_load(text)
    for kind in ("users", "contexts"):
        assert found[kind][0] == before[kind][0] and len(found[kind]) == 2
    assert found["users"][1] == {**yaml.safe_load(ADMIN)["users"][0], "name": "kubernetes-admin-kubernetes"}
    assert found["contexts"][1] == {
        "name": "kubernetes-admin-kubernetes@kubernetes",
        "context": {"cluster": "kubernetes", "user": "kubernetes-admin-kubernetes"},
    }
    assert plan(node) == []


def test_a_context_of_this_cluster_keeps_a_user_with_other_credentials_that_another_cluster_shares() -> None:
    config = copy.deepcopy(TWO_CLUSTERS)
    config["users"][0]["user"] = {"token": "abc"}
    config["contexts"][1]["context"]["user"] = "kubernetes-admin"
    found = yaml.safe_load(str(kubeconfig_entries.merged(yaml.safe_dump(config, width=1 << 20), ADMIN)))
    assert found["contexts"][:2] == config["contexts"] and found["users"][:2] == config["users"]
    assert found["contexts"][2]["context"] == {"cluster": "home", "user": "kubernetes-admin-home"}


def test_a_name_that_needs_quotes_gets_them_in_a_context_too() -> None:
    config = copy.deepcopy(TWO_CLUSTERS)
    config["clusters"][1]["name"] = config["contexts"][1]["context"]["cluster"] = "lab: home"
    config["contexts"][1]["context"]["user"] = "kubernetes-admin"
    text = yaml.safe_dump(config, width=1 << 20).replace("'lab: home'", '"lab: home"')
    found = yaml.safe_load(str(kubeconfig_entries.merged(text, ADMIN)))
    wanted = {"cluster": "lab: home", "user": "kubernetes-admin-lab: home"}
    assert found["contexts"] == [config["contexts"][0], {"name": "home", "context": wanted}]
    assert found["users"][2]["name"] == "kubernetes-admin-lab: home"


SERVER, CA = (yaml.safe_load(ADMIN)["clusters"][0]["cluster"][key] for key in ("server", "certificate-authority-data"))
TUNNEL, BALANCER, MOVED = "https://127.0.0.1:16443", "https://lb.example.org", "https://192.0.2.99:6443"


def clusters_after(*clusters: tuple[str, str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The clusters in a file with these ones, all with the CA of the admin's, after the admin's entries are merged."""
    entries = [
        {"name": name, "cluster": {"server": server, "certificate-authority-data": CA, **more}}
        for name, server, more in clusters
    ]
    config: dict[str, Any] = {"clusters": entries, "users": yaml.safe_load(OLD)["users"], "current-context": "first"}
    config["contexts"] = [
        {"name": f"use {name}", "context": {"cluster": name, "user": "kubernetes-admin"}} for name, *_more in clusters
    ]
    before = yaml.safe_dump(config, width=1 << 20)
    after = str(kubeconfig_entries.merged(before, ADMIN))
    assert kubeconfig_entries.merged(after, ADMIN) == after
    found = yaml.safe_load(after)
    # Contexts of all of them get the new certificate, and one has the server of the admin's.
    assert found["contexts"][: len(clusters)] == config["contexts"]
    assert found["users"] == yaml.safe_load(ADMIN)["users"]
    places = {one["name"]: one["cluster"] for one in found["clusters"]}
    assert any(places[one["context"]["cluster"]]["server"] == SERVER for one in found["contexts"])
    assert [name for name, *_more in clusters] == list(places)[: len(clusters)]
    return {name: {key: one[key] for key in one if key != "certificate-authority-data"} for name, one in places.items()}


OWN_WAYS = [{"tls-server-name": "kubernetes"}, {"proxy-url": "socks5://localhost:1080"}]


@pytest.mark.parametrize("more", [{}, *OWN_WAYS])
@pytest.mark.parametrize("name", ["tunnel", "kubernetes"])
def test_the_cluster_with_the_server_is_the_admins_whatever_the_others_are_called(
    name: str, more: dict[str, str]
) -> None:
    found = clusters_after((name, TUNNEL, more), ("lab", SERVER, {}))
    assert found == {name: {"server": TUNNEL, **more}, "lab": {"server": SERVER}}


@pytest.mark.parametrize("more", OWN_WAYS)
@pytest.mark.parametrize("name", ["tunnel", "kubernetes"])
def test_after_an_endpoint_move_a_tunnel_or_proxy_keeps_its_server(name: str, more: dict[str, str]) -> None:
    own = {"server": TUNNEL, **more}
    assert clusters_after((name, TUNNEL, more), ("lab", MOVED, {})) == {name: own, "lab": {"server": SERVER}}
    added = "kubernetes" if name == "tunnel" else "kubernetes-2"
    assert clusters_after((name, TUNNEL, more)) == {name: own, added: {"server": SERVER}}


def test_after_an_endpoint_move_the_cluster_with_the_admins_name_or_the_only_server_follows() -> None:
    assert clusters_after(("lab", MOVED, {})) == {"lab": {"server": SERVER}}
    same = clusters_after(("first", MOVED, {}), ("second", MOVED, {}))
    assert same == {"first": {"server": SERVER}, "second": {"server": MOVED}}
    named = clusters_after(("balancer", BALANCER, {}), ("kubernetes", MOVED, {}))
    assert named == {"balancer": {"server": BALANCER}, "kubernetes": {"server": SERVER}}
    # Either could be the user's own.
    added = clusters_after(("balancer", BALANCER, {}), ("lab", MOVED, {}))
    assert added == {"balancer": {"server": BALANCER}, "lab": {"server": MOVED}, "kubernetes": {"server": SERVER}}


@pytest.mark.parametrize("empty", ["# later", "#later", "null", "~", "Null # later", ""])
def test_a_value_that_is_empty_in_yaml_is_empty(node: Machine, empty: str) -> None:
    text = "# mine\n" + re.sub("client-key-data: .*", f"client-key-data: {empty}", OLD)
    assert yaml.safe_load(text)["users"][0]["user"]["client-key-data"] is None
    entries = kubeconfig_entries.parse(text)
    assert entries and kubeconfig_entries.clients(entries) == []
    node.put(PATH, text, 0o600)
    run(node)
    # This user has no key, so it is not the admin.
    found, before = yaml.safe_load(node.read(PATH) or ""), yaml.safe_load(text)
    assert found["users"][0] == before["users"][0] and found["users"][1]["user"]["client-key-data"] == KEY
    assert plan(node) == []
    for key, part in (("server", "servers"), ("certificate-authority-data", "ca_cert_hashes")):
        assert not getattr(kubeconfig.summarize(re.sub(f"{key}: .*", f"{key}: {empty}", OLD)), part)


def test_comments_after_keys_and_values_do_not_belong_to_them(node: Machine) -> None:
    text = own(OLD).replace("users:\n", "users: # of all\n").replace("  user:\n", "  user: # one\n")
    text = text.replace("    user: kubernetes-admin\n", "    user: kubernetes-admin\t# me\n")
    node.put(PATH, text, 0o600)
    run(node)
    assert yaml.safe_load((node.read(PATH) or "").replace("\t#", " #")) == yaml.safe_load(own(ADMIN))


def rewritten(path: str, options: str = "--raw") -> str:
    """The command that a message names."""
    return f"run: (umask 077; kubectl --kubeconfig {path} config view {options} >{path}.new) && mv {path}.new {path}"


NOT_COMPARED = (
    f"{PATH} is not comparable (admin.conf is neither in block style nor in JSON) and was not changed; "
    f"{rewritten('/etc/kubernetes/admin.conf')}"
)
NOT_BLOCK_STYLE = (
    f"{PATH} is not usable (it is not a kubeconfig in block style or JSON) and was not changed; use "
    "/etc/kubernetes/admin.conf, or set control_plane_kubeconfig_overwrite, which replaces all of its entries, or as "
    f"its owner, {rewritten(PATH)}"
)


def test_a_file_for_the_same_server_whose_ca_is_not_known_is_kept_and_told(node: Machine) -> None:
    text = re.sub("certificate-authority-data: .*", "certificate-authority: /home/anna/ca.crt", OLD)
    node.put(PATH, text, 0o600)
    assert plan(node) == []
    run(node)
    assert node.read(PATH) == text
    options = KubeconfigOptions()
    assert kubeconfig.warnings_of(kubeconfig.observe(node), options) == [
        f"{PATH} is for a cluster at {SERVER} whose CA is not known (no certificate-authority-data) "
        "and was not changed; use /etc/kubernetes/admin.conf, or set control_plane_kubeconfig_overwrite"
    ]
    (step,) = kubeconfig.plan(kubeconfig.observe(node), dataclasses.replace(options, overwrite=True))
    assert step.backup == PATH + ".before-kubestead"


def test_a_cluster_without_a_server_gets_one_beside_it(node: Machine) -> None:
    text = "# mine\n" + re.sub("    server: .*\n", "", OLD)
    node.put(PATH, text, 0o600)
    run(node)
    found = yaml.safe_load(node.read(PATH) or "")
    assert found["clusters"][0] == yaml.safe_load(text)["clusters"][0]
    assert found["clusters"][1] == {**yaml.safe_load(ADMIN)["clusters"][0], "name": "kubernetes-2"}
    assert found["contexts"][1]["context"]["cluster"] == "kubernetes-2" and plan(node) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("    server:", "    tls-server-name: api\n    server:"),
        lambda text: text.replace("    server:", "    proxy-url: socks5://localhost:1080\n    server:"),
        lambda text: "# of the cluster at home\n" + text,
        lambda text: text.replace("    user: kubernetes-admin\n", "    user: kubernetes-admin\n    namespace: shop\n"),
        lambda text: text.replace("preferences: {}\n", "preferences:\n  colors: true\n"),
        lambda text: text.replace("name: kubernetes\n", "name: home\n").replace(
            "cluster: kubernetes\n", "cluster: home\n"
        ),
        lambda text: re.sub(r"(?m)^( |- )", r"  \1", text),
    ],
)
def test_every_other_line_stays(change: object) -> None:
    before = change(OLD)  # type: ignore[operator]
    merged = kubeconfig_entries.merged(before, ADMIN)
    assert merged is not None
    different = [(old, new) for old, new in zip(before.splitlines(), merged.splitlines(), strict=True) if old != new]
    assert [old.split(":")[0].strip() for old, _new in different] == ["client-certificate-data"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"clusters": [], "users": [], "contexts": []}',
        own(OLD).replace("users:\n", "users: &users\n"),
        own(OLD).replace("contexts:\n", "contexts: []\ncontexts:\n"),
        own(OLD).replace("  user:\n    exec:", "  user: {token: x}\n  other:"),
        own(OLD).replace("users:\n", "users:\n\t"),
        # Texts with more lines or with escapes, keys that another parser reads in another way.
        own(OLD).replace("    server: ", "    server:\n      "),
        own(OLD).replace("    namespace: shop", "    namespace: shop\n      front"),
        own(OLD).replace("    user: anna", '    user: "ann\\x61"'),
        own(OLD).replace("    user: anna", '    "user": anna'),
        own(OLD).replace("    user: anna", "    user : anna"),
        own(OLD).replace("    user: anna", "    user: anna\n    user: kubernetes-admin"),
        own(OLD).replace("- name: anna", "-\n  name: anna"),
        own(OLD).replace("- name: anna", "- anna"),
        own(OLD).replace("      command: oidc-login", "      command: [a] b"),
        own(OLD).replace("      command: oidc-login", "      command: [a,"),
        own(OLD).replace("current-context: shop", 'current-context: "sh\\x6fp"'),
        own(OLD).replace("current-context: shop", 'current-context: "shop'),
    ],
)
def test_what_is_written_otherwise_is_not_touched(text: str) -> None:
    assert kubeconfig_entries.parse(text) is None
    assert kubeconfig_entries.merged(text, ADMIN) is None


def test_a_file_that_cant_be_changed_in_place_is_kept_and_told(node: Machine) -> None:
    text = own(OLD).replace("users:\n", "users: &users\n")
    node.put(PATH, text, 0o600)
    assert plan(node) == []
    assert kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions()) == [NOT_BLOCK_STYLE]
    assert node.read(PATH) == text


def test_own_entries_stay_if_the_admins_file_has_more_than_kubeadm_writes(node: Machine) -> None:
    node.put("/etc/kubernetes/admin.conf", "# of the cluster at home\n" + ADMIN, 0o600)
    node.put(PATH, own(OLD), 0o600)
    run(node)
    assert node.read(PATH) == own(ADMIN) and node.read(PATH + ".before-kubestead") == own(OLD)


def with_two_cas(text: str) -> str:
    """A kubeconfig while the CA of the cluster is replaced: it also has the one of the cluster OTHER."""
    old, other = (yaml.safe_load(one)["clusters"][0]["cluster"] for one in (text, OTHER))
    both = b"".join(base64.b64decode(one["certificate-authority-data"]) for one in (old, other))
    return text.replace(old["certificate-authority-data"], base64.b64encode(both).decode())


@pytest.mark.parametrize(("old", "new"), [(OLD, with_two_cas(ADMIN)), (with_two_cas(OLD), ADMIN)])
def test_while_the_ca_is_replaced_a_file_with_the_admins_entries_alone_is_written_and_kept_beside(
    node: Machine, old: str, new: str
) -> None:
    node.put("/etc/kubernetes/admin.conf", new, 0o600)
    node.put(PATH, old, 0o600)
    (step,) = kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions())
    assert step.backup == PATH + ".before-kubestead"
    run(node)
    assert node.read(PATH) == new and node.read(PATH + ".before-kubestead") == old


@pytest.mark.parametrize(("old", "new"), [(OLD, with_two_cas(ADMIN)), (with_two_cas(OLD), ADMIN)])
def test_while_the_ca_is_replaced_a_file_with_own_entries_is_kept_and_told(node: Machine, old: str, new: str) -> None:
    node.put("/etc/kubernetes/admin.conf", new, 0o600)
    node.put(PATH, own(old), 0o600)
    assert plan(node) == []
    (warning,) = kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions())
    assert "is for this cluster, with other CAs than admin.conf, and with other entries that would be lost" in warning


def test_the_copy_on_the_control_machine_keeps_its_users_entries_too(machine: Machine) -> None:
    path = "/home/anna/.kube/config"
    machine.put(path, own(OLD), 0o600)
    link = machine.path("/home/anna/link")
    os.symlink(machine.path(path), link)
    wanted = kubeconfig.summarize(ADMIN)
    step = kubeconfig_copy.plan_copy(machine, "/home/anna/link", wanted)
    assert step.action == "write_kubeconfig" and step.backup == "/home/anna/link.before-kubestead"
    kubeconfig_copy.apply_copy(step, machine, kubeconfig_copy.rebuilt(ADMIN, wanted))
    assert machine.read(path) == own(ADMIN) and os.path.islink(link)
    assert machine.read("/home/anna/link.before-kubestead") == own(OLD)


def test_the_copy_has_an_address_where_only_nodes_know_the_name(machine: Machine) -> None:
    path, server = "/home/anna/config", "https://192.0.2.7:6443"
    wanted = kubeconfig_copy.with_server(kubeconfig.summarize(ADMIN), server)
    assert wanted
    step = kubeconfig_copy.plan_copy(machine, path, wanted)
    kubeconfig_copy.apply_copy(step, machine, kubeconfig_copy.rebuilt(ADMIN, wanted, server))
    found = kubeconfig.summarize(str(machine.read(path)))
    assert found.servers == [server] and found.clients == kubeconfig.summarize(ADMIN).clients
    assert kubeconfig_copy.plan_copy(machine, path, wanted).action == kubeconfig.SAME
    # One of an earlier cluster at this address is replaced by that of a new one.
    other = dataclasses.replace(wanted, digest="", credentials="", clients=["new"])
    other = dataclasses.replace(other, ca_cert_hashes=["sha256:new"], authorities=["sha256:new"])
    assert kubeconfig_copy.plan_copy(machine, path, other, True).reason == f"for an earlier cluster at {server}"
    assert kubeconfig_copy.plan_copy(machine, path, other).action == kubeconfig_copy.OTHER_CA


def test_the_servers_of_each_cluster_are_known_by_its_ca() -> None:
    this, other = kubeconfig.summarize(OLD), kubeconfig.summarize(OTHER)
    entry = re.search(r"- cluster:\n(?:    .*\n)*  name: ", OTHER)
    assert entry
    both = own(OLD).replace("clusters:\n", f"clusters:\n{entry.group(0)}other\n")
    known = {this.ca_cert_hashes[0]: this.servers, other.ca_cert_hashes[0]: other.servers}
    assert kubeconfig.summarize(both).servers_of == known and this.servers != other.servers
    assert kubeconfig.summarize(json.dumps(yaml.safe_load(both))).servers_of == known


def test_the_summary_of_a_host_is_read_strictly() -> None:
    said = {"clients": ["x", "0" * 64], "plain": "a\nb", "user": "a\nb", "mergeable": "yes"}
    found = kubeconfig_copy.reported_summary(said)
    assert (found.clients, found.plain, found.user, found.mergeable) == (["0" * 64], "", "", False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n# nothing yet\n",
        'apiVersion: v1\nclusters: null\ncontexts: null\ncurrent-context: ""\nkind: Config\nusers: null\n',
        "apiVersion: v1\nclusters: []\ncontexts: []\nkind: Config\nusers: []\n",
        "apiVersion: v1\nkind: Config\nclusters:\n",
        "\ufeffapiVersion: v1\r\nkind: Config\r\n",
        "\ufeff",
    ],
)
def test_a_file_without_entries_is_filled(node: Machine, text: str) -> None:
    node.put(PATH, text, 0o600)
    assert plan(node) == [("write_kubeconfig", "the kubeconfig has no entries")]
    run(node)
    assert node.read(PATH) == ADMIN


@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_kubeconfig_in_json_is_compared_as_one_in_block_style(node: Machine, start: str, indent: Any) -> None:
    def in_json(text: str) -> str:
        return start + json.dumps(yaml.safe_load(text), indent=indent)

    for text in (ADMIN, OLD, OTHER, own(ADMIN)):
        block, found = kubeconfig.summarize(text), kubeconfig.summarize(in_json(text))
        assert dataclasses.replace(found, digest=block.digest, mergeable=True, plain="") == dataclasses.replace(
            block, plain=""
        )
        assert found.plain == block.plain or text == own(ADMIN)
    # With the same client there is nothing to do, and a file with only the admin's entries is renewed.
    node.put(PATH, in_json(ADMIN), 0o600)
    assert plan(node) == [] and kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions()) == []
    node.put(PATH, in_json(OLD), 0o600)
    assert plan(node) == [("write_kubeconfig", "for this cluster, but it differs from admin.conf")]
    run(node)
    assert node.read(PATH) == ADMIN
    # Only lines of block style can be changed one by one.
    node.put(PATH, in_json(own(OLD)), 0o600)
    (warning,) = kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions())
    assert "for this cluster, with other entries that would be lost" in warning and plan(node) == []


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_admins_entries_in_json_are_merged_into_block_style(node: Machine, wrapped: bool) -> None:
    config = yaml.safe_load(ADMIN)
    if wrapped:
        # Programs that read base64 ignore the ends of lines in it.
        for one in (config["clusters"][0]["cluster"], config["users"][0]["user"]):
            one.update({key: re.sub("(.{64})", r"\1\n", one[key]) for key in one if key.endswith("-data")})
    node.put("/etc/kubernetes/admin.conf", json.dumps(config), 0o600)
    node.put(PATH, own(OLD), 0o600)
    run(node)
    assert node.read(PATH) == own(ADMIN) and plan(node) == []


def test_certificates_and_keys_in_json_belong_to_their_users() -> None:
    config = yaml.safe_load(ADMIN)
    user = config["users"][0]["user"]
    config["users"] = [
        {"name": "a", "user": {"client-certificate-data": "YQ=="}},
        {"name": "b", "user": {"client-key-data": "Yg=="}},
        {"name": "kubernetes-admin", "user": user},
    ]
    known = kubeconfig.summarize(ADMIN)
    assert kubeconfig.summarize(json.dumps(config)).clients == known.clients == [known.client]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_byte_order_mark_changes_nothing_but_the_digest(node: Machine, ending: str) -> None:
    text = "\ufeff" + OLD.replace("\n", ending)
    found = kubeconfig.summarize(text)
    assert dataclasses.replace(found, digest="") == dataclasses.replace(kubeconfig.summarize(OLD), digest="")
    assert kubeconfig.summarize("\ufeff" + text).comparable is False
    assert kubeconfig.summarize("\ufeff{}").blank


#: Block style in which a value is not a text in its line, and other forms of the same YAML.
OTHER_FORMS = {
    "anchor of the CA": lambda text: re.sub("(certificate-authority-data:) ", r"\1 &ca ", text),
    "tag of the CA": lambda text: re.sub("(certificate-authority-data:) ", r"\1 !!str ", text),
    "folded CA": lambda text: re.sub("(certificate-authority-data:) (.{64})", r"\1 >-\n      \2\n      ", text),
    "literal CA": lambda text: re.sub("(certificate-authority-data:) ", r"\1 |\n      ", text),
    "CA in the next line": lambda text: re.sub("(certificate-authority-data:) ", r"\1\n      ", text),
    "CA in more lines": lambda text: re.sub("(certificate-authority-data:) (.{64})", r"\1\n      \2\n      ", text),
    "anchor of the server": lambda text: text.replace("server: ", "server: &s "),
    "server in the next line": lambda text: text.replace("server: ", "server:\n      "),
    "quoted keys in a list in flow style": lambda text: re.sub(
        r"clusters:\n- cluster:\n    (.*): (.*)\n    (.*): (.*)\n  name: (.*)\n",
        r'"clusters": [{name: \5, cluster: {\n    \1: \2,\n    \3: \4,\n }}]\n',
        text,
    ),
    "mapping in flow style in the next line": lambda text: re.sub(
        r"- cluster:\n    (.*): (.*)\n    (.*): (.*)\n",
        r"- cluster:\n    {\n    \1: \2,\n    \3: \4}\n",
        text,
    ),
    "continued name of the context": lambda text: re.sub("current-context: (.*)\n", r"current-context:\n  \1\n", text),
}


@pytest.mark.parametrize(
    "form",
    [*OTHER_FORMS, "two documents", "a key twice", "text below a text", "a server of a user", "the same in JSON"],
)
def test_a_file_that_is_not_read_as_a_whole_is_not_compared(node: Machine, form: str) -> None:
    more = {
        "two documents": ADMIN + "---\n" + ADMIN,
        "a key twice": ADMIN + "current-context: x\n",
        "a server of a user": ADMIN + "    server: https://192.0.2.1:6443\n",
        "the same in JSON": json.dumps(yaml.safe_load(ADMIN + "    server: https://192.0.2.1:6443\n")),
        "text below a text": ADMIN.replace("kind: Config\n", "kind: Config\n  more\n"),
    }
    text = more[form] if form in more else OTHER_FORMS[form](ADMIN)
    assert text != ADMIN
    if form in OTHER_FORMS:
        same = [json.dumps(yaml.safe_load(one), sort_keys=True) for one in (text, ADMIN)]
        assert same[0].replace("\\n", "").replace(" ", "") == same[1].replace(" ", "")
    assert kubeconfig.summarize(text) == kubeconfig.KubeconfigSummary(kubeconfig.digest(text), comparable=False)
    # As the file of the user.
    node.put(PATH, text, 0o600)
    assert plan(node) == []
    assert kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions()) == [NOT_BLOCK_STYLE]
    ((action, reason),) = plan(node, overwrite=True)
    assert action == "write_kubeconfig" and reason.endswith("; all of its entries are replaced")
    # As the admin's: the user's own file is not taken for that of an earlier cluster.
    node.put("/etc/kubernetes/admin.conf", text, 0o600)
    for existing in (ADMIN, OLD, own(OLD), OTHER, OTHER.replace(kubeconfig.summarize(OTHER).servers[0], SERVER)):
        node.put(PATH, existing, 0o600)
        assert plan(node) == []
        assert kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions()) == [NOT_COMPARED]
        (step,) = kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions(overwrite=True))
        assert step.backup and not step.data["merge"]


def test_an_admin_kubeconfig_whose_ca_is_a_file_is_not_compared(node: Machine) -> None:
    text = re.sub("certificate-authority-data: .*", "certificate-authority: /etc/kubernetes/pki/ca.crt", ADMIN)
    node.put("/etc/kubernetes/admin.conf", text, 0o600)
    for existing in (OLD, own(OLD), OTHER):
        node.put(PATH, existing, 0o600)
        assert plan(node) == []
        assert kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions()) == [
            f"{PATH} is not comparable (admin.conf has no usable certificate-authority-data) and was not changed; "
            + rewritten("/etc/kubernetes/admin.conf", "--raw --flatten")
        ]


@pytest.mark.parametrize("text", ["", "{}", "\n# nothing\n", "apiVersion: v1\nkind: Config\nclusters: []\n"])
def test_nothing_is_replaced_by_an_empty_admin_kubeconfig(node: Machine, text: str) -> None:
    node.put("/etc/kubernetes/admin.conf", text, 0o600)
    for existing in (None, "# mine\n", OLD, own(OLD), "{a: b}\n"):
        node.remove(PATH)
        if existing is not None:
            node.put(PATH, existing, 0o600)
        assert plan(node, overwrite=True) == []
        assert kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions()) == [
            f"{PATH} is not comparable (admin.conf is empty) and was not changed; remove "
            "/etc/kubernetes/admin.conf, and run 'kubeadm init phase kubeconfig admin'"
        ]


def test_a_path_with_a_blank_is_quoted_in_the_command_of_a_message() -> None:
    assert kubeconfig.rewrite_command("/a b") == rewritten("'/a b'")


def in_flow_style(text: str) -> list[str]:
    """The same kubeconfig with flow style in different places, in one line and in several."""
    config = yaml.safe_load(text)
    found = [
        yaml.safe_dump(config, default_flow_style=style, width=width)
        for style in (True, None)
        for width in (9, 1 << 20)
    ]
    lists = "".join(f"{name}: {json.dumps(config[name])}\n" for name in ("clusters", "contexts", "users"))
    items = "".join(f"{name}:\n  - {json.dumps(config[name][0])}\n" for name in ("clusters", "contexts", "users"))
    current = f"current-context: {config['current-context']}\n"
    return [*found, "---\n" + found[0], "--- " + found[1], current + lists, current + items]


@pytest.mark.parametrize("text", in_flow_style(ADMIN))
def test_an_admin_kubeconfig_in_flow_style_is_not_compared(node: Machine, text: str) -> None:
    assert yaml.safe_load(text)["clusters"] == yaml.safe_load(ADMIN)["clusters"]
    assert not kubeconfig.summarize(text).comparable
    node.put("/etc/kubernetes/admin.conf", text, 0o600)
    assert plan(node) == [("write_kubeconfig", "the kubeconfig does not exist")]
    node.put(PATH, ADMIN, 0o600)
    assert plan(node) == []
    assert kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions()) == [NOT_COMPARED]
    assert plan(node, overwrite=True)[0][0] == "write_kubeconfig"
    node.put(PATH, text, 0o600)
    assert plan(node) == [] and kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions()) == []


def test_flow_style_deeper_in_an_entry_does_not_matter(node: Machine) -> None:
    more = "- name: eks\n  user:\n    exec:\n      args: [get-token]\n      env:\n      - {name: A, value: b}\n"
    found = kubeconfig.summarize(ADMIN + more)
    assert found.servers == [SERVER] and found.ca_cert_hashes and found.comparable
    assert kubeconfig.summarize("clusters: []\nusers: []\ncontexts: {}\n").blank


@pytest.mark.parametrize("key", ["server", "certificate-authority-data", "client-certificate-data", "client-key-data"])
def test_a_list_in_place_of_a_text_is_not_a_value(key: str) -> None:
    text = re.sub(f"{key}: (.*)", rf"{key}: [\1]", ADMIN)
    assert yaml.safe_load(text) != yaml.safe_load(ADMIN)
    found, known = kubeconfig.summarize(text), kubeconfig.summarize(ADMIN)
    assert found.comparable and not found.complete and not found.credentials
    assert (found.servers, found.ca_cert_hashes, found.clients) != (known.servers, known.ca_cert_hashes, known.clients)
    assert "[" not in "".join([*found.servers, found.server])


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\u2028b", "a\x1bb"])
def test_a_name_that_block_style_has_to_escape_is_not_merged(name: str) -> None:
    config = yaml.safe_load(ADMIN)
    config["users"][0]["name"] = config["contexts"][0]["context"]["user"] = name
    text = json.dumps(config)
    assert kubeconfig.summarize(text).comparable and not kubeconfig.summarize(text).complete
    assert kubeconfig_entries.merged(own(OLD), text) is None


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\\\"'b", "it's: x", "''", "\u00e9", "\U0001f600", "-", "a #b"])
def test_a_name_that_can_be_printed_is_merged(node: Machine, name: str) -> None:
    config = yaml.safe_load(ADMIN)
    config["users"][0]["name"] = config["contexts"][0]["context"]["user"] = name
    node.put("/etc/kubernetes/admin.conf", json.dumps(config), 0o600)
    node.put(PATH, own(OLD), 0o600)
    run(node)
    assert yaml.safe_load(node.read(PATH) or "")["users"][-1] == config["users"][0]
    assert plan(node) == [] and kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions()) == []


#: A user as ``az aks get-credentials`` and kubectl write it.
AKS = """- name: clusterUser_it_aks
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1beta1
      args:
      - get-token
      - '{"a": {"b": 1}, "c": "it''s"}'
      - |
        server: https://192.0.2.1:6443
          - users: {

        # no comment
      command: kubelogin
      env: null
      installHint: |2

        kubelogin is not installed which is required to connect to AAD enabled cluster.

        To learn more, please go to: [https://aka.ms/aks/kubelogin
      provideClusterInfo: false
"""
GKE = """- name: gke
  user:
    auth-provider:
      config:
        cmd-args: config {config-helper} --format=json
        token-key: '{.credential.access_token}'
      name: gcp
    exec:
      installHint: Install gke-gcloud-auth-plugin for use with kubectl by following
        https://cloud.google.com/blog/kubectl-auth-changes-in-gke note: {x
    extensions:
    - extension:
        note.text: >-
           folded
        last: |+ # kept
          end

      name: |-
        more
"""


@pytest.mark.parametrize("more", [AKS, GKE, AKS + GKE, GKE + AKS])
@pytest.mark.parametrize("shift", ["", "  "])
def test_users_of_other_programs_stay(node: Machine, more: str, shift: str) -> None:
    text = OLD.replace("name: kubernetes-admin@kubernetes", "name: 'it''s: x'") + more
    text = re.sub(r"(?m)^( |- )", rf"{shift}\1", text)
    assert yaml.safe_load(text.replace("note: {x", ""))
    node.put(PATH, text, 0o600)
    (entry, *_more) = kubeconfig_entries.parse(text).lists["contexts"]  # type: ignore[union-attr]
    assert entry.name == "it's: x"
    reason = "for this cluster, with other entries; only the admin's entries are changed"
    assert plan(node) == [("write_kubeconfig", reason)]
    run(node)
    certificate = re.compile("client-certificate-data: .*")
    assert certificate.sub("", node.read(PATH) or "") == certificate.sub("", text) and plan(node) == []
    # Another user is added after the last line of theirs.
    text = text.replace("kubernetes-admin\n", "me\n")
    added = kubeconfig_entries.merged(text, ADMIN)
    assert added
    found, before = (yaml.safe_load(one.replace("note: {x", "")) for one in (added, text))
    assert found["users"][:-1] == before["users"] and found["users"][-1]["name"] == "kubernetes-admin"


@pytest.mark.parametrize(
    "change",
    [
        # Below the text, the indentation decides.
        lambda text: text.replace("      provideClusterInfo", "    provideClusterInfo: {\n      x"),
        lambda text: text.replace("      provideClusterInfo: false", "      provideClusterInfo: {"),
        lambda text: text.replace("|2", "|2x"),
        lambda text: text.replace("|2", "| 2"),
        lambda text: text.replace("      - |", "      - &x |"),
        lambda text: text.replace("      - get-token", "      - *x"),
        lambda text: text.replace("      - get-token", "      - [a,"),
        lambda text: text.replace("    exec:", "    token: |\n      abc\n    exec:"),
        lambda text: text.replace("name: clusterUser_it_aks", "name: |\n    abc"),
        lambda text: text.replace("kind: Config", "kind: |\n  Config"),
        lambda text: text[: text.index("      provideClusterInfo")].rstrip("\n"),
        lambda text: text.replace("kind: Config", "kind:\t&x Config"),
    ],
)
def test_a_text_in_the_wrong_place_or_another_style_is_not_read(change: Any) -> None:
    text = ADMIN + AKS
    assert change(text) != text and kubeconfig_entries.read(text) and kubeconfig_entries.read(change(text)) is None


@pytest.mark.parametrize("end", ["---\n", "...\n", "...\n---\n", "--- # end\n# more\n"])
@pytest.mark.parametrize("start", ["", "---\n", "--- # mine\n"])
def test_marks_of_a_document_are_read(node: Machine, start: str, end: str) -> None:
    node.put(PATH, start + own(OLD) + end, 0o600)
    run(node)
    assert node.read(PATH) == start + own(ADMIN) + end
    for text in (start + ADMIN + end + "a: b\n", "---\n---\n" + ADMIN, "...\n" + ADMIN):
        assert kubeconfig_entries.read(text) is None
    assert kubeconfig.summarize(start + end).blank


@pytest.mark.parametrize(
    "text",
    [
        '{"debug": false, "list": []}',
        '{"clusters": [], "list": []}',
        '{"clusters": false}',
        "debug: null\nlist: []\n",
        "clusters: []\nlist: []\n",
    ],
)
def test_a_file_of_another_program_is_not_a_kubeconfig_without_entries(node: Machine, text: str) -> None:
    node.put(PATH, text, 0o600)
    assert plan(node) == [] and not kubeconfig.summarize(text).blank
    assert len(kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions())) == 1


def test_the_users_first_file_is_never_replaced_by_a_later_one(node: Machine) -> None:
    node.put(PATH, own(OLD), 0o600)
    run(node)
    again = own(OLD).replace("# my own", "# still my own")
    node.put(PATH, again, 0o600)
    (step,) = kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions())
    assert step.backup == "" and kubeconfig.apply(step, node) == step
    assert node.read(PATH + ".before-kubestead") == own(OLD)
    assert node.names("/home/anna/.kube") == ["config", "config.before-kubestead"]
