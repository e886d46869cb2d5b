# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash

# The commands that a person types on a node, as root. run.sh runs the part named by PART over SSH. Each step prints a
# line with title, start and end.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

step() {
    local title=$1 began=$EPOCHREALTIME
    shift
    "$@" >&2
    printf '%s\t%s\t%s\n' "$title" "$began" "$EPOCHREALTIME"
}

system() {
    swapoff -a
    sed -i '/\sswap\s/s/^/#/' /etc/fstab
    printf 'overlay\nbr_netfilter\n' >/etc/modules-load.d/k8s.conf
    # The modules may be built into the kernel.
    modprobe overlay || true
    modprobe br_netfilter || true
    printf '%s = 1\n' net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables net.ipv4.ip_forward \
        >/etc/sysctl.d/k8s.conf
    sysctl --system
}

runtime_package() {
    apt-get update
    apt-get install -y containerd apt-transport-https ca-certificates curl gpg
}

repository() {
    mkdir -p -m 755 /etc/apt/keyrings
    curl -fsSL "$PACKAGES/Release.key" | gpg --dearmor --yes -o /etc/apt/keyrings/kubernetes-apt-keyring.gpg
    echo "deb [signed-by=/etc/apt/keyrings/kubernetes-apt-keyring.gpg] $PACKAGES/ /" \
        >/etc/apt/sources.list.d/kubernetes.list
}

kube_packages() {
    apt-get update
    apt-get install -y "kubelet=$VERSION-*" "kubeadm=$VERSION-*" "kubectl=$VERSION-*"
    apt-mark hold kubelet kubeadm kubectl
    systemctl enable --now kubelet
}

runtime_config() {
    mkdir -p /etc/containerd
    local pause
    pause=$(kubeadm config images list --kubernetes-version "$VERSION" --image-repository registry.k8s.io | grep /pause:)
    containerd config default |
        sed -e 's/SystemdCgroup = false/SystemdCgroup = true/' \
            -e "s#sandbox_image = .*#sandbox_image = \"$pause\"#" \
            -e 's#bin_dir = .*#bin_dir = "/opt/cni/bin"#' >/etc/containerd/config.toml
    systemctl restart containerd
}

prepare() {
    step "swap, modules, sysctls" system
    step "containerd package" runtime_package
    step "repository" repository
    step "kube packages" kube_packages
    step "containerd configuration" runtime_config
}

kubeadm_init() {
    kubeadm init --config /root/kubeadm.yaml --ignore-preflight-errors "$IGNORED" \
        ${SKIPPED:+--skip-phases "$SKIPPED"} | tee /root/kubeadm-init.log
    mkdir -p "/home/$SUDO_USER/.kube"
    cp /etc/kubernetes/admin.conf "/home/$SUDO_USER/.kube/config"
    chown -R "$SUDO_USER:" "/home/$SUDO_USER/.kube"
}

init() {
    printf '%s' "$CONFIG" >/root/kubeadm.yaml
    step "kubeadm init" kubeadm_init
}

# The join command for workers in the output of kubeadm init.
show_join() {
    sed -n '/^kubeadm join/,$p' /root/kubeadm-init.log | tr -d '\\\n'
}

kubeadm_join() {
    $JOIN --ignore-preflight-errors "$IGNORED"
}

join() {
    step "kubeadm join" kubeadm_join
}

# The name, pod range and address of each node, as soon as all nodes have them.
show_nodes() {
    local found
    while true; do
        found=$(kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes -o jsonpath='{range .items[*]}{.metadata.name} {.spec.podCIDR} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}')
        [ "$(awk 'NF == 3' <<<"$found" | wc -l)" -lt "$COUNT" ] || break
        sleep 0.5
    done
    echo "$found"
}

pod_network() {
    local name range address
    while read -r name range address; do
        if [ "$name" = "$(hostname)" ]; then
            cat >/etc/cni/net.d/10-pods.conflist <<EOF
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$range"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
EOF
        else
            ip route replace "$range" via "$address"
        fi
    done <<<"$TABLE"
    iptables -t nat -A POSTROUTING -s "$POD_CIDR" ! -d "$POD_CIDR" -j MASQUERADE
    iptables -A FORWARD -s "$POD_CIDR" -j ACCEPT
    iptables -A FORWARD -d "$POD_CIDR" -j ACCEPT
}

network() {
    mkdir -p /etc/cni/net.d
    step "pod network" pod_network
}

wait_ready() {
    kubectl --kubeconfig /etc/kubernetes/admin.conf wait --for=condition=Ready node --all --timeout=300s
}

ready() {
    step "every node ready" wait_ready
}

"$PART"
