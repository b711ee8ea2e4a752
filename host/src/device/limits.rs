//! The memory that Linux leaves to this process, by the machine, the control groups and the limits of `ulimit`.

use std::fs;
use std::path::Path;

/// A limit of the memory of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// The name of the limit, as an error says it.
    pub(super) name: &'static str,
    /// The bytes that it leaves.
    pub(super) left: u64,
}

impl Limit {
    /// Returns the limit that leaves the least to this process, if the system states any.
    pub(super) fn of_this_process() -> Option<Self> {
        Self::read(Path::new("/"))
    }

    /// Reads the limits from the system's files below `root`.
    fn read(root: &Path) -> Option<Self> {
        let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let (machine, limits, status) = (read("proc/meminfo"), read("proc/self/limits"), read("proc/self/status"));
        let swap = kilobytes(&machine, "SwapFree:").unwrap_or(0);
        let machine = kilobytes(&machine, "MemAvailable:").map(|left| ("the machine", left + swap));
        let by_ulimit = |name, limit, used| {
            let limit: u64 =
                limits.lines().find_map(|line| line.strip_prefix(limit))?.split_whitespace().next()?.parse().ok()?;
            Some((name, limit.saturating_sub(kilobytes(&status, used)?)))
        };
        let space = by_ulimit("`ulimit -v`", "Max address space", "VmSize:");
        let data = by_ulimit("`ulimit -d`", "Max data size", "VmData:");
        let groups = groups(root, &read("proc/self/cgroup")).into_iter().map(|left| ("the control group", left));
        let all = [machine, space, data].into_iter().flatten().chain(groups);
        all.min_by_key(|&(_, left)| left).map(|(name, left)| Self { name, left })
    }
}

/// Returns the bytes of an entry that is in kilobytes.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(value.split_whitespace().next()?.parse::<u64>().ok()?.saturating_mul(1024))
}

/// Returns the bytes that each control group leaves. A group is also bound by the limits of its ancestors.
fn groups(root: &Path, own: &str) -> Vec<u64> {
    let mut left = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (mount, version) = if controllers.is_empty() {
            ("sys/fs/cgroup", &V2)
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("sys/fs/cgroup/memory", &V1)
        } else {
            continue;
        };
        // In a container the path may be that of the host. The limit is then that of the mount.
        let path = Path::new(path.trim_start_matches('/'));
        left.extend(path.ancestors().filter_map(|group| version.left(&root.join(mount).join(group))));
    }
    left
}

/// The names of a group's files, and of the entry of its statistics for the cache that the system gives back.
struct Version {
    limit: &'static str,
    used: &'static str,
    cache: &'static str,
}

const V1: Version =
    Version { limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes", cache: "total_inactive_file " };
const V2: Version = Version { limit: "memory.max", used: "memory.current", cache: "inactive_file " };

impl Version {
    /// Returns the bytes that a group leaves, if it has a limit.
    fn left(&self, group: &Path) -> Option<u64> {
        let read = |name| fs::read_to_string(group.join(name)).ok();
        // The limit of version 2 may be `max`.
        let limit: u64 = read(self.limit)?.trim().parse().ok()?;
        let used: u64 = read(self.used)?.trim().parse().ok()?;
        let statistics = read("memory.stat").unwrap_or_default();
        let cache = statistics.lines().find_map(|line| line.strip_prefix(self.cache)?.parse::<u64>().ok()).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(cache)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the limit by these files.
    fn limit(files: &[(&str, &str)]) -> Option<(&'static str, u64)> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Limit::read(root.path()).map(|limit| (limit.name, limit.left))
    }

    const MACHINE: (&str, &str) =
        ("proc/meminfo", "MemTotal:  9000 kB\nMemAvailable:    5000 kB\nSwapTotal: 7 kB\nSwapFree:   3 kB\n");

    #[test]
    fn a_machine_leaves_its_available_memory_and_its_swap() {
        assert_eq!(limit(&[MACHINE]), Some(("the machine", 5003 * 1024)));
        assert_eq!(limit(&[]), None);
    }

    #[test]
    fn a_limit_of_the_shell_counts_what_is_used() {
        let limits = "Limit      Soft Limit   Hard Limit   Units\nMax data size   2048000   unlimited   bytes\n\
                      Max address space         1048576              unlimited            bytes\n";
        let status = ("proc/self/status", "VmPeak: 900 kB\nVmSize:\t     24 kB\nVmData:  4 kB\n");
        let left = limit(&[MACHINE, ("proc/self/limits", limits), status]);
        assert_eq!(left, Some(("`ulimit -v`", 1000 * 1024)));
        let unlimited = limits.replace("1048576", "unlimited");
        let left = limit(&[MACHINE, ("proc/self/limits", &unlimited), status]);
        assert_eq!(left, Some(("`ulimit -d`", 2_048_000 - 4096)));
    }

    #[test]
    fn a_control_group_is_bound_by_its_ancestors_and_gives_back_its_cache() {
        let (own, of) = (("proc/self/cgroup", "0::/a/b\n"), "sys/fs/cgroup/a");
        let (max, current) = (format!("{of}/memory.max"), format!("{of}/memory.current"));
        let (stat, inner) = (format!("{of}/memory.stat"), format!("{of}/b/memory.max"));
        let files = [
            MACHINE,
            own,
            (&max, "1000000\n"),
            (&current, "300000\n"),
            (&stat, "file 9\nactive_file 7\ninactive_file 100000\n"),
            (&inner, "max\n"),
        ];
        assert_eq!(limit(&files), Some(("the control group", 800_000)));
    }

    #[test]
    fn version_1_has_other_names_and_a_mount_of_its_own() {
        // The group's folder is not mounted in a container, whose own group is the mount.
        let files = [
            MACHINE,
            ("proc/self/cgroup", "9:cpu,cpuacct:/x\n4:memory:/docker/0123\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "70000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "50000\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 20000\n"),
        ];
        assert_eq!(limit(&files), Some(("the control group", 40_000)));
    }
}
