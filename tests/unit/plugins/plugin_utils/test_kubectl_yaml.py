# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests read as kubectl reads them: against what the reader of kubectl 1.35 made of the same texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.objects import check, without_repeats
from ansible_collections.kubestead.cluster.plugins.plugin_utils import kubectl_yaml, manifest_files

# [text, the objects that kubectl's reader gives, or null where it refuses the text]; the texts are generated, and
# the answers are those of k8s.io/cli-runtime 1.35 (NewLocalBuilder().Unstructured().Stream().Flatten()).
RECORDED = json.loads((Path(__file__).parents[2] / "fixtures" / "manifests" / "kubectl-yaml.json").read_text("utf-8"))


def objects(text: str) -> Any:
    """What a text has, or None where it is refused."""
    try:
        found = manifest_files.parse(text, "manifests", "a.yaml")
    except OptionError:
        return None
    return (
        found
        if all(isinstance(one, dict) and isinstance(one.get("kind"), str) and one["kind"] for one in found)
        else None
    )


def exact(value: Any) -> Any:
    """A value in which true is not 1, and 1.0 is not 1."""
    return json.dumps(value, sort_keys=True)


def spec(text: str) -> Any:
    """The value of ``v`` in a document."""
    (found,) = kubectl_yaml.documents("v: {0}\n".format(text))
    return found["v"]


def test_every_recorded_text_is_read_alike() -> None:
    assert len(RECORDED) > 790
    different = [(text, objects(text), known) for text, known in RECORDED if exact(objects(text)) != exact(known)]
    assert different == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("y", True),
        ("n", False),
        ("On", True),
        ("oN", "oN"),
        ("012", 10),
        ("0o17", 15),
        ("08", 8),
        ("0b11", 3),
        ("1_000", 1000),
        ("12:30", "12:30"),
        ("2001-01-01", "2001-01-01"),
        ("1e3", 1000),
        ("1.0", 1),
        ("1e400", "1e400"),
        ("=", "="),
        ("!!binary aGVsbG8=", "hello"),
        ("!!str 5", "5"),
        ("! 5", "5"),
        ("!!python/object:os.system x", "x"),
        ("!!set {a, b}", {"a": None, "b": None}),
        ("!unknown {a: y}", {"a": True}),
        ("{1: a, yes: b, 1.5: c, 010: d}", {"1": "a", "true": "b", "1.5": "c", "8": "d"}),
        ("{a: 1, a: 2}", {"a": 2}),
        ("{a: 1, <<: {a: 2}}", {"a": 2}),
        ("{<<: [{a: 1}, {a: 2, b: 3}]}", {"a": 1, "b": 3}),
        ("{'<<': {a: 1}}", {"<<": {"a": 1}}),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert exact(spec(text)) == exact(value)


