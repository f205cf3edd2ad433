//! Which container a process runs in.
//!
//! In: paths of control groups, mounts. Out: [`Container`]. Not here: any question to a
//! container runtime or to Kubernetes.

use crate::discovery::files::{Tree, head};
use crate::discovery::procs::{Proc, Process};
use std::path::Path;

/// Most bytes of `mountinfo`, and of a container's `/etc/hostname`.
const MOUNT_BYTES: usize = 256 * 1024;
const HOSTNAME_BYTES: usize = 256;
/// Characters of the random parts of a pod's name: no vowels, no look-alikes.
const POD_CHARACTERS: &str = "bcdfghjklmnpqrstvwxz2456789";

/// What is known of a process's container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// `container.id`: 64 hexadecimal digits, or the name where the runtime has only names.
    pub id: Option<String>,
    /// `k8s.pod.uid`.
    pub pod: Option<String>,
    /// `systemd` service outside or inside, without its ending and instance.
    pub unit: Option<String>,
}

/// `systemd` services whose members are not theirs: sessions, jobs and containers.
const FOREIGN_UNITS: &[&str] = &[
    "user",
    "session",
    "cron",
    "crond",
    "anacron",
    "atd",
    "docker",
    "containerd",
    "crio",
    "podman",
    "kubelet",
    "k3s",
    "k3s-agent",
    "rke2-server",
    "rke2-agent",
    "ssh",
    "sshd",
    "getty",
    "serial-getty",
    "console-getty",
    "container-getty",
    "supervisor",
    "supervisord",
    "lxc",
    "lxd",
    "lxc-net",
    "snapd",
    "incus",
    "display-manager",
    "gdm",
    "lightdm",
    "sddm",
    "rc-local",
    "init",
    "machined",
    "systemd-nspawn",
    "buildkit",
    "nomad",
    "waagent",
    "amazon-ssm-agent",
];

impl Container {
    /// Looks at the control groups of `process`, and at its mounts where they are hidden.
    #[must_use]
    pub fn of(proc: &Proc, process: &Process) -> Self {
        let mut container = Self::of_cgroups(&process.cgroups);
        let hidden = process
            .cgroups
            .iter()
            .all(|path| path.trim_matches(['/', '.']).is_empty());
        if container.id.is_none() && hidden {
            let mounts = head(&proc.path(process.tgid, "mountinfo"), MOUNT_BYTES);
            let mounts = mounts.unwrap_or_default();
            container.id = of_mounts(&String::from_utf8_lossy(&mounts));
        }
        container
    }

    /// Looks at the paths of control groups alone.
    #[must_use]
    pub fn of_cgroups(paths: &[String]) -> Self {
        let segments = || paths.iter().flat_map(|path| path.rsplit(['/', ':']));
        Self {
            id: segments()
                .find_map(hex_id)
                .or_else(|| paths.iter().find_map(|path| named(path))),
            pod: segments().find_map(pod_uid),
            unit: paths.iter().find_map(|path| unit(path)),
        }
    }

    /// The process runs in a container.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.id.is_some() || self.pod.is_some()
    }

    /// The name that the container or pod was given, from its own `/etc/hostname`. None when it
    /// is just its id, or the host's own name, `host`.
    #[must_use]
    pub fn name(&self, files: &Tree, host: &str) -> Option<String> {
        if !self.is_some() {
            return None;
        }
        let text = files.text(Path::new("/etc/hostname"), HOSTNAME_BYTES)?;
        let name = text.lines().next()?.trim();
        let is_id = name.len() >= 12 && name.bytes().all(|b| b.is_ascii_hexdigit());
        if is_id || name.is_empty() || name == host || name == "localhost" {
            return None;
        }
        let name = if self.pod.is_some() {
            workload(name)
        } else {
            name
        };
        Some(name.to_owned())
    }
}

/// The container's id in one part of a path: `<id>`, `docker-<id>.scope`, `cri-containerd-<id>`.
fn hex_id(segment: &str) -> Option<String> {
    let segment = segment.strip_suffix(".scope").unwrap_or(segment);
    // The monitor beside a container is not in it.
    if segment.contains("conmon") {
        return None;
    }
    if let Some((task, number)) = segment.split_once('-')
        && is_hex(task, 32)
        && (1..=20).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
    {
        // AWS Fargate.
        return Some(segment.to_owned());
    }
    let id = segment.rsplit('-').next()?;
    is_hex(id, 64).then(|| id.to_ascii_lowercase())
}

