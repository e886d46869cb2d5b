# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading manifests on the control machine: paths, pinned URLs, YAML as kubectl understands it."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions
from ansible_collections.kubestead.cluster.plugins.plugin_utils import calico_manifest as calico_source
from ansible_collections.kubestead.cluster.plugins.plugin_utils import manifest_files as yaml_files
from ansible_collections.kubestead.cluster.tests.unit.support import FIXTURES, fixture

SMALL = FIXTURES / "calico" / "small.yaml"
SMALL_SUM = hashlib.sha256(SMALL.read_bytes()).hexdigest()


class Server:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.files = {"/calico.yaml": SMALL.read_bytes()}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                data = outer.files.get(self.path)
                self.send_response(200 if data is not None else 404)
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *words: object) -> None:
                return

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    one = Server()
    yield one
    one.http.shutdown()


def options(**more: str) -> CniOptions:
    return CniOptions(pod_cidr="10.244.0.0/16", **more)


# -- where it comes from


def test_the_default_is_the_pinned_release() -> None:
    default = CniOptions()
    assert calico_source.source(default).endswith("/projectcalico/calico/v3.32.1/manifests/calico.yaml")
    assert calico_source.checksum(default) == "a1df919d9721cf667accdc3e72848911b0cb25cfab7d2478ad0c996302c95744"


@pytest.mark.parametrize("text", ["v3.32.1", "3.32.1", " 3.32.1 "])
def test_a_release_may_be_spelled_like_a_version_of_kubernetes(text: str) -> None:
    default, given = CniOptions(), CniOptions(calico_version=text)
    assert calico_source.source(given) == calico_source.source(default)
    assert calico_source.checksum(given) == calico_source.checksum(default)


def test_a_release_whose_checksum_is_not_known_asks_for_it() -> None:
    with pytest.raises(
        OptionError, match=r"cni_calico_checksum is empty, but https://.*v3.30.0.* requires a checksum; set"
    ):
        calico_source.checksum(CniOptions(calico_version="v3.30.0"))


@pytest.mark.parametrize("text", [SMALL_SUM, "sha256:" + SMALL_SUM, SMALL_SUM.upper()])
def test_a_path_may_have_a_checksum(text: str) -> None:
    assert calico_source.read(options(calico_manifest=str(SMALL), calico_checksum=text)) == SMALL.read_text()


def test_paths_below_the_given_folders() -> None:
    given = options(calico_manifest="calico/small.yaml")
    assert calico_source.read(given, ["/nowhere", str(FIXTURES)]) == SMALL.read_text()


@pytest.mark.parametrize(
    ("more", "option", "text"),
    [
        (
            {"calico_manifest": "/nowhere/calico.yaml"},
            "cni_calico_manifest",
            "can't be read (No such file or directory)",
        ),
        ({"calico_manifest": str(FIXTURES)}, "cni_calico_manifest", "can't be read (Is a directory)"),
        ({"calico_manifest": str(SMALL), "calico_checksum": "12"}, "cni_calico_checksum", "not a SHA-256 checksum"),
        ({"calico_manifest": str(SMALL), "calico_checksum": "0" * 64}, "cni_calico_checksum", f"has {SMALL_SUM}"),
        ({"calico_manifest": "https://h.example/c.yaml"}, "cni_calico_checksum", "requires a checksum"),
        (
            {"calico_manifest": "ftp://h.example/c", "calico_checksum": "0" * 64},
            "cni_calico_manifest",
            "ftp://h.example/c",
        ),
    ],
)
def test_what_can_not_be_read_names_option_and_fix(more: dict[str, str], option: str, text: str) -> None:
    with pytest.raises(OptionError) as caught:
        calico_source.read(options(**more))
    assert caught.value.option == option and caught.value.fix
    assert text in caught.value.message and "\n" not in caught.value.message
    problem, _images = calico_source.check(options(**more))
    assert problem is not None and problem.level == "error" and problem.message.startswith(option)


