//! The settings of the emulated driver, from the environment variable `PTX_EMULATOR`.
//!
//! The variable holds a comma-separated list of `key=value` pairs. The keys `fail` and `ops` may be repeated.
//!
//! | key | value | default |
//! |---|---|---|
//! | `devices` | number of devices, up to 16 | 1 |
//! | `capability` | compute capability, such as `7.5` | 9.0 |
//! | `sms` | number of multiprocessors | 132 |
//! | `registers` | registers per thread that every kernel is assumed to need, which bound the resident blocks | 64 |
//! | `memory` | global memory in bytes, with an optional suffix `K`, `M` or `G` | 16G |
//! | `driver` | CUDA version of the driver, such as `11.4`, which bounds the version of the PTX | 13.9 |
//! | `fail` | `FUNCTION:N:CODE` makes the `N`-th call of a function fail, from 1, or every call if `N` is `*` | |
//! | `timeout` | 1 for a device that reports a time limit for launches; the limit is not enforced | 0 |
//! | `instructions` | largest number of instructions of a launch, summed over all warps | 10^11 |
//! | `seconds` | longest time of a launch on the host in seconds | 600 |
//! | `order` | seed that permutes the order of blocks and warps, or 0 for ascending order | 0 |
//! | `threads` | largest number of threads that run the blocks of a launch | one for each core |
//! | `checks` | `memory`, `cuda` or `strict`, as [`Checks`](crate::Checks) describes them | `cuda` |
//! | `approximate` | `allow` or `refuse` approximate instructions, and sums that a GPU may fuse | strict checks refuse |
//! | `streams` | `eager` runs the operations of a stream when they are submitted, `late` when the program waits for them | `eager` |
//! | `log` | file to which each call is written with its arguments and its result | |
//! | `profile` | file to which the profile of each launch is written | |
//! | `block` | index of the block whose cycles profiles state, if the grid has it | that of the largest bound |
//! | `ops` | part of the paths of the source files that profiles take for ops, such as `src/ops/` | |

use std::path::PathBuf;
use std::time::Duration;

use super::codes::{self, Code};
use crate::gpu::Gpu;
use crate::simulator::{Checks, DeviceProperties, Watchdog};

/// A call that is made to fail.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    /// The function, without a version suffix.
    pub(crate) function: String,
    /// The index of the call from 1, or `None` for every call.
    pub(crate) call: Option<u64>,
    pub(crate) code: Code,
}

/// The settings, under the names of their keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    pub(crate) devices: u32,
    pub(crate) device: DeviceProperties,
    pub(crate) driver: (u32, u32),
    pub(crate) failures: Vec<Failure>,
    pub(crate) timeout: bool,
    pub(crate) watchdog: Watchdog,
    pub(crate) order: u64,
    /// The largest number of threads of a launch, or `None` for one for each core.
    pub(crate) threads: Option<usize>,
    pub(crate) checks: Checks,
    /// Whether approximate instructions are allowed, or `None` if the level of checks decides.
    pub(crate) approximate: Option<bool>,
    /// Whether streams run when the program waits for them, which exposes missing waits.
    pub(crate) late: bool,
    pub(crate) log: Option<PathBuf>,
    pub(crate) profile: Option<PathBuf>,
    /// The index of the block whose cycles profiles state, or `None` for the block with the largest bound.
    pub(crate) block: Option<u32>,
    pub(crate) ops: Vec<String>,
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    let number = |text: &str, end| text.parse().ok().filter(|number| *number < end);
    Some((number(major, 100)?, number(minor, 10)?))
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let power = ["", "K", "M", "G"].iter().position(|suffix| *suffix == &text[digits.len()..])?;
    digits.parse::<u64>().ok()?.checked_mul(1 << (10 * power))
}

fn failure(text: &str) -> Option<Failure> {
    let [function, call, code] = text.split(':').collect::<Vec<_>>().try_into().ok()?;
    let call = if call == "*" { None } else { Some(call.parse().ok()?) };
    Some(Failure { function: function.to_string(), call, code: codes::parse(code).filter(|code| *code > 0)? })
}

/// Returns a GPU with settings as in the variable `PTX_EMULATOR`. Settings of the driver have no effect.
///
/// # Errors
/// The message names the first setting with an unknown key or an invalid value.
pub fn gpu(settings: &str) -> Result<Gpu, String> {
    Config::parse(settings).map(|config| config.gpu())
}

