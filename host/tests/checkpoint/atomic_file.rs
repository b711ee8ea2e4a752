//! Files that are replaced whole or not at all.

use super::*;

#[test]
fn paths_that_cannot_be_written_are_refused_and_left_alone() {
    let (folder, path) = file(b"old");
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    for (bad, cause) in [
        (folder.path().to_owned(), "directory"),
        (folder.path().join("none").join("model.safetensors"), system("No such file")),
        (path.join("model.safetensors"), system("Not a directory")),
        (path.clone(), "read-only"),
        (folder.path().join("n".repeat(300)), system("too long")),
        // Windows has a folder `/dev` only if someone has created it.
        (PathBuf::from("/dev/null"), if cfg!(windows) { "os error" } else { "not a regular file" }),
        (folder.path().join("new/"), "directory"),
        (path.join(""), "directory"),
    ] {
        let report = AtomicFile::new(&bad).unwrap_err().report();
        assert!(report.contains(&*bad.to_string_lossy()) && report.contains(cause), "{cause}: {report}");
        assert!(report.contains("\nhint: "), "{report}");
    }
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left in the folder");
}

#[test]
fn the_check_of_a_path_leaves_everything_as_it_is() {
    let (folder, path) = file(b"old");
    AtomicFile::new(&path).unwrap();
    AtomicFile::new(&folder.path().join("new")).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_save_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let file = AtomicFile::new(&path).unwrap();
    // A folder takes the name after the check, so the rename at the end of the save fails.
    fs::create_dir(&path).unwrap();
    fs::write(path.join("inside"), "old").unwrap();
    let report = file.save(&to_bytes(&state())).unwrap_err().report();
    assert!(report.contains("cannot save") && report.contains("hint:"), "{report}");
    assert_eq!(fs::read(path.join("inside")).unwrap(), b"old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn a_new_file_has_ordinary_permissions_and_an_old_one_keeps_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = tempfile::tempdir().unwrap();
    let (plain, saved) = (folder.path().join("plain"), folder.path().join("saved"));
    fs::write(&plain, "").unwrap();
    let file = AtomicFile::new(&saved).unwrap();
    file.save(&to_bytes(&state())).unwrap();
    assert_eq!(mode(&saved), mode(&plain), "the permissions of the umask");
    fs::set_permissions(&saved, fs::Permissions::from_mode(0o640)).unwrap();
    file.save(&to_bytes(&state())).unwrap();
    assert_eq!(mode(&saved), 0o640);
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link() {
    let (folder, path) = file(b"old");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    AtomicFile::new(&link).unwrap().save(&to_bytes(&state())).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(load(&path, SHAPE, &VOCABULARY).is_ok());
}

#[cfg(unix)]
#[test]
fn a_link_to_a_missing_file_is_written_through() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("sub/model.safetensors", &link).unwrap();
    AtomicFile::new(&link).unwrap().save(&to_bytes(&state())).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(load(&folder.path().join("sub").join("model.safetensors"), SHAPE, &VOCABULARY).is_ok());
}

#[test]
fn the_next_save_removes_the_temporary_file_of_a_killed_run() {
    let (folder, path) = file(b"old");
    let left = folder.path().join(".model.safetensors.microgpt-tmp");
    let files = || fs::read_dir(folder.path()).unwrap().count();
    fs::write(&left, "x".repeat(1 << 20)).unwrap();
    let file = AtomicFile::new(&path).unwrap();
    assert_eq!(files(), 1);
    fs::write(&left, "x".repeat(1 << 20)).unwrap();
    file.save(&to_bytes(&state())).unwrap();
    assert_eq!((files(), fs::read(&path).unwrap()), (1, to_bytes(&state())));
}

// Concurrent saves to one file share its temporary file.
#[test]
fn saves_at_the_same_time_take_turns() {
    let (folder, path) = file(b"old");
    std::thread::scope(|scope| {
        for byte in 0..4u8 {
            let path = &path;
            scope.spawn(move || {
                for len in 1..100 {
                    AtomicFile::new(path).unwrap().save(&vec![byte; len * 10_000]).unwrap();
                    // The file holds all bytes of a single save.
                    let bytes = fs::read(path).unwrap();
                    assert!(bytes.len() % 10_000 == 0 && bytes.iter().all(|&other| other == bytes[0]));
                }
            });
        }
    });
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn create_keeps_a_file_that_came_first() {
    let (folder, path) = file(b"old");
    let report = AtomicFile::new(&path).unwrap().create(b"new").unwrap_err().report();
    assert!(report.contains(system("File exists")), "{report}");
    let other = folder.path().join("other");
    AtomicFile::new(&other).unwrap().create(b"new").unwrap();
    assert_eq!((fs::read(&path).unwrap(), fs::read(&other).unwrap()), (b"old".to_vec(), b"new".to_vec()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}