def test_a_mapping_that_merges_is_merged_again_nearer_the_top() -> None:
    text = "a: &a {q: 1}\nb: &b {<<: *a, r: 2}\nc: {d: {<<: *b}}\ne: {<<: *b, s: 3}\n"
    (found,) = kubectl_yaml.documents(text)
    assert found["c"] == {"d": {"q": 1, "r": 2}} and found["e"] == {"q": 1, "r": 2, "s": 3}


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("kind: A\n---\nkind: B\n", ["A", "B"]),
        ("\ufeffkind: A\n---\n\ufeffkind: B\n", ["A", "B"]),
        ("kind: A\r\n--- # Source: b\r\nkind: B\r\n", ["A", "B"]),
        ("# only words\n---\n---\n~\n---\nkind: A\n", ["A"]),
        ('{"kind": "A"}{"kind": "B"}\n{"kind": "C"}', ["A", "B", "C"]),
        ('{"kind": "A"}\n---\nkind: B\n', ["A", "B"]),
        ("{kind: A}", ["A"]),
        ("kind: A\n...\n---\nkind: B\n", ["A", "B"]),
        ("kind: PodList\napiVersion: v1\nitems: [{}, {kind: Job, apiVersion: batch/v1}]\n", ["Pod", "Job"]),
        ("kind: List\nitems:\n", []),
    ],
)
def test_documents(text: str, kinds: list[str]) -> None:
    assert [one["kind"] for one in manifest_files.parse(text, "manifests", "a.yaml")] == kinds


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\n---\nb: *c\n", 3, "an alias refers to an anchor that is not defined before it"),
        ("a: 1\n---\nb: &b [*b]\n", 3, "an anchor contains itself"),
        ("a: 1\nb: {~: 1}\n", 2, "a key is empty or too large a number"),
        ("a: 1\nb: {[c]: 1}\n", 2, "a key is a mapping or a list"),
        ("a: 1\nb: {<<: 5}\n", 2, "'<<' needs a mapping or a list of mappings"),
        ("a: !!int hunter2\n", 1, "a value does not fit its tag"),
        ("a: !!binary hunter2\n", 1, "a value with the tag !!binary is not base64"),
        ("a: .inf\n", 1, "a number is not finite, which JSON does not support"),
        ("a: 1\n%YAML 1.1\n--- !x\n", 3, "only a comment may follow '---' on its line"),
        ("a: 1\nb: \x01\n", 2, "the document has a character that YAML does not allow"),
        ('{"a": 1}{"a": 2}{"a": ', 1, "the document is not JSON"),
        ("a: " + 300 * "[" + 300 * "]", 1, "the document is nested too deeply"),
    ],
)
def test_what_is_refused_names_the_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(kubectl_yaml.YamlError) as caught:
        list(kubectl_yaml.documents(text))
    assert (caught.value.line, caught.value.problem) == (line, problem)


def test_aliases_that_blow_up_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += ["a{0}: &a{0} [{1}]".format(n, ", ".join(9 * ["*a{0}".format(n - 1)])) for n in range(1, 9)]
    with pytest.raises(kubectl_yaml.YamlError, match="most of the content comes from aliases"):
        list(kubectl_yaml.documents("\n".join(lines)))


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ("{name: 2024}", "metadata.name is a number, not a string; put it in quotes"),
        ("{name: on}", "metadata.name is a boolean (yes, no, on, off, y, n …), not a string; put it in quotes"),
        ("{name: a, namespace: [b]}", "metadata.namespace is a list, not a string; put it in quotes"),
        ("{name: a, labels: {gpu: true}}", "metadata.labels: the value of 'gpu' is a boolean"),
        ("{name: a, annotations: {port: 80}}", "metadata.annotations: the value of 'port' is a number"),
        ("{name: a, annotations: [b]}", "metadata.annotations is a list, not a dictionary; use names and values"),
        ("{name: a, finalizers: b}", "metadata.finalizers is not a list of strings; remove it"),
        ("{name: a, generation: x}", "metadata.generation is not a number; remove it"),
        ("{name: a, creationTimestamp: x}", "metadata.creationTimestamp is not a time; remove it"),
    ],
)
def test_metadata_that_kubectl_refuses_names_the_field(metadata: str, problem: str) -> None:
    found = manifest_files.parse(
        "kind: Namespace\napiVersion: v1\nmetadata: {0}\n".format(metadata), "manifests", "a.yaml"
    )
    with pytest.raises(KubesteadError) as caught:
        check(found, {0: "a.yaml"})
    assert caught.value.message.startswith("Namespace of a.yaml: " + problem)


def test_empty_labels_are_accepted() -> None:
    text = "kind: Namespace\napiVersion: v1\nmetadata: {name: a, labels: {b: ~}, annotations: ~, uid: null}\n"
    check(manifest_files.parse(text, "manifests", "a.yaml"))


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"], ids=["UTF-8", "with BOM", "PowerShell", "big endian"]
)
def test_a_file_is_decoded_by_its_byte_order_mark(tmp_path: Path, encoding: str, ending: str) -> None:
    one = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {x: "ü"}\n'
    text = (one + "---\n" + one.replace("name: a", "name: b")).replace("\n", ending)
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    (tmp_path / "a.yaml").write_bytes(mark + text.encode(encoding))
    found = manifest_files.gather("manifests", str(tmp_path), [])
    # As kubectl 1.35 prints them.
    assert [(each["metadata"]["name"], each["data"]) for _source, each in found] == [
        ("a", {"x": "ü"}),
        ("b", {"x": "ü"}),
    ]