/// Containers that have names only: LXC, `systemd-nspawn`.
fn named(path: &str) -> Option<String> {
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let next = segments.peek().copied();
        let name = match segment {
            "lxc" => next,
            "machine.slice" => next.and_then(machine),
            _ => segment.strip_prefix("lxc.payload."),
        };
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            return Some(name.to_owned());
        }
    }
    None
}

fn machine(segment: &str) -> Option<&str> {
    segment
        .strip_prefix("systemd-nspawn@")
        .and_then(|name| name.strip_suffix(".service"))
        .or_else(|| {
            // Virtual machines stand here too; what runs in them is not a process of this host.
            let name = segment.strip_prefix("machine-")?.strip_suffix(".scope")?;
            (!name.starts_with("qemu")).then_some(name)
        })
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `pod<uid>`, `kubepods-burstable-pod<uid>.slice`; systemd writes `_` for `-`. Static pods
/// have 32 digits without any.
fn pod_uid(segment: &str) -> Option<String> {
    let segment = segment.strip_suffix(".slice").unwrap_or(segment);
    let uid = segment.rsplit_once("pod")?.1.replace('_', "-");
    let groups: Vec<usize> = uid.split('-').map(str::len).collect();
    let hex = uid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    (hex && (groups == [8, 4, 4, 4, 12] || groups == [32])).then_some(uid)
}

/// Docker and Podman mount a container's host name from a folder named by its id.
fn of_mounts(mountinfo: &str) -> Option<String> {
    let sources = mountinfo.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let source = fields.next()?;
        matches!(
            fields.next()?,
            "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf"
        )
        .then_some(source)
    });
    sources
        .filter(|source| source.contains("containers/"))
        .flat_map(|source| source.split('/'))
        .find(|part| is_hex(part, 64))
        .map(str::to_owned)
}

/// The `systemd` service that a path ends in or near: below it may be groups of its own making.
fn unit(path: &str) -> Option<String> {
    let segment = path
        .rsplit('/')
        .find(|segment| segment.ends_with(".service"))?;
    let name = segment.strip_suffix(".service")?;
    let name = name.split('@').next().unwrap_or(name);
    (!name.is_empty() && !FOREIGN_UNITS.contains(&name)).then(|| unescape(name))
}

/// `systemd` writes `\x2d` for a dash within a name.
fn unescape(name: &str) -> String {
    name.replace("\\x2d", "-")
}

