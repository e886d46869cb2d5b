# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The output of the instruments is read correctly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench import meter, parsing

LOG = """\
Connection from 10.213.0.1 port 40000 on 10.213.0.20 port 22 rdomain ""
Accepted publickey for admin from 10.213.0.1 port 40000 ssh2: ED25519 SHA256:abc
User child is on pid 301
Starting session: command for admin from 10.213.0.1 port 40000 id 0
Starting session: subsystem 'sftp' for admin from 10.213.0.1 port 40000 id 0
Starting session: command for admin from 10.213.0.1 port 40000 id 0
Close session: user admin from 10.213.0.1 port 40000 id 0
"""

COUNTERS = {
    "nftables": [
        {"metainfo": {"version": "1.0.6"}},
        {"table": {"family": "inet", "name": "kubestead_bench", "handle": 1}},
        {
            "set": {
                "name": "sent",
                "elem": [{"elem": {"val": "10.213.0.20", "counter": {"packets": 3, "bytes": 1234}}}],
            }
        },
        {"set": {"name": "received"}},
    ]
}


def test_each_command_and_each_file_transfer_is_a_round_trip() -> None:
    assert parsing.round_trips(LOG) == 3
    assert parsing.round_trips("") == 0


def test_bytes_are_counted_for_each_address() -> None:
    assert parsing.counters(json.dumps(COUNTERS)) == {"sent": {"10.213.0.20": 1234}, "received": {}}


def test_records_of_tasks_begin_with_the_run() -> None:
    rows = [{"number": 2, "task": "Plan", "host": "cp1", "status": "ok", "begin": 101.5, "end": 103.0}]
    (span,) = parsing.spans_of_tasks(json.dumps(rows), 100.0)
    assert (span.number, span.name, span.host, span.begin, span.end) == (2, "Plan", "cp1", 1.5, 3.0)
    assert parsing.spans_of_tasks("", 100.0) == []


def test_marks_of_the_script_become_spans_in_order() -> None:
    text = "w1\trepository\t103.0\t104.0\ncp1\trepository\t101.0\t102.5\ncp1\tkubeadm init\t102.5\t110.0\n"
    spans = parsing.spans_of_marks(text, 100.0)
    assert [(span.host, span.name, span.begin) for span in spans] == [
        ("cp1", "repository", 1.0),
        ("cp1", "kubeadm init", 2.5),
        ("w1", "repository", 3.0),
    ]
    assert [span.number for span in spans] == [0, 1, 0]


def test_the_processor_has_a_name() -> None:
    assert parsing.cpu_name("processor\t: 0\nmodel name\t: Fast One\n") == "Fast One"
    assert parsing.cpu_name("") == "unknown processor"


def test_processes_below_one_are_found_at_any_depth() -> None:
    assert sorted(meter.descendants({2: 1, 3: 2, 4: 3, 5: 1, 6: 9}, 2)) == [3, 4]
    assert os.getpid() in meter.parents()


def test_memory_that_is_shared_counts_in_proportion() -> None:
    assert meter.proportional("Rss:  900 kB\nPss:  300 kB\nPss_Dirty:  10 kB\n") == 300 * 1024
    assert meter.proportional("") == 0


def test_the_meter_ends_and_counts_what_a_command_leaves_behind(tmp_path: Path) -> None:
    result = tmp_path / "cost.json"
    pid = tmp_path / "pid"
    script = f"setsid sleep 300 & echo $! >{pid}; exit 3"
    done = subprocess.run([sys.executable, str(Path(meter.__file__)), str(result), "sh", "-c", script])
    cost = json.loads(result.read_text())
    assert done.returncode == cost["code"] == 3
    assert set(cost) == {"wall", "cpu", "memory", "left_cpu", "left_memory", "began", "code"}
    assert 0 < cost["left_memory"] <= cost["memory"] and 0 <= cost["left_cpu"] <= cost["cpu"]
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_who_ends_the_meter_ends_the_command(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    argv = [sys.executable, str(Path(meter.__file__)), str(tmp_path / "cost.json"), "sh", "-c"]
    process = subprocess.Popen([*argv, f"echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 300"])
    while not pid.exists():
        time.sleep(0.01)
    process.terminate()
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()
