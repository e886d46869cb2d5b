#!/bin/sh
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What mmdebstrap runs on a new root: customize.sh ROOT OVERLAY USER lays the overlay's files, makes the user, and
# removes what each node must make for itself.
set -eu
root=$1
overlay=$2
user=$3
chroot "$root" useradd --create-home --shell /bin/bash --groups sudo "$user"
tar -C "$overlay" -cf - . | tar -C "$root" --no-same-owner -xf -
chroot "$root" chown -R "$user:$user" "/home/$user"
chmod 700 "$root/home/$user/.ssh"
chroot "$root" systemctl -q enable kubestead-lab-ca.service kubestead-lab-mounts.service ssh.service
chroot "$root" systemctl -q mask getty.target console-getty.service systemd-udevd.service \
    systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service systemd-logind.service \
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount dev-hugepages.mount dev-mqueue.mount \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    systemd-networkd-wait-online.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount
chroot "$root" systemctl -q set-default multi-user.target
rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/machine-id "$root"/var/lib/dbus/machine-id "$root"/etc/hostname
rm -f "$root"/etc/apt/sources.list.d/* "$root"/etc/apt/apt.conf.d/99mmdebstrap
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb
: >"$root/etc/machine-id"
ln -sf /etc/machine-id "$root/var/lib/dbus/machine-id"
