//! Any bytes are a checkpoint or an error, and a checkpoint that can be loaded is saved and loaded as the same model.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use microgpt::{Model, checkpoint};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    // Most systems have a file system in memory here, which is faster than a disk.
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder")
});

fn path(name: &str) -> PathBuf {
    FOLDER.path().join(name)
}

fuzz_target!(|bytes: &[u8]| {
    let (fuzzed, saved) = (path("fuzzed.safetensors"), path("saved.safetensors"));
    fs::write(&fuzzed, bytes).unwrap();
    if let Err(error) = checkpoint::describe(&fuzzed) {
        assert!(error.report().contains("fuzzed.safetensors"), "{}", error.report());
    }
    match Model::load(&fuzzed) {
        Ok(model) => {
            model.save(&saved).unwrap();
            let again = Model::load(&saved).unwrap();
            assert!(again == model, "the saved model is another one");
        }
        Err(error) => assert!(error.report().contains("fuzzed.safetensors"), "{}", error.report()),
    }
});
