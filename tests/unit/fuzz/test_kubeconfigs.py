# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The admin's entries in kubeconfigs of users: what is planned is written, and nothing else in the file changes."""

from __future__ import annotations

import base64
import re
from collections import Counter
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubeconfig, kubeconfig_entries
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import summarize
from ansible_collections.kubestead.cluster.plugins.plugin_utils import kubeconfig_copy

from .. import support
from .profile import fuzz

ADMIN = support.fixture("kubeadm/v1.35/admin.conf")
CONFIG = yaml.safe_load(ADMIN)
CA, SERVER = (CONFIG["clusters"][0]["cluster"][key] for key in ("certificate-authority-data", "server"))
OTHER_CA = yaml.safe_load(support.fixture("kubeadm/v1.20/admin.conf"))["clusters"][0]["cluster"]
OTHER_CA = OTHER_CA["certificate-authority-data"]
BOTH = base64.b64encode(base64.b64decode(CA) + base64.b64decode(OTHER_CA)).decode()
OLD = {"client-certificate-data": "b2xk", "client-key-data": "b2xk"}
EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "command": "oidc-login", "args": ["user: x", "--a=b"]}
# Texts that kubectl writes in several lines or in quotes.
TEXTS = {
    "args": ["get-token", '{"a": {"b": 1}}', "it's: x"],
    "installHint": "\n  Install it:\n\nserver: {x\n- users: [y\n\n",
}
# Keys of a mapping have no order, and extensions have keys with the same names.
MORE = {"extensions": [{"name": "n", "extension": {"server": "x", "user": "kubernetes-admin", "token": "x"}}]}

CLUSTER_NAMES = ("kubernetes", "lab", "home")
USER_NAMES = ("kubernetes-admin", "kubernetes-admin-kubernetes", "kubernetes-admin-lab", "anna", "yes")
CONTEXT_NAMES = ("kubernetes-admin@kubernetes", "kubernetes-admin-kubernetes@kubernetes", "lab", "shop", "0x1")

clusters = st.fixed_dictionaries(
    {
        "server": st.sampled_from([SERVER, "https://192.0.2.9:6443", ""]),
        "certificate-authority-data": st.sampled_from([CA, CA, CA, OTHER_CA, BOTH, "eA=="]),
    },
    optional={
        "proxy-url": st.just("socks5://127.0.0.1:1080"),
        "tls-server-name": st.just("kubernetes"),
        "extensions": st.just(MORE["extensions"]),
    },
)
certificates = st.sampled_from([OLD, OLD, CONFIG["users"][0]["user"], {"client-certificate-data": "b2xk"}])
users = st.one_of(
    certificates,
    st.builds(lambda one, more: {**one, **more}, certificates, st.sampled_from([MORE, {"token": "t"}, {"as": "x"}])),
    st.sampled_from(
        [{}, {"token": "t"}, {"exec": EXEC}, {"exec": TEXTS}, {"client-certificate": "/a", "client-key": "/b"}]
    ),
)


def entries(kind: str, names: tuple[str, ...], values: Any, unique: bool) -> Any:
    one = st.builds(lambda name, value: {"name": name, kind: value}, st.sampled_from(names), values)
    return st.lists(one, min_size=1, max_size=4, unique_by=(lambda item: item["name"]) if unique else None)


contexts = st.fixed_dictionaries(
    {"cluster": st.sampled_from(CLUSTER_NAMES), "user": st.sampled_from(USER_NAMES)},
    optional={"namespace": st.just("shop"), "extensions": st.just(MORE["extensions"])},
)


def configs(unique: bool = True) -> Any:
    return st.fixed_dictionaries(
        {
            "clusters": entries("cluster", CLUSTER_NAMES, clusters, unique),
            "users": entries("user", USER_NAMES, users, unique),
            "contexts": entries("context", CONTEXT_NAMES, contexts, unique),
            "current-context": st.sampled_from(CONTEXT_NAMES),
        }
    )


