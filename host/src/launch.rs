//! The size of a launch, which keeps a device busy and yet lets results come as they arise.

/// The most steps or samples of a launch.
const MAX_LAUNCH: u64 = 4096;
/// The most multiplications of a launch, which take about a second on the slowest device.
const MAX_WORK: u64 = 1 << 29;

/// Returns how many steps or samples of `work` multiplications each make a launch.
pub(crate) fn launch_len(work: u64) -> u64 {
    (MAX_WORK / work).clamp(1, MAX_LAUNCH)
}