@pytest.mark.parametrize("data", ["a: b\n".encode("utf-16-le"), b"\xff\xfea", b"a: \xfc\n"])
def test_a_file_in_another_encoding_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.yaml").write_bytes(data)
    with pytest.raises(OptionError) as caught:
        manifest_files.gather("manifests", str(tmp_path / "a.yaml"), [])
    assert "a.yaml" in caught.value.message and "\n" not in caught.value.message


def test_items_that_are_not_a_list_are_named() -> None:
    with pytest.raises(OptionError) as caught:
        manifest_files.parse("kind: Basket\nitems: {a: 1}\n", "manifests", "a.yaml")
    assert caught.value.message == "manifests has a Basket whose items are not a list in a.yaml; correct the file"


def test_the_same_object_in_two_files_is_applied_once(tmp_path: Path) -> None:
    text = "kind: Namespace\napiVersion: v1\nmetadata: {name: shop}\n"
    (tmp_path / "a.yaml").write_text(text, "utf-8")
    (tmp_path / "b.yaml").write_text("# again\n" + text + "---\n" + text.replace("shop", "bank"), "utf-8")
    found = without_repeats(manifest_files.gather("manifests", str(tmp_path), []))
    assert [(source, obj["metadata"]["name"]) for source, obj in found] == [("a.yaml", "shop"), ("b.yaml", "bank")]


def test_different_objects_of_one_name_are_both_kept_and_refused(tmp_path: Path) -> None:
    text = "kind: Namespace\napiVersion: v1\nmetadata: {name: shop}\n"
    (tmp_path / "a.yaml").write_text(text, "utf-8")
    (tmp_path / "b.yaml").write_text(text + "spec: {}\n", "utf-8")
    found = without_repeats(manifest_files.gather("manifests", str(tmp_path), []))
    with pytest.raises(KubesteadError, match="would be applied twice"):
        check([obj for _source, obj in found])


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("kustomization.yaml", "kubectl kustomize"),
        ("kustomization.yml", "kubectl kustomize"),
        ("Kustomization.yaml", "kubectl kustomize"),
        ("Chart.yaml", "helm template"),
        ("values.yaml", "helm template"),
    ],
)
def test_files_of_kustomize_and_helm_are_named(tmp_path: Path, name: str, tool: str) -> None:
    (tmp_path / "app.yaml").write_text("kind: Namespace\napiVersion: v1\nmetadata: {name: shop}\n", "utf-8")
    (tmp_path / name).write_text("replicas: 3\n", "utf-8")
    with pytest.raises(OptionError) as caught:
        manifest_files.gather("manifests", str(tmp_path), [])
    assert f"has '{tmp_path / name}', which is not a manifest" in caught.value.message
    assert caught.value.message.endswith(f"use a file with the output of '{tool}'")


def vaulted(folder: Path, password: str) -> tuple[Path, DataLoader]:
    """A Secret that Ansible Vault has encrypted, and a loader that knows a password."""
    secret = [("default", VaultSecret(b"correct horse"))]
    text = b"kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData: {k: hunter2}\n"
    path = folder / "secret.yaml"
    path.write_bytes(VaultLib(secret).encrypt(text, secret[0][1]))
    loader = DataLoader()
    loader.set_vault_secrets([("default", VaultSecret(password.encode()))])
    return path, loader


def test_an_encrypted_manifest_is_decrypted(tmp_path: Path) -> None:
    path, loader = vaulted(tmp_path, "correct horse")
    ((_source, found),) = manifest_files.gather("manifests", str(path), [], loader.get_text_file_contents)
    assert found["stringData"] == {"k": "hunter2"}


@pytest.mark.parametrize("known", [True, False])
def test_an_encrypted_manifest_without_its_password_is_named(tmp_path: Path, known: bool) -> None:
    path, loader = vaulted(tmp_path, "wrong")
    with pytest.raises(OptionError, match="provide the password, for example with --vault-password-file") as caught:
        manifest_files.gather("manifests", str(path), [], loader.get_text_file_contents if known else None)
    assert "hunter2" not in str(caught.value)
