//! Modules, libraries, linked modules, functions and entry points.

use std::ffi::{CString, c_char, c_void};
use std::ptr::{null, null_mut};

use crate::driver::Driver;
use crate::{ADD, add_and_words};

#[test]
fn a_kernel_of_a_library_is_launched_with_a_configuration() {
    let driver = Driver::emulated();
    let (_, words) = add_and_words(&driver);
    let (text, mut library, mut kernel) = (CString::new(ADD).unwrap(), 0usize, 0usize);
    let loaded = call!(
        driver, "cuLibraryLoadData", &raw mut library => *mut usize, text.as_ptr() => *const c_char,
        null_mut() => *mut i32, null_mut() => *mut *mut c_void, 0 => u32, null_mut() => *mut i32,
        null_mut() => *mut *mut c_void, 0 => u32
    );
    assert_eq!(loaded, 0);
    assert_eq!(
        call!(driver, "cuLibraryGetKernel", &raw mut kernel => *mut usize, library => usize, c"add".as_ptr() => *const c_char),
        0
    );
    // A `CUlaunchConfig`, and all arguments in one buffer.
    let config = [1u32, 1, 1, 32, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let (mut buffer, mut size) = ([words, 9], 16usize);
    let (buffer, size) = (buffer.as_mut_ptr().expose_provenance(), (&raw mut size).expose_provenance());
    let mut extra = [1, buffer, 2, size, 0];
    let launched = call!(
        driver, "cuLaunchKernelEx", config.as_ptr() => *const u32, kernel => usize, null_mut() => *mut *mut c_void,
        extra.as_mut_ptr() => *mut usize
    );
    assert_eq!((launched, driver.read(words, 1)), (0, Ok(vec![9])));
    let (mut address, mut bytes) = (0u64, 0usize);
    let found = call!(
        driver, "cuLibraryGetGlobal", &raw mut address => *mut u64, &raw mut bytes => *mut usize, library => usize,
        c"table".as_ptr() => *const c_char
    );
    assert_eq!((found, bytes), (0, 12));
    assert_eq!(call!(driver, "cuLibraryUnload", library => usize), 0);
}

#[test]
fn a_linker_joins_a_declaration_with_its_definition() {
    let driver = Driver::emulated();
    let header = ".version 7.0\n.target sm_75\n.address_size 64\n";
    let caller = format!(
        "{header}.extern .func (.param .b32 r) seven();\n.visible .entry k(.param .u64 from, .param .u64 to)\n{{\n\
         .reg .b32 %r<3>; .reg .b64 %rd<4>; .param .b32 r;\nld.param.u64 %rd1, [to]; mov.u32 %r2, %tid.x;\n\
         mul.wide.u32 %rd2, %r2, 8; add.u64 %rd1, %rd1, %rd2; call (r), seven; ld.param.b32 %r1, [r];\n\
         st.global.u32 [%rd1], %r1;\nret;\n}}\n"
    );
    let callee = format!("{header}.visible .func (.param .b32 r) seven()\n{{\nst.param.b32 [r], 7;\nret;\n}}\n");
    let (mut linker, mut image, mut size) = (0usize, null::<c_void>(), 0usize);
    let created = call!(
        driver, "cuLinkCreate_v2", 0 => u32, null_mut() => *mut i32, null_mut() => *mut *mut c_void,
        &raw mut linker => *mut usize
    );
    assert_eq!(created, 0);
    for text in [&caller, &callee] {
        let added = call!(
            driver, "cuLinkAddData_v2", linker => usize, 1 => i32, text.as_ptr() => *const u8, text.len() => usize,
            c"part".as_ptr() => *const c_char, 0 => u32, null_mut() => *mut i32, null_mut() => *mut *mut c_void
        );
        assert_eq!(added, 0);
    }
    let completed = call!(
        driver, "cuLinkComplete", linker => usize, &raw mut image => *mut *const c_void, &raw mut size => *mut usize
    );
    assert_eq!(completed, 0);
    let mut module = 0usize;
    assert_eq!(call!(driver, "cuModuleLoadData", &raw mut module => *mut usize, image => *const c_void), 0);
    let (function, words) = (driver.function(module, "k").unwrap(), add_and_words(&driver).1);
    assert_eq!(driver.launch(function, 1, 32, 0, &mut [0, words]), 0);
    assert_eq!(driver.read(words, 2), Ok(vec![7, 7]));
    assert_eq!(call!(driver, "cuLinkDestroy", linker => usize), 0);
}

#[test]
fn machine_code_alone_is_refused() {
    let driver = Driver::emulated();
    let (image, mut module) = (*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", 0usize);
    let code = call!(driver, "cuModuleLoadData", &raw mut module => *mut usize, image.as_ptr() => *const u8);
    assert_eq!(code, 209);
}

#[test]
fn functions_are_found_by_name_and_version() {
    let driver = Driver::emulated();
    let (mut pointer, mut status) = (null::<c_void>(), -1);
    let found = call!(
        driver, "cuGetProcAddress_v2", c"cuCtxSynchronize".as_ptr() => *const c_char, &raw mut pointer => *mut *const c_void,
        12_000 => i32, 0 => u64, &raw mut status => *mut i32
    );
    assert_eq!((found, status), (0, 0));
    // SAFETY: the function has no parameters.
    let synchronize = unsafe { std::mem::transmute::<*const c_void, extern "C" fn() -> i32>(pointer) };
    assert_eq!(synchronize(), 0);
    let missing = call!(
        driver, "cuGetProcAddress_v2", c"cuNothing".as_ptr() => *const c_char, &raw mut pointer => *mut *const c_void,
        12_000 => i32, 0 => u64, &raw mut status => *mut i32
    );
    assert_eq!((missing, status, pointer.is_null()), (0, 1, true));
}

#[test]
fn functions_tell_their_parameters_and_occupancy() {
    let driver = Driver::emulated();
    let (add, _) = add_and_words(&driver);
    let (mut offset, mut size, mut grid, mut block) = (0usize, 0usize, 0, 0);
    let info = |index: usize, offset: &mut usize, size: &mut usize| call!(driver, "cuFuncGetParamInfo", add => usize, index => usize, offset => *mut usize, size => *mut usize);
    assert_eq!((info(1, &mut offset, &mut size), offset, size), (0, 8, 8));
    assert_eq!(info(2, &mut offset, &mut size), 1);
    let best = call!(
        driver, "cuOccupancyMaxPotentialBlockSize", &raw mut grid => *mut i32, &raw mut block => *mut i32, add => usize,
        null() => *const c_void, 0 => usize, 0 => i32
    );
    // A multiprocessor has registers for 1,024 threads of 64 registers.
    assert_eq!((best, grid, block), (0, 132, 1024));
    assert_eq!(call!(driver, "cuMulticastCreate", null_mut() => *mut u64, null() => *const u8), 801);
}
