# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calico's manifest in the shape that is asked for: on a small manifest, and on the real one if it is there."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.core import images
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import calico
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions
from ansible_collections.kubestead.cluster.tests.unit.support import fixture

ROOT = Path(__file__).resolve().parents[5]
REAL_FOLDER = Path(os.environ.get("KUBESTEAD_CALICO", ROOT.parent / "shared" / "data" / "calico"))
REAL = sorted(path for path in REAL_FOLDER.glob("calico-v*.yaml")) if REAL_FOLDER.is_dir() else []
SMALL = [document for document in yaml.safe_load_all(fixture("calico/small.yaml")) if document]
PODS = "10.244.0.0/16"


def manifests() -> list[Any]:
    found = [pytest.param(SMALL, id="small")]
    for path in REAL:
        with path.open() as handle:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            found.append(pytest.param([one for one in yaml.load_all(handle, Loader=loader) if one], id=path.stem))
    return found


every_manifest = pytest.mark.parametrize("objects", manifests())


def options(**more: Any) -> CniOptions:
    return CniOptions(**{"pod_cidr": PODS, **more})


def node(objects: list[dict[str, Any]]) -> dict[str, Any]:
    daemon = next(obj for obj in objects if obj["kind"] == "DaemonSet")
    return next(one for one in daemon["spec"]["template"]["spec"]["containers"] if one["name"] == "calico-node")


def env(objects: list[dict[str, Any]]) -> dict[str, str]:
    return {one["name"]: one.get("value", "(from)") for one in node(objects)["env"]}


def settings(objects: list[dict[str, Any]]) -> dict[str, str]:
    return next(obj for obj in objects if obj["kind"] == "ConfigMap")["data"]


@every_manifest
def test_the_default_is_vxlan_without_bird(objects: list[Any]) -> None:
    shaped = calico.shape(objects, options())
    variables = env(shaped)
    assert variables["CALICO_IPV4POOL_CIDR"] == PODS
    assert (variables["CALICO_IPV4POOL_IPIP"], variables["CALICO_IPV4POOL_VXLAN"]) == ("Never", "Always")
    assert variables["IP_AUTODETECTION_METHOD"] == "kubernetes-internal-ip"
    assert settings(shaped)["calico_backend"] == "vxlan"
    assert settings(shaped)["veth_mtu"] == "0"
    probes = node(shaped)["livenessProbe"]["exec"]["command"] + node(shaped)["readinessProbe"]["exec"]["command"]
    assert "-felix-live" in probes and "-felix-ready" in probes
    assert not any("bird" in word for word in probes)


@every_manifest
def test_bird_leaves_probes_of_calico_3_33_as_well(objects: list[Any]) -> None:
    # There it is `calico component node health --felix-ready --bird-ready`.
    command = node(objects)["readinessProbe"]["exec"]["command"]
    command[:] = ["calico", "component", "node", "health", "--felix-ready", "--bird-ready"]
    shaped = calico.shape(objects, options())
    assert node(shaped)["readinessProbe"]["exec"]["command"] == command[:-1]


@every_manifest
@pytest.mark.parametrize(
    ("encapsulation", "ipip", "vxlan", "backend"),
    [
        ("IPIP", "Always", "Never", "bird"),
        ("IPIPCrossSubnet", "CrossSubnet", "Never", "bird"),
        ("VXLANCrossSubnet", "Never", "CrossSubnet", "vxlan"),
        ("None", "Never", "Never", "bird"),
    ],
)
def test_encapsulations(objects: list[Any], encapsulation: str, ipip: str, vxlan: str, backend: str) -> None:
    shaped = calico.shape(objects, options(encapsulation=encapsulation))
    assert (env(shaped)["CALICO_IPV4POOL_IPIP"], env(shaped)["CALICO_IPV4POOL_VXLAN"]) == (ipip, vxlan)
    assert settings(shaped)["calico_backend"] == backend
    assert ("-bird-live" in node(shaped)["livenessProbe"]["exec"]["command"]) == (backend == "bird")


