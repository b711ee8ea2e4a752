//! `PTX_EMULATOR`: what the emulated driver pretends, and what it records.
//!
//! Settings stand between commas, each `key=value`:
//!
//! | key | value | without it |
//! |---|---|---|
//! | `devices` | devices that the driver finds, 0 or 1 | 1 |
//! | `capability` | compute capability, such as `7.5` | 9.0 |
//! | `sms` | multiprocessors | 132 |
//! | `registers` | registers that each thread is taken to need, which bounds the resident blocks | 64 |
//! | `memory` | bytes of the device, with `K`, `M` or `G` | 16G |
//! | `driver` | newest CUDA version of the driver, such as `11.4`; it bounds the PTX version | 13.0 |
//! | `fail` | `FUNCTION:N:CODE`: the `N`-th call of the function, from 1, fails; `*` for every call; may be repeated | |
//! | `order` | a seed: blocks and warps run in permuted order; 0 in ascending order | 0 |
//! | `approximate` | `allow`: kernels may contain approximate instructions, and sums and products that may be fused | refuse |
//! | `log` | a file for every call, its arguments and result | |
//! | `counts` | a file for each launch's counts | |

use std::path::PathBuf;

use super::codes::{self, Code};
use crate::simulator::Device;

/// A call that is to fail.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The function, without version suffix.
    pub function: String,
    /// Which call of it, from 1; None for every call.
    pub call: Option<u64>,
    /// What it returns.
    pub code: Code,
}

/// All settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The device, if there is one.
    pub device: Option<Device>,
    /// The driver's CUDA version.
    pub driver: (u32, u32),
    /// Calls that fail.
    pub failures: Vec<Failure>,
    /// The seed of the order of blocks and warps.
    pub order: u64,
    /// Whether approximate instructions are allowed.
    pub approximate: bool,
    /// Where calls are written.
    pub log: Option<PathBuf>,
    /// Where counts are written.
    pub counts: Option<PathBuf>,
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok().filter(|minor| *minor < 10)?))
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn failure(text: &str) -> Option<Failure> {
    let [function, call, code] = text.split(':').collect::<Vec<_>>().try_into().ok()?;
    let call = if call == "*" { None } else { Some(call.parse().ok()?) };
    Some(Failure { function: function.to_string(), call, code: codes::parse(code)? })
}

impl Config {
    /// The settings of a text; the empty one gives the defaults.
    ///
    /// # Errors
    /// A message that names the setting.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut config = Self {
            device: Some(Device::default()),
            driver: (13, 0),
            failures: Vec::new(),
            order: 0,
            approximate: false,
            log: None,
            counts: None,
        };
        let mut device = Device::default();
        let mut devices = 1;
        for setting in text.split(',').filter(|setting| !setting.is_empty()) {
            let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
            let understood = match key {
                "devices" => value.parse().ok().filter(|n| *n < 2).map(|n: u32| devices = n),
                "capability" => version(value).map(|v| device.capability = v),
                "sms" => value.parse().ok().filter(|n| *n > 0).map(|n| device.sms = n),
                "registers" => value.parse().ok().filter(|n| (1..=255).contains(n)).map(|n| device.registers = n),
                "memory" => bytes(value).map(|n| device.memory = n),
                "driver" => version(value).map(|v| config.driver = v),
                "fail" => failure(value).map(|f| config.failures.push(f)),
                "order" => value.parse().ok().map(|seed| config.order = seed),
                "approximate" => (value == "allow").then(|| config.approximate = true),
                "log" => {
                    config.log = Some(value.into());
                    Some(())
                }
                "counts" => {
                    config.counts = Some(value.into());
                    Some(())
                }
                _ => None,
            };
            understood.ok_or_else(|| format!("PTX_EMULATOR: `{setting}` is not understood"))?;
        }
        config.device = (devices > 0).then_some(device);
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings() {
        let config =
            Config::parse("memory=64M,capability=7.0,fail=cuMemAlloc:2:OUT_OF_MEMORY,fail=cuInit:*:803").unwrap();
        let device = config.device.unwrap();
        assert_eq!((device.memory, device.capability), (64 << 20, (7, 0)));
        let fail = |function: &str, call, code| Failure { function: function.into(), call, code };
        assert_eq!(config.failures, [fail("cuMemAlloc", Some(2), 2), fail("cuInit", None, 803)]);
        assert!(Config::parse("devices=0").unwrap().device.is_none());
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for text in ["sms=0", "color=red", "fail=cuInit:1:NO_SUCH", "driver=12", "memory=1T"] {
            let error = Config::parse(text).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}