/// What made a pod: its name without the random and counting parts.
fn workload(pod: &str) -> &str {
    let random = |text: &str, lens: &[usize]| {
        lens.contains(&text.len()) && text.chars().all(|c| POD_CHARACTERS.contains(c))
    };
    let Some((rest, last)) = pod.rsplit_once('-') else {
        return pod;
    };
    if last.len() <= 4 && !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) {
        return rest;
    }
    if !random(last, &[5]) {
        return pod;
    }
    match rest.rsplit_once('-') {
        Some((deployment, set)) if random(set, &[6, 7, 8, 9, 10]) => deployment,
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f2a91c0d4b5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f";
    const UID: &str = "0a1b2c3d-1111-2222-3333-444455556666";

    fn check(path: &str, id: Option<&str>, pod: Option<&str>, unit: Option<&str>) {
        let path = path.replace("UNDER", &UID.replace('-', "_"));
        let path = path.replace("UID", UID).replace("ID", ID);
        let found = Container::of_cgroups(&[String::from("/"), path.clone()]);
        assert_eq!(found.id.as_deref(), id, "id of {path}");
        assert_eq!(found.pod.as_deref(), pod, "pod of {path}");
        assert_eq!(found.unit.as_deref(), unit, "unit of {path}");
    }

    #[test]
    fn cgroup_paths() {
        let (id, pod) = (Some(ID), Some(UID));
        check("/docker/ID", id, None, None);
        check("/system.slice/docker-ID.scope", id, None, None);
        check("/system.slice/docker-ID.scope/init.scope", id, None, None);
        check(
            "/docker/ID/system.slice/shop.service",
            id,
            None,
            Some("shop"),
        );
        check("/kubepods/burstable/podUID/ID", id, pod, None);
        check(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUNDER.slice/cri-containerd-ID.scope",
            id,
            pod,
            None,
        );
        check(
            "/kubepods.slice/kubepods-podUNDER.slice/crio-ID.scope",
            id,
            pod,
            None,
        );
        check(
            "/kubepods.slice/kubepods-podUNDER.slice/crio-conmon-ID.scope",
            None,
            pod,
            None,
        );
        check(
            "/system.slice/containerd.service/kubepods-besteffort-podUNDER.slice:cri-containerd:ID",
            id,
            pod,
            None,
        );
        check(
            "/kubepods/besteffort/pod0123456789abcdef0123456789abcdef/ID",
            id,
            Some("0123456789abcdef0123456789abcdef"),
            None,
        );
        check("/machine.slice/libpod-ID.scope/container", id, None, None);
        check("/machine.slice/libpod-conmon-ID.scope", None, None, None);
        check(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
            id,
            None,
            None,
        );
        check("/ecs/0123456789abcdef0123456789abcdef/ID", id, None, None);
        check(
            "/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-1234567890",
            Some("0123456789abcdef0123456789abcdef-1234567890"),
            None,
            None,
        );
        check("/lxc/web01", Some("web01"), None, None);
        check(
            "/lxc.payload.web01/system.slice/nginx.service",
            Some("web01"),
            None,
            Some("nginx"),
        );
        check(
            "/machine.slice/systemd-nspawn@web01.service/payload",
            Some("web01"),
            None,
            None,
        );
        check(
            "/machine.slice/machine-web01.scope",
            Some("web01"),
            None,
            None,
        );
        check(
            "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope",
            None,
            None,
            None,
        );
        check("/system.slice/nginx.service", None, None, Some("nginx"));
        check(
            "/system.slice/system-postgresql.slice/postgresql@15-main.service",
            None,
            None,
            Some("postgresql"),
        );
        check(
            "/system.slice/shop\\x2dapi.service",
            None,
            None,
            Some("shop-api"),
        );
        check("/user.slice/user-0.slice/session-3.scope", None, None, None);
        check(
            "/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service",
            None,
            None,
            Some("shop"),
        );
        check(
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-term.scope",
            None,
            None,
            None,
        );
        check("/system.slice/cron.service", None, None, None);
        check("/system.slice/ssh.service", None, None, None);
        check("/", None, None, None);
        check("", None, None, None);
        check(
            "/process_api/c92b9e05126909a3ef68d2c2e25c9aa6",
            None,
            None,
            None,
        );
        check("/podcast/pod-x/podé", None, None, None);
    }

    #[test]
    fn mounts_tell_when_cgroups_do_not() {
        for (line, found) in [
            (
                "1 2 8:1 /var/lib/docker/containers/ID/hostname /etc/hostname rw - ext4 /dev/sda rw",
                true,
            ),
            (
                "1 2 0:1 /containers/overlay-containers/ID/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw",
                true,
            ),
            (
                "1 2 0:1 /io.containerd.grpc.v1.cri/sandboxes/ID/hostname /etc/hostname rw - ext4 x rw",
                false,
            ),
            (
                "1 2 8:1 /containers/ID/file /srv/file rw - ext4 /dev/sda rw",
                false,
            ),
            ("1 2 8:1", false),
        ] {
            let line = line.replace("ID", ID);
            assert_eq!(
                of_mounts(&format!("garbage\n{line}\n")).is_some(),
                found,
                "{line}"
            );
        }
    }

    #[test]
    fn pods_are_called_by_their_workload() {
        for (pod, expected) in [
            ("cart-7d9f8b6c5-x2x4z", "cart"),
            ("shop-api-5d4c8b7f9d-bcdfg", "shop-api"),
            ("agent-x2x4z", "agent"),
            ("cache-0", "cache"),
            ("cart", "cart"),
            ("cart-worker", "cart-worker"),
            ("-", "-"),
        ] {
            assert_eq!(workload(pod), expected, "{pod}");
        }
    }
}