@every_manifest
def test_every_image_moves_to_the_mirror(objects: list[Any]) -> None:
    before = calico.images(objects)
    after = calico.images(calico.shape(objects, options(image_registry="mirror.example.org:5000/quay/")))
    assert len(before) == len(after) >= 3
    assert all(image.startswith("mirror.example.org:5000/quay/calico/") for image in after)
    assert [image.rsplit("/", 1)[1] for image in before] == [image.rsplit("/", 1)[1] for image in after]


@every_manifest
def test_nothing_else_changes_and_the_input_stays(objects: list[Any]) -> None:
    before = copy.deepcopy(objects)
    shaped = calico.shape(objects, options())
    assert objects == before
    assert [(obj["kind"], obj["metadata"]["name"]) for obj in shaped] == [
        (obj["kind"], obj["metadata"]["name"]) for obj in objects
    ]
    changed = {obj["kind"] for obj, old in zip(shaped, before, strict=True) if obj != old}
    assert changed == {"ConfigMap", "DaemonSet"}


@every_manifest
def test_shaping_again_gives_the_same(objects: list[Any]) -> None:
    wanted = options(mtu=1400, block_size=24, felix={"logSeverityScreen": "Info"}, image_registry="m.example")
    once = calico.shape(objects, wanted)
    assert calico.shape(once, wanted) == once


@every_manifest
def test_mtu_block_size_and_felix(objects: list[Any]) -> None:
    shaped = calico.shape(
        objects, options(mtu=1400, block_size=24, felix={"LogSeverityScreen": "Info", "FELIX_BPFENABLED": False})
    )
    assert settings(shaped)["veth_mtu"] == "1400"
    variables = env(shaped)
    assert variables["CALICO_IPV4POOL_BLOCK_SIZE"] == "24"
    assert variables["FELIX_LOGSEVERITYSCREEN"] == "Info"
    assert variables["FELIX_BPFENABLED"] == "false"


def test_no_variable_is_there_twice() -> None:
    names = [one["name"] for one in node(calico.shape(SMALL, options(felix={"IPV6SUPPORT": "true"})))["env"]]
    assert len(names) == len(set(names))


def annotation(mtu: int) -> str:
    shaped = calico.shape(SMALL, options(mtu=mtu))
    daemon = next(obj for obj in shaped if obj["kind"] == "DaemonSet")
    return daemon["spec"]["template"]["metadata"]["annotations"][calico.SETTINGS_ANNOTATION]


def test_other_settings_make_other_pods() -> None:
    assert annotation(1400) == annotation(1400)
    assert annotation(1400) != annotation(1450)


@every_manifest
def test_two_families(objects: list[Any]) -> None:
    shaped = calico.shape(objects, options(pod_cidr="10.244.0.0/16,fd00:244::/64"))
    variables = env(shaped)
    assert variables["CALICO_IPV6POOL_CIDR"] == "fd00:244::/64"
    assert variables["FELIX_IPV6SUPPORT"] == "true" and variables["IP6"] == "autodetect"
    text = settings(shaped)["cni_network_config"]
    config = json.loads(text.replace("__CNI_MTU__", "1"))
    assert config["plugins"][0]["ipam"] == {"type": "calico-ipam", "assign_ipv4": "true", "assign_ipv6": "true"}
    assert '"mtu": __CNI_MTU__' in text


def test_without_a_range_calico_takes_kubeadms() -> None:
    variables = env(calico.shape(SMALL, options(pod_cidr="")))
    assert "CALICO_IPV4POOL_CIDR" not in variables
    assert variables["CALICO_IPV4POOL_VXLAN"] == "Always"
    assert calico.expected_pools(options(pod_cidr="")) == []


@pytest.mark.parametrize(
    ("objects", "text"),
    [
        ([], "contains something that is not a Kubernetes object"),
        (["text"], "contains something that is not a Kubernetes object"),
        (
            [{"kind": "ConfigMap", "metadata": {"name": "calico-config"}}],
            "is not a manifest of Calico: it does not have DaemonSet calico-node",
        ),
        ([{"kind": "Deployment", "metadata": {"name": "tigera-operator"}}], "is the manifest of the Tigera operator"),
        ([{"kind": "Installation", "metadata": {"name": "default"}}], "is the manifest of the Tigera operator"),
        ([one for one in SMALL if one["kind"] != "CustomResourceDefinition"], "does not define ippools.crd"),
    ],
)
def test_another_manifest_is_refused_in_one_line(objects: list[Any], text: str) -> None:
    with pytest.raises(OptionError) as caught:
        calico.shape(objects, options(), "my.yaml")
    assert caught.value.option == "cni_calico_manifest"
    assert text in caught.value.message and "(my.yaml)" in caught.value.message and "\n" not in caught.value.message