impl Config {
    /// Returns the CUDA version of the driver as one number, such as 13090.
    pub(crate) fn driver_version(&self) -> i32 {
        (1000 * self.driver.0 + 10 * self.driver.1) as i32
    }

    /// Returns the GPU of the settings.
    pub(crate) fn gpu(&self) -> Gpu {
        let mut device = self.device.clone();
        // The devices share one address space, so that each can access the memory of its peers.
        device.memory = device.memory.saturating_mul(u64::from(self.devices.max(1)));
        let mut gpu = Gpu::new(device);
        gpu.checks = self.checks;
        gpu.approximate = self.approximate.unwrap_or(self.checks < Checks::Strict);
        gpu.order = self.order;
        gpu.threads = self.threads.unwrap_or(gpu.threads);
        gpu.watchdog = self.watchdog;
        gpu.timed = self.profile.is_some();
        gpu.block = self.block;
        gpu
    }

    /// Parses settings. An error names the first setting with an unknown key or an invalid value.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut config = Self { devices: 1, driver: (13, 9), ..Self::default() };
        for setting in text.split(',').filter(|setting| !setting.is_empty()) {
            config
                .set(setting)
                .ok_or_else(|| format!("invalid setting `{setting}`; `ptx_emulator::config` lists the settings"))?;
        }
        Ok(config)
    }

    /// Applies one setting, or returns `None` if it is invalid.
    fn set(&mut self, setting: &str) -> Option<()> {
        let (key, value) = setting.split_once('=')?;
        match key {
            "devices" => self.devices = value.parse().ok().filter(|n| *n <= 16)?,
            "capability" => self.device.capability = version(value)?,
            "sms" => self.device.sms = value.parse().ok().filter(|n| (1..=1 << 16).contains(n))?,
            "registers" => self.device.registers = value.parse().ok().filter(|n| (1..=255).contains(n))?,
            "memory" => self.device.memory = bytes(value)?,
            "driver" => self.driver = version(value)?,
            "fail" => self.failures.push(failure(value)?),
            "timeout" => self.timeout = ["0", "1"].contains(&value).then_some(value == "1")?,
            "instructions" => self.watchdog.instructions = value.parse().ok()?,
            "seconds" => self.watchdog.time = Duration::from_secs(value.parse().ok()?),
            "threads" => self.threads = Some(value.parse().ok().filter(|n| (1..=1024).contains(n))?),
            "order" => self.order = value.parse().ok()?,
            "checks" => {
                let levels = [("memory", Checks::Memory), ("cuda", Checks::Cuda), ("strict", Checks::Strict)];
                self.checks = levels.iter().find(|(name, _)| *name == value)?.1;
            }
            "approximate" => {
                self.approximate = Some(["refuse", "allow"].iter().position(|name| *name == value)? == 1);
            }
            "streams" => self.late = ["eager", "late"].iter().position(|name| *name == value)? == 1,
            "log" => self.log = Some(value.into()),
            // `counts` is an older name of `profile`.
            "profile" | "counts" => self.profile = Some(value.into()),
            "block" => self.block = Some(value.parse().ok()?),
            "ops" => self.ops.push(value.into()),
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_parsed() {
        let config =
            Config::parse("memory=64M,capability=7.0,fail=cuMemAlloc:2:OUT_OF_MEMORY,fail=cuInit:*:803,devices=0")
                .unwrap();
        assert_eq!((config.device.memory, config.device.capability, config.devices), (64 << 20, (7, 0), 0));
        let fail = |function: &str, call, code| Failure { function: function.into(), call, code };
        assert_eq!(config.failures, [fail("cuMemAlloc", Some(2), 2), fail("cuInit", None, 803)]);
    }

    #[test]
    fn an_error_names_the_invalid_setting() {
        for text in [
            "sms=0",
            "sms=4294967295",
            "capability=500000000.0",
            "timeout=2",
            "color=red",
            "fail=cuInit:1:NO_SUCH",
            "fail=cuInit:1:-1",
            "fail=cuInit:1:SUCCESS",
            "driver=12",
            "memory=1T",
            "seconds=-1",
            "threads=0",
        ] {
            let error = Config::parse(text).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}