class _Dumper(yaml.SafeDumper):
    """Writes texts in several lines as kubectl does."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


@st.composite
def texts(draw: Any, config: Any) -> str:
    """A kubeconfig in one of the forms in which programs and people write it."""
    text = yaml.dump(config, Dumper=_Dumper, width=1 << 20, sort_keys=draw(st.booleans()))
    if draw(st.booleans()):
        text = re.sub(r"(?m)^( |- )", r"  \1", text)
    if draw(st.booleans()):
        text = text.replace("\n  name:", "\n\n  # my own\n  name:")
    if draw(st.booleans()):
        text = re.sub(r"(?m)(user|cluster|name): ([a-z@-]+)$", r'\1: "\2"', text)
    text = draw(st.sampled_from(["", "---\n", "# by hand\n", "\ufeff"])) + text
    return text.rstrip("\n") if draw(st.booleans()) else text


@st.composite
def damaged(draw: Any) -> str:
    lines = draw(texts(draw(configs(unique=False)))).splitlines(keepends=True)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        line = draw(st.sampled_from(lines))
        change = draw(
            st.sampled_from(["", line, "\n", " " + lines[at], lines[at].replace(": ", ":\n      "), "  - x\n"])
        )
        lines[at] = change
    return "".join(lines)


def admin(user: str = "kubernetes-admin", certificate: str = "") -> str:
    text = ADMIN.replace("kubernetes-admin\n", f"{user}\n")
    return (
        re.sub("client-certificate-data: .*", f"client-certificate-data: {certificate}", text) if certificate else text
    )


def written(before: str, wanted: str) -> str | None:
    """The file after a run, if something is planned for it and it is merged. A plan that is not carried out fails."""
    existing, source = summarize(before), summarize(wanted)
    verdict = kubeconfig.classify(existing, source)[0]
    merges = kubeconfig.merges(existing, source)
    assert kubeconfig_copy.judged(existing, source)[0] in (verdict, kubeconfig_copy.OTHER_CA, kubeconfig.SAME)
    if verdict != kubeconfig.WRITE or not merges:
        return None
    after = kubeconfig_entries.merged(before, wanted)
    assert after is not None and after != before
    now = summarize(after)
    assert kubeconfig.contains(now, source)
    assert kubeconfig.classify(now, source)[0] == kubeconfig_copy.judged(now, source)[0] == kubeconfig.SAME
    assert kubeconfig_entries.merged(after, wanted) == after
    return after


EDITED = re.compile(r"[ -]*(server|certificate-authority-data|client-certificate-data|client-key-data|user): ")


def unchanged_lines(before: str, after: str) -> None:
    gone = Counter(before.splitlines()) - Counter(after.splitlines())
    assert all(EDITED.match(line) for line in gone), gone


EDITED_KEYS = {
    "clusters": {"server", "certificate-authority-data"},
    "users": {"client-certificate-data", "client-key-data"},
    "contexts": {"user"},
}


def unchanged_values(before: str, after: str) -> None:
    """What kubectl reads is as before, except for the values of the admin's entries and new entries."""
    try:
        old = yaml.load(before, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        return
    new = yaml.load(after, Loader=yaml.BaseLoader)
    assert {key: value for key, value in new.items() if key not in EDITED_KEYS} == {
        key: value for key, value in old.items() if key not in EDITED_KEYS
    }
    for key, edited in EDITED_KEYS.items():
        kept, added = new[key][: len(old[key])], new[key][len(old[key]) :]
        assert [_without(one, key[:-1], edited) for one in kept] == [
            _without(one, key[:-1], edited) for one in old[key]
        ]
        assert all(set(one) == {key[:-1], "name"} and all(one[key[:-1]].values()) for one in added) and len(added) < 2


def _without(entry: Any, kind: str, edited: set[str]) -> Any:
    """An entry with the names of the values that may be changed, but not these values."""
    values = entry.get(kind)
    if not isinstance(values, dict):
        return entry
    return {**entry, kind: {key: "" if key in edited else value for key, value in values.items()}}


def own_cluster(item: Any) -> bool:
    return bool(item["cluster"].get("certificate-authority-data") == CA)


@fuzz(150)
@given(st.data(), st.sampled_from(USER_NAMES[:4]))
def test_the_entries_of_other_clusters_and_users_stay(data: Any, user: str) -> None:
    config = data.draw(configs())
    before = data.draw(texts(config))
    after = written(before, admin(user))
    if after is None:
        return
    unchanged_lines(before, after)
    unchanged_values(before, after)
    old, new = (yaml.load(text, Loader=yaml.BaseLoader) for text in (before, after))
    for kind in ("clusters", "users", "contexts"):
        names = [one["name"] for one in new[kind]]
        assert len(set(names)) == len(names) and names[: len(old[kind])] == [one["name"] for one in old[kind]]
    own = {one["name"] for one in old["clusters"] if own_cluster(one)}
    foreign = [one for one in old["contexts"] if one["context"]["cluster"] not in own]
    theirs = {one["context"]["user"] for one in foreign}
    credentials = {"token", "exec", "client-certificate"}
    for one in [
        *((one, "clusters") for one in old["clusters"] if not own_cluster(one)),
        *((one, "contexts") for one in foreign),
        *((one, "users") for one in old["users"] if one["name"] in theirs or credentials & set(one["user"] or ())),
    ]:
        assert one[0] in new[one[1]]
    # If a cluster has the server already, no other one gets it. One behind a tunnel or a proxy keeps its own.
    known = [one for one in old["clusters"] if own_cluster(one) and one["cluster"].get("server") == SERVER]
    for one in old["clusters"]:
        ours = own_cluster(one) and not {"tls-server-name", "proxy-url"} & set(one["cluster"])
        assert one in new["clusters"] or (ours and not known)
    # kubectl gets the rights of the admin with one of the contexts.
    places = {one["name"]: one["cluster"] for one in new["clusters"]}
    holders = {one["name"]: one["user"] for one in new["users"]}
    wanted = CONFIG["users"][0]["user"]
    assert any(
        places.get(one["context"]["cluster"], {}).get("server") == SERVER
        and own_cluster({"cluster": places[one["context"]["cluster"]]})
        and {key: (holders.get(one["context"]["user"]) or {}).get(key) for key in wanted} == wanted
        for one in new["contexts"]
    )
    # A renewed certificate replaces the one before, and no more entries are added.
    again = written(after, admin(user, "bmV3"))
    assert again is not None and len(again.splitlines()) == len(after.splitlines())
    unchanged_lines(after, again)


@fuzz(150)
@given(damaged(), st.sampled_from(USER_NAMES))
def test_what_is_planned_for_a_damaged_file_is_written(before: str, user: str) -> None:
    after = written(before, admin(user))
    if after is not None:
        unchanged_lines(before, after)
        unchanged_values(before, after)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "- name: more\n  user:\n    token: x\n",
        lambda text: text.replace("client-key-data:", "client-key:"),
        lambda text: text.replace("users:\n", "users: &x\n"),
    ],
)
def test_an_admin_kubeconfig_that_can_not_be_merged_is_not_planned(change: Any) -> None:
    source = change(ADMIN)
    mine = (
        ADMIN.replace("client-certificate-data: L", "client-certificate-data: M") + "- name: a\n  user:\n    token: x\n"
    )
    assert kubeconfig_entries.merged(mine, ADMIN) and kubeconfig_entries.merged(mine, source) is None
    assert kubeconfig.classify(summarize(mine), summarize(source))[0] == kubeconfig.KEEP