@pytest.mark.parametrize("path", [path for path in REAL_FOLDER.glob("tigera-*.yaml")] if REAL_FOLDER.is_dir() else [])
def test_the_operators_manifest_is_refused(path: Path) -> None:
    with pytest.raises(OptionError, match="is the manifest of the Tigera operator"):
        calico.shape([one for one in yaml.safe_load_all(path.read_text()) if one], options())


@pytest.mark.parametrize(
    ("image", "there"),
    [
        ("quay.io/calico/node:v3.32.1", "m.example/calico/node:v3.32.1"),
        ("docker.io/calico/cni:v3.29.7", "m.example/calico/cni:v3.29.7"),
        ("calico/cni:v3.20", "m.example/calico/cni:v3.20"),
        ("busybox", "m.example/library/busybox"),
        ("localhost:5000/a/b@sha256:00", "m.example/a/b@sha256:00"),
    ],
)
def test_image_names(image: str, there: str) -> None:
    assert images.parse(image).in_registry("m.example") == there


DIGEST = "sha256:" + "0a" * 32


def shaped_images(**given: Any) -> list[str]:
    return calico.images(calico.shape(SMALL, options(**given)))


def test_images_can_be_pinned_by_their_digests() -> None:
    before = shaped_images()
    old = next(image for image in before if "/node:" in image)
    name = old.partition(":")[0]
    for key in (name, old):
        pinned = shaped_images(images={key: f"{name}@{DIGEST}"}, image_registry="m.example")
        assert f"{name}@{DIGEST}" in pinned and old not in pinned
        # What is named is left where it is; the others come from the mirror.
        assert all(image.startswith("m.example/") for image in pinned if DIGEST not in image)
    assert f"{old}@{DIGEST}" in shaped_images(images={old: f"{old}@{DIGEST}"})


def test_an_image_that_the_manifest_does_not_have_is_an_error() -> None:
    with pytest.raises(OptionError, match="cni_images has quay.io/calico/nod.*use an image of this manifest: .*node:"):
        shaped_images(images={"quay.io/calico/nod": f"quay.io/calico/node@{DIGEST}"})


@pytest.mark.parametrize(
    "image",
    [
        "",
        "node@sha256:00",
        f"node@{DIGEST}\n",
        f"node@{DIGEST}0",
        f"node@{DIGEST.upper()}",
        f"node@md5:{'0' * 32}",
        f"https://quay.io/calico/node@{DIGEST}",
        "bob:hunter2@quay.io/calico/node",
        "quay.io/calico/node:v3 --all",
        "quay.io/../node",
        "Node",
    ],
)
def test_what_is_not_an_image_is_refused_without_showing_it(image: str) -> None:
    for given in ({"quay.io/calico/node": image}, {image: "quay.io/calico/node"}):
        with pytest.raises(OptionError, match="is not the name of an image") as caught:
            options(images=given).validate()
        assert "hunter2" not in str(caught.value.problem) + str(caught.value.fix)


@pytest.mark.parametrize(
    "image",
    ["redis", "a/b:1", f"r.example.org:5000/a/b__c.d-e:V1_x@{DIGEST}", f"[::1]:5000/a@{DIGEST}", "localhost/x"],
)
def test_names_of_images(image: str) -> None:
    images.check_image("option", image)


def test_the_name_in_containerd_has_a_digest_or_a_tag() -> None:
    assert images.parse(f"redis:7@{DIGEST}").stored == f"docker.io/library/redis@{DIGEST}"
    assert images.parse("redis:7").stored == "docker.io/library/redis:7"


# -- images in general


