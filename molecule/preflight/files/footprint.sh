#!/bin/sh
# A line for everything that a role could change on a machine. Where nothing differs, nothing was changed.
find /etc /opt /usr/local /usr/lib/systemd /var/lib/kubelet /var/lib/containerd /var/lib/etcd /var/lib/dpkg \
  -xdev -type f -print0 | sort -z | xargs -0 sha256sum
find /home /root -xdev -type f ! -path '*/.ansible/*' -print0 | sort -z | xargs -0 -r sha256sum
ls -1 /var/lib/apt/lists /var/cache/apt/archives
systemctl list-unit-files --no-pager --no-legend | awk '{ print $1, $2 }'
cat /proc/swaps /proc/sys/net/ipv4/ip_forward
