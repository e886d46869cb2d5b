# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lab's server hands out: folders in the cache, made once per Kubernetes and once per set of apt sources."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import List, Optional

from .. import flavour as flavours
from .. import images, packages, registry, repository, roots, systems
from ..cache import once
from ..flavour import Flavour, folder_key
from ..machine import cache_dir, ensure
from ..private_apt import PrivateApt
from ..say import say, step
from ..systems import System


def source_key() -> str:
    """A short name for the code and the files that the served packages and images are made of."""
    digest = hashlib.sha256()
    modules = [Path(str(module.__file__)) for module in (images, packages, registry, repository, roots)]
    for path in [*modules, *sorted(images.STAND_INS.iterdir()), *sorted(packages.FILES.iterdir())]:
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def fresh_apt(system: Optional[System] = None) -> PrivateApt:
    """The lab's own apt, for this machine's system or another, with lists that were just fetched."""
    name = f"apt-{system.name}" if system else "apt"
    apt = PrivateApt(cache_dir() / name, system=system)
    with step(f"fetch the package lists of {(system or systems.own_system()).name}"):
        apt.update()
    return apt


def ensure_site(chosen: Flavour) -> Path:
    """The folder that is served as the upstream hosts, made when it is not in the cache."""
    folder = cache_dir() / "site"
    if chosen.folder is None:
        empty = folder / flavours.UPSTREAM
        empty.mkdir(parents=True, exist_ok=True)
        return empty
    later = chosen.later
    more = f"-{later.version}-{folder_key(later.folder)}" if later and later.folder else ""
    target = folder / f"{chosen.name}-{chosen.version}-{folder_key(chosen.folder)}{more}-{source_key()}"
    with once(target) as work:
        if work:
            _make_site(chosen, chosen.folder, work)
            _prune(folder, f"{chosen.name}-{chosen.version}-*", 4)
    return target


def _make_site(chosen: Flavour, binaries: Path, site: Path) -> None:
    ensure("mirror")
    apt = fresh_apt()
    offered = [(chosen, binaries)]
    if chosen.later and chosen.later.folder:
        offered.append((chosen.later, chosen.later.folder))
    for minor in dict.fromkeys(one.minor for one, _folder in offered):
        releases = [(folder, one.version) for one, folder in offered if one.minor == minor]
        with step(f"make packages of Kubernetes {', '.join(version for _folder, version in releases)}"):
            repository.kube_repository(apt, releases, site / "packages" / f"v{minor}" / "deb")
    tree = registry.Registry(site, repository.architecture())
    missing: List[str] = []
    wanted: List[str] = []
    for one, folder in offered:
        work = site / ".layers" / one.version
        work.mkdir(parents=True)
        builder = images.Builder(apt, tree, work)
        with step(f"make the images that kubeadm {one.version} wants"):
            # Versions share images.
            missing += builder.kubernetes(folder, [name for name in one.images if name not in wanted])
            wanted += one.images
    with step("make images for applications"):
        names = [*(name for name in dict.fromkeys(wanted) if name not in missing), *builder.applications()]
    for archive in sorted((binaries / "images").glob("*.tar")):
        with step(f"publish the images in {archive.name}"):
            names += tree.publish_archive(archive)
    for host in sorted((binaries / "files").glob("*")):
        shutil.copytree(host, site / "hosts" / host.name)
    shutil.rmtree(site / ".layers")
    missing = [name for name in missing if name not in names]
    if missing:
        say(f"no image of {', '.join(missing)}: there are no binaries for it")
    flatten(site / "registry")
    content = {"version": chosen.version, "images": sorted(names), "missing": missing}
    (site / "site.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def flatten(folder: Path) -> None:
    """Add the folder ``k8s``: the images under the names that kubeadm expects in any repository but its default."""
    source = folder / flavours.IMAGE_REPOSITORY
    target = folder / "k8s"
    target.mkdir(parents=True)
    for manifests in source.rglob("manifests"):
        path = manifests.parent
        link = target / path.name
        if not os.path.lexists(link):
            link.symlink_to(os.path.relpath(path, target))


def distributions() -> Path:
    """The folder with the Debian packages for nodes, which the server serves; a subfolder for each system."""
    folder = cache_dir() / "site" / "debian"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ensure_distribution(system: System) -> None:
    """Make the packages that nodes of a system install from Debian, when they are not in the cache.

    A running server serves them at once, because it serves the folder that they are in.
    """
    folder = distributions()
    wanted = "\n".join([*repository.DISTRIBUTION, *systems.sources(system), systems.preferences(system)])
    target = folder / f".{system.name}" / hashlib.sha256(wanted.encode()).hexdigest()[:12]
    with once(target) as work:
        if work:
            ensure("mirror")
            apt = fresh_apt(system)
            with step(f"download the packages that nodes of {system.name} install"):
                repository.distribution_repository(apt, work)
            _prune(target.parent, "[!.]*", 2)
    link = folder / system.name
    fresh = folder / f".{system.name}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target.relative_to(folder))
    fresh.replace(link)


def _prune(folder: Path, pattern: str, keep: int) -> None:
    old = sorted((path for path in folder.glob(pattern)), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in old[keep:]:
        shutil.rmtree(path, ignore_errors=True)