def pod(kind: str, image: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"initContainers": [{"image": image}], "containers": [{"image": image}]}
    if kind != "Pod":
        spec = {"template": {"spec": spec}}
    if kind == "CronJob":
        spec = {"jobTemplate": {"spec": spec}}
    return {"kind": kind, "spec": spec}


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicaSet"])
def test_images_of_every_kind(kind: str) -> None:
    changed = images.replace([pod(kind, "redis:7")], {"docker.io/library/redis": "m.example/redis"})
    assert [one["image"] for one in images.containers(changed[0])] == ["m.example/redis:7"] * 2


@pytest.mark.parametrize(
    ("image", "wanted", "there"),
    [
        ("redis", {"redis": "valkey:8"}, "valkey:8"),
        ("redis:7", {"redis:6": "x"}, "redis:7"),
        ("redis:7", {"redis:7": "x", "redis": "y"}, "x:7"),
        ("docker.io/library/redis:7", {"redis": "m/redis:8"}, "m/redis:8"),
        ("a.b/c@sha256:12", {"a.b/c": "m.n/c"}, "m.n/c@sha256:12"),
        ("redisx:7", {"redis": "y"}, "redisx:7"),
        ("localhost:5000/redis", {"redis": "y"}, "localhost:5000/redis"),
    ],
)
def test_images_are_replaced_by_name_or_tag(image: str, wanted: dict[str, str], there: str) -> None:
    changed = images.replace([pod("Pod", image)], wanted)
    assert changed[0]["spec"]["containers"][0]["image"] == there


# -- the live pool


def pool(cidr: str = PODS, ipip: str = "Never", vxlan: str = "Always", **more: Any) -> dict[str, Any]:
    spec = {"cidr": cidr, "ipipMode": ipip, "vxlanMode": vxlan, "blockSize": 26, **more}
    return {"metadata": {"name": "default-ipv4-ippool"}, "spec": spec}


def compared(live: list[dict[str, Any]], **more: Any) -> list[str]:
    return [problem.message for problem in calico.compare_pools(live, calico.expected_pools(options(**more)))]


def test_a_pool_as_asked_is_fine() -> None:
    assert compared([pool()]) == []
    assert compared([pool(), pool("10.99.0.0/16")]) == []
    assert compared([pool()], block_size=26) == []


def test_another_range_is_told_with_both() -> None:
    (message,) = compared([pool("192.168.0.0/16")])
    assert message.startswith(
        "cluster_pod_cidr is 10.244.0.0/16, but Calico's live IPPools are: default-ipv4-ippool (192.168.0.0/16); set it"
    )
    assert compared([])[0].startswith("cluster_pod_cidr is 10.244.0.0/16, but Calico's live IPPools are: none;")
    assert compared([pool(disabled=True)]) != []


def test_another_encapsulation_is_told_by_name() -> None:
    (message,) = compared([pool(ipip="Always", vxlan="Never")])
    assert message.startswith("cni_encapsulation is VXLAN, but the live IPPool default-ipv4-ippool has IPIP; set ")
    # Left out means Never.
    bare = pool()
    del bare["spec"]["ipipMode"]
    assert compared([bare]) == []


def test_another_block_size_is_told() -> None:
    (message,) = compared([pool()], block_size=24)
    assert message.startswith("cni_block_size is 24, but the live IPPool default-ipv4-ippool has 26;")


@pytest.mark.parametrize(
    ("more", "option"),
    [
        ({"plugin": "flannel"}, "cni_plugin"),
        ({"encapsulation": "vxlan"}, "cni_encapsulation"),
        ({"mtu": 100}, "cni_mtu"),
        ({"block_size": 8}, "cni_block_size"),
        ({"timeout": 0}, "cni_timeout"),
        ({"pod_cidr": "10.244.0.0"}, None),
        ({"pod_cidr": "10.244.0.0/33"}, "cluster_pod_cidr"),
        ({"pod_cidr": "10.244.0.0/28"}, "cluster_pod_cidr"),
    ],
)
def test_options(more: dict[str, Any], option: str | None) -> None:
    if option is None:
        # One address is a range of one.
        option = "cluster_pod_cidr"
    with pytest.raises(OptionError) as caught:
        options(**more).validate()
    assert caught.value.option == option