def test_what_a_server_redirects_to_is_not_repeated(server: Server) -> None:
    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", "http://me:geheim@h.invalid/calico.yaml")
            self.end_headers()

        def log_message(self, *words: object) -> None:
            return

    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    given = options(calico_manifest=f"http://127.0.0.1:{other.server_address[1]}/c.yaml", calico_checksum="0" * 64)
    with pytest.raises(OptionError, match=r"can't be fetched: .*no HTTP answer \(InvalidURL\)") as caught:
        calico_source.read(given, cache="")
    other.shutdown()
    assert "geheim" not in caught.value.message


def test_check_finds_nothing_wrong_with_a_good_manifest() -> None:
    assert calico_source.check(options(calico_manifest=str(SMALL)))[0] is None
    assert calico_source.check(options(plugin="bridge", calico_manifest="/nowhere")) == (None, [])


def test_check_finds_what_is_not_calico(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("kind: ConfigMap\nmetadata: {name: x}\n")
    problem, _images = calico_source.check(options(calico_manifest=str(path)))
    assert problem is not None and "is not a manifest of Calico" in problem.message


def test_check_tells_the_line_of_broken_yaml(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("kind: A\nmetadata: {name: x\nfoo: bar\n")
    problem, _images = calico_source.check(options(calico_manifest=str(path)))
    assert problem is not None and "broken.yaml, line 3" in problem.message and "\n" not in problem.message


def test_a_url_is_fetched_once_and_its_copy_proven(server: Server, tmp_path: Path) -> None:
    given = options(calico_manifest=server.url + "/calico.yaml", calico_checksum=SMALL_SUM)
    for _again in range(2):
        assert calico_source.read(given, cache=str(tmp_path)) == SMALL.read_text()
    assert server.asked == ["/calico.yaml"]
    (tmp_path / f"{SMALL_SUM}.yaml").write_text("something else")
    assert calico_source.read(given, cache=str(tmp_path)) == SMALL.read_text()
    assert len(server.asked) == 2


def test_a_url_with_other_content_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    given = options(calico_manifest=server.url + "/calico.yaml", calico_checksum="0" * 64)
    with pytest.raises(OptionError, match=f"but {server.url}/calico.yaml has {SMALL_SUM}; check where"):
        calico_source.read(given, cache=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_url_that_is_not_there_names_the_answer(server: Server) -> None:
    given = options(calico_manifest=server.url + "/gone.yaml", calico_checksum=SMALL_SUM)
    with pytest.raises(OptionError, match="can't be fetched: .*/gone.yaml answers 404 Not Found; correct"):
        calico_source.read(given, cache="")


def test_a_host_that_does_not_answer_names_the_cause(server: Server) -> None:
    server.http.shutdown()
    server.http.server_close()
    given = options(calico_manifest=server.url + "/calico.yaml", calico_checksum=SMALL_SUM)
    with pytest.raises(OptionError, match=r"can't be fetched: .*Connection refused; check the network"):
        calico_source.read(given, cache="")


# -- YAML


def read(text: str) -> list[object]:
    return yaml_files.parse(text, "manifests", "a.yaml")


def test_values_are_read_as_kubectl_reads_them() -> None:
    (found,) = read(
        "time: 12:30\nports: 80:80\ndate: 2026-11-23\nmode: 0644\nnew: 0o644\nnumber: 1_000\n"
        "float: 1e3\nyes: true\nequal: =\n"
        "version: 1.10\nquoted: '1'\nhex: 0x10\nnone: ~\nnegative: -5\n"
    )
    assert found == {
        "time": "12:30",
        "ports": "80:80",
        "date": "2026-11-23",
        "mode": 420,
        "new": 420,
        "number": 1000,
        "float": 1000.0,
        "true": True,
        "equal": "=",
        "version": 1.1,
        "quoted": "1",
        "hex": 16,
        "none": None,
        "negative": -5,
    }


def test_documents_and_lists_are_opened() -> None:
    found = read(
        "---\n# nothing\n---\nkind: A\n---\nkind: List\nitems: [{kind: B}, {kind: CList, items: [{kind: C}]}]\n"
    )
    assert found == [{"kind": "A"}, {"kind": "B"}, {"kind": "C"}]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: [1\nb: 2\n", "a.yaml, line 2"),
        ("a: 1\n--- x\n", "a.yaml, line 2: only a comment may follow '---' on its line"),
        ("a: !!int x\n", "a.yaml, line 1"),
        ("a: \t1\n\tb: 2\n", "a.yaml, line 2"),
    ],
)
def test_errors_have_file_and_line(text: str, where: str) -> None:
    with pytest.raises(OptionError) as caught:
        read(text)
    assert caught.value.message.startswith(f"manifests is not YAML: {where}") and "\n" not in caught.value.message


def test_anchors_and_merges() -> None:
    assert read("a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}\n") == [{"a": {"k": 1, "l": 2}, "b": {"k": 1, "l": 3}}]


def test_a_folder_is_read_by_file_name(tmp_path: Path) -> None:
    for name in ("20-b.yml", "10-a.yaml", "30-c.json"):
        (tmp_path / name).write_text(f'{{"kind": "{name}"}}\n')
    (tmp_path / "README.md").write_text("no manifest")
    (tmp_path / ".hidden.yaml").write_text("kind: hidden")
    found = yaml_files.gather("manifests", str(tmp_path), [])
    assert [source for source, _obj in found] == ["10-a.yaml", "20-b.yml", "30-c.json"]
    assert [obj["kind"] for _source, obj in found] == ["10-a.yaml", "20-b.yml", "30-c.json"]


def test_a_list_keeps_its_order(tmp_path: Path) -> None:
    (tmp_path / "z.yaml").write_text("kind: Z")
    (tmp_path / "a.yaml").write_text("kind: A")
    found = yaml_files.gather("manifests", ["z.yaml", {"kind": "Inline"}, "a.yaml"], [str(tmp_path)])
    assert [(source, obj["kind"]) for source, obj in found] == [
        ("z.yaml", "Z"),
        ("manifests[1]", "Inline"),
        ("a.yaml", "A"),
    ]


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("nowhere", "which does not exist; use a file or directory"),
        ("empty", "a directory without manifests; add"),
        ([], "does not contain a Kubernetes object"),
        ([7], "manifests[0] is neither a path nor an object (int)"),
        ("blank.yaml", "does not contain a Kubernetes object"),
        ("binary.yaml", "which is not UTF-8 text"),
        # A manifest less would not be noticed.
        ("linked", "which can't be read (No such file or directory)"),
    ],
)
def test_what_is_no_manifest_is_told(tmp_path: Path, wanted: object, text: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "linked" / "folder.yaml").mkdir(parents=True)
    (tmp_path / "linked" / "10.yaml").write_text("kind: A")
    (tmp_path / "linked" / "20.yaml").symlink_to("nowhere.yaml")
    (tmp_path / "blank.yaml").write_text("# nothing\n")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OptionError) as caught:
        yaml_files.gather("manifests", wanted, [str(tmp_path)])
    assert text in caught.value.message


def test_the_examples_can_be_read() -> None:
    root = Path(__file__).resolve().parents[4] / "examples"
    for name, kinds in (
        ("webapp", ["ConfigMap", "ConfigMap", "Secret", "Service", "StatefulSet", "Service", "Deployment"]),
        (
            "webapp-external-db",
            ["ConfigMap", "ConfigMap", "Secret", "Service", "EndpointSlice", "Service", "Deployment"],
        ),
    ):
        found = yaml_files.gather("manifests", str(root / name), [])
        assert [obj["kind"] for _source, obj in found] == kinds
        code = next(obj["data"]["server.py"] for _source, obj in found if "server.py" in obj.get("data", {}))
        compile(code, "server.py", "exec")


def test_the_fixture_is_what_it_claims() -> None:
    assert fixture("calico/small.yaml") == SMALL.read_text()
