#!/usr/bin/env bash
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Creates a cluster of one control plane and workers as a person does today: the commands of the handbooks over SSH, on
# all nodes at the same time, without a pause between them. Environment variables:
#
#   SSH_CONFIG      the file for ssh -F             MARKS       the file for the start and end of each step
#   CONTROL_PLANE   the control plane's name        WORKERS     the workers' names
#   PACKAGES        the package repository          VERSION     the version of Kubernetes
#   CONFIG          the configuration of kubeadm    POD_CIDR    the pod range
#   IGNORED         preflight errors to ignore      SKIPPED     phases of kubeadm init to skip
#   IN_STEPS        if not empty, all nodes are prepared before the control plane initializes
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
trap '[ $? = 0 ] || tail -n 15 "$MARKS.log" || true' EXIT

# on HOST PART [NAME=value...]: run a part of node.sh on the host as root.
on() {
    local host=$1 part=$2
    shift 2
    ssh -F "$SSH_CONFIG" "$host" sudo env "$(printf '%q ' PART="$part" "$@")" bash -s <"$here/node.sh"
}

# The same, with its steps recorded in MARKS.
marked() {
    local host=$1
    on "$@" 2>>"$MARKS.log" | sed "s/^/$host\t/" >>"$MARKS"
}

all() {
    local pid
    for pid in "$@"; do wait "$pid"; done
}

nodes=("$CONTROL_PLANE")
read -ra workers <<<"$WORKERS"
nodes+=("${workers[@]}")

prepared=()
for host in "${workers[@]}"; do
    marked "$host" prepare "PACKAGES=$PACKAGES" "VERSION=$VERSION" &
    prepared+=($!)
done
marked "$CONTROL_PLANE" prepare "PACKAGES=$PACKAGES" "VERSION=$VERSION"
[ -z "$IN_STEPS" ] || all "${prepared[@]}"
marked "$CONTROL_PLANE" init "CONFIG=$CONFIG" "IGNORED=$IGNORED" "SKIPPED=$SKIPPED"
join=$(on "$CONTROL_PLANE" show_join 2>>"$MARKS.log")
[ -n "$IN_STEPS" ] || all "${prepared[@]}"

joined=()
for host in "${workers[@]}"; do
    marked "$host" join "JOIN=$join" "IGNORED=$IGNORED" &
    joined+=($!)
done
all "${joined[@]}"

table=$(on "$CONTROL_PLANE" show_nodes "COUNT=${#nodes[@]}" 2>>"$MARKS.log")
networked=()
for host in "${nodes[@]}"; do
    marked "$host" network "TABLE=$table" "POD_CIDR=$POD_CIDR" &
    networked+=($!)
done
all "${networked[@]}"
marked "$CONTROL_PLANE" ready
