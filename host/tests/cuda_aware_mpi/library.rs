//! A CUDA-aware MPI library made of one that is not, for the tests of `mpi.rs`.
//!
//! `LD_PRELOAD` puts the functions of this library before those of the MPI library. They copy arrays from a GPU's memory to
//! the host's and back by the CUDA driver, and call the functions of MPI by the names of its profiling interface.
#![cfg(unix)]

use std::ffi::{c_int, c_void};
use std::slice;
use std::sync::Once;

use libloading::Library;
use mpi::ffi::{MPI_Comm, MPI_Datatype, PMPI_Allgatherv, PMPI_Alltoallv, PMPI_Comm_size};

/// The size in bytes of a value, which is a float.
const VALUE: usize = 4;

/// The CUDA driver.
struct Driver(Library);

impl Driver {
    /// Returns the driver if the program's GPU has this address.
    fn of(address: *const c_void) -> Option<Self> {
        /// `CU_POINTER_ATTRIBUTE_MEMORY_TYPE`.
        const MEMORY_TYPE: c_int = 2;
        /// `CU_MEMORYTYPE_DEVICE`.
        const DEVICE: u32 = 2;

        // SAFETY: the driver's initialisers have run, because the program has loaded it.
        let driver = Self(unsafe { Library::new("libcuda.so.1") }.ok()?);
        let mut kind = 0u32;
        // SAFETY: the attribute is a number of 32 bits.
        let result = unsafe {
            type Query = unsafe extern "C" fn(*mut u32, c_int, u64) -> c_int;
            driver.0.get::<Query>(b"cuPointerGetAttribute").ok()?(&raw mut kind, MEMORY_TYPE, address.addr() as u64)
        };
        (result == 0 && kind == DEVICE).then_some(driver)
    }

    fn download(&self, address: *const c_void, values: &mut [f32]) {
        type Copy = unsafe extern "C" fn(*mut c_void, u64, usize) -> c_int;
        // SAFETY: the caller of MPI vouches for the array.
        let result = unsafe {
            let copy = self.0.get::<Copy>(b"cuMemcpyDtoH_v2").expect("the driver copies");
            copy(values.as_mut_ptr().cast(), address.addr() as u64, size_of_val(values))
        };
        assert_eq!(result, 0, "the driver copies from the GPU");
    }

    fn upload(&self, address: *const c_void, values: &[f32]) {
        type Copy = unsafe extern "C" fn(u64, *const c_void, usize) -> c_int;
        // SAFETY: the caller of MPI vouches for the array.
        let result = unsafe {
            let copy = self.0.get::<Copy>(b"cuMemcpyHtoD_v2").expect("the driver copies");
            copy(address.addr() as u64, values.as_ptr().cast(), size_of_val(values))
        };
        assert_eq!(result, 0, "the driver copies to the GPU");
    }
}

/// An array of a message in the host's memory, with the driver if the array is a copy.
struct Staged {
    address: *mut c_void,
    driver: Option<Driver>,
    copy: Vec<f32>,
}

impl Staged {
    /// Returns an array of `len` values at an address.
    fn new(address: *const c_void, len: usize) -> Self {
        static REPORT: Once = Once::new();

        let (driver, mut copy) = (Driver::of(address), Vec::new());
        if let Some(driver) = &driver {
            REPORT.call_once(|| eprintln!("CUDA-aware MPI: a message is in the memory of the GPU"));
            copy.resize(len, 0.0);
            driver.download(address, &mut copy);
        }
        Self { address: address.cast_mut(), driver, copy }
    }

    fn host(&mut self) -> *mut c_void {
        if self.driver.is_some() { self.copy.as_mut_ptr().cast() } else { self.address }
    }

    /// Copies the shares of all ranks back to the GPU.
    fn put_back(&self, shares: &[(usize, usize)]) {
        let Some(driver) = &self.driver else { return };
        for &(count, offset) in shares.iter().filter(|(count, _)| *count > 0) {
            driver.upload(self.address.wrapping_byte_add(VALUE * offset), &self.copy[offset..offset + count]);
        }
    }
}

/// Returns the number of values and the offset of each rank's share.
///
/// # Safety
/// Both arrays have an element for each rank.
unsafe fn shares(counts: *const c_int, offsets: *const c_int, communicator: MPI_Comm) -> Vec<(usize, usize)> {
    let mut ranks = 0;
    // SAFETY: the caller vouches for the arrays.
    let [counts, offsets] = unsafe {
        PMPI_Comm_size(communicator, &raw mut ranks);
        [counts, offsets].map(|array| slice::from_raw_parts(array, ranks as usize))
    };
    counts.iter().zip(offsets).map(|(&count, &offset)| (count as usize, offset as usize)).collect()
}

/// Returns the number of values of an array with these shares.
fn len(shares: &[(usize, usize)]) -> usize {
    shares.iter().filter(|(count, _)| *count > 0).map(|(count, offset)| count + offset).max().unwrap_or(0)
}

/// Says that this library can send a GPU's memory.
#[unsafe(no_mangle)]
pub extern "C" fn MPIX_Query_cuda_support() -> c_int {
    1
}

/// Sends a share to each rank, and receives one from each.
///
/// # Safety
/// That of the function in MPI. The values are floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn MPI_Alltoallv(
    sent: *const c_void,
    counts: *const c_int,
    offsets: *const c_int,
    sent_type: MPI_Datatype,
    received: *mut c_void,
    received_counts: *const c_int,
    received_offsets: *const c_int,
    received_type: MPI_Datatype,
    communicator: MPI_Comm,
) -> c_int {
    // SAFETY: the caller keeps the contract.
    unsafe {
        let sent_shares = shares(counts, offsets, communicator);
        let places = shares(received_counts, received_offsets, communicator);
        let (mut sent, mut received) = (Staged::new(sent, len(&sent_shares)), Staged::new(received, len(&places)));
        let (from, to) = (sent.host(), received.host());
        let result = PMPI_Alltoallv(
            from,
            counts,
            offsets,
            sent_type,
            to,
            received_counts,
            received_offsets,
            received_type,
            communicator,
        );
        received.put_back(&places);
        result
    }
}

/// Collects the values of every rank.
///
/// # Safety
/// That of the function in MPI. The values of an array on a GPU are floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn MPI_Allgatherv(
    sent: *const c_void,
    count: c_int,
    sent_type: MPI_Datatype,
    received: *mut c_void,
    counts: *const c_int,
    offsets: *const c_int,
    received_type: MPI_Datatype,
    communicator: MPI_Comm,
) -> c_int {
    // SAFETY: the caller keeps the contract.
    unsafe {
        let places = shares(counts, offsets, communicator);
        let (mut sent, mut received) = (Staged::new(sent, count as usize), Staged::new(received, len(&places)));
        let (from, to) = (sent.host(), received.host());
        let result = PMPI_Allgatherv(from, count, sent_type, to, counts, offsets, received_type, communicator);
        received.put_back(&places);
        result
    }
}
