//! The emulator loads any text as a module or returns an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ptx_emulator::{DeviceProperties, Gpu};

fuzz_target!(|text: &str| {
    if let Err(error) = Gpu::new(DeviceProperties::default()).load(text) {
        assert!(!error.to_string().is_empty());
    }
});
