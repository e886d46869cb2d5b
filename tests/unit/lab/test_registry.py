# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images as files: layers, manifests and the registry's tree."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from lab import registry
from lab.machine import MachineError


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("registry.k8s.io/coredns/coredns:v1.12.3", ("registry.k8s.io", "coredns/coredns", "v1.12.3")),
        ("localhost:5000/x:1", ("localhost:5000", "x", "1")),
    ],
)
def test_split_name(name: str, parts: tuple[str, str, str]) -> None:
    assert registry.split_name(name) == parts


@pytest.mark.parametrize("name", ["pause", "pause:3", "library/redis:7", "registry.k8s.io/pause", "a.test/Upper:1"])
def test_split_name_wants_all_of_it(name: str) -> None:
    with pytest.raises(MachineError, match="is not registry/path:tag"):
        registry.split_name(name)


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("redis", "docker.io/library/redis:latest"),
        ("redis:7", "docker.io/library/redis:7"),
        ("kubestead/web:1", "docker.io/kubestead/web:1"),
        ("quay.io/calico/node:v3", "quay.io/calico/node:v3"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
    ],
)
def test_full_name(short: str, full: str) -> None:
    assert registry.full_name(short) == full


def test_a_file_layer_has_folders_modes_and_no_owner(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\x7fELF")
    layer = registry.file_layer(tmp_path / "l.tar", {"usr/bin/x": (binary, 0o755), "etc/y": ("text\n", 0o644)})
    with tarfile.open(layer) as tar:
        entries = {entry.name: (entry.mode, entry.uid, entry.mtime, entry.isdir()) for entry in tar}
        handle = tar.extractfile("usr/bin/x")
        assert handle is not None and handle.read() == b"\x7fELF"
    assert entries == {
        "etc": (0o755, 0, 0, True),
        "etc/y": (0o644, 0, 0, False),
        "usr": (0o755, 0, 0, True),
        "usr/bin": (0o755, 0, 0, True),
        "usr/bin/x": (0o755, 0, 0, False),
    }


def test_a_tree_layer_is_the_same_every_time(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/x").write_text("x")
    (root / "bin").symlink_to("usr/bin")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    first = registry.tree_layer(tmp_path / "1.tar", root).read_bytes()
    (root / "usr/bin/x").touch()
    assert registry.tree_layer(tmp_path / "2.tar", root).read_bytes() == first
    with tarfile.open(tmp_path / "1.tar") as tar:
        assert tar.getmember("bin").linkname == "usr/bin"
        assert tar.getmember("tmp").mode == 0o1777


def test_a_published_image_can_be_followed_from_its_tag(tmp_path: Path) -> None:
    layer = registry.file_layer(tmp_path / "l.tar", {"x": ("x", 0o644)})
    tree = registry.Registry(tmp_path / "site", "amd64")
    image = registry.Image(("a.test/p/q:1", "a.test/p/q:2"), (layer,), entrypoint=("/x",), ports=("53/udp",))
    digest = tree.publish(image)
    names = tmp_path / "site/registry/a.test/p/q"
    manifest = (names / "manifests/oci/1").read_bytes()
    assert (names / "manifests/oci/2").read_bytes() == (names / f"manifests/oci/{digest}").read_bytes() == manifest
    assert digest == f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    assert json.loads((names / "tags/list").read_text()) == {"name": "p/q", "tags": ["1", "2"]}
    told = json.loads(manifest)
    assert told["mediaType"] == registry.MANIFEST
    for part in (told["config"], *told["layers"]):
        blob = (tmp_path / "site/blobs" / part["digest"]).read_bytes()
        assert part["size"] == len(blob)
        assert part["digest"] == f"sha256:{hashlib.sha256(blob).hexdigest()}"
    config = json.loads((tmp_path / "site/blobs" / told["config"]["digest"]).read_text())
    assert config["rootfs"]["diff_ids"] == [told["layers"][0]["digest"]]
    assert config["config"]["Entrypoint"] == ["/x"]
    assert config["config"]["ExposedPorts"] == {"53/udp": {}}
    assert config["architecture"] == "amd64"


def test_archives_tell_their_names(tmp_path: Path) -> None:
    docker = registry.file_layer(
        tmp_path / "d.tar", {"manifest.json": (json.dumps([{"RepoTags": ["a.test/x:1", "x:2"]}]), 0o644)}
    )
    assert registry.archive_names(docker) == ("docker-archive", ["a.test/x:1", "x:2"])
    note = {"annotations": {"org.opencontainers.image.ref.name": "a.test/y:1"}}
    oci = registry.file_layer(tmp_path / "o.tar", {"index.json": (json.dumps({"manifests": [note, {}]}), 0o644)})
    assert registry.archive_names(oci) == ("oci-archive", ["a.test/y:1"])
    other = registry.file_layer(tmp_path / "n.tar", {"x": ("", 0o644)})
    with pytest.raises(MachineError, match="is not an archive of container images"):
        registry.archive_names(other)
