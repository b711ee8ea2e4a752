//! The section "Driver Entry Point Access".

use std::ffi::{c_char, c_int};

use super::abi::{Export, exports};
use super::versions::VERSIONS;
use super::{
    attributes, batches, captures, contexts, copies, devices, events, functions, graphs, launches, linker, memory,
    modules, node_params, nodes, pointers, pools, streams, textures, unsupported,
};
use crate::driver::codes;
use crate::driver::pointer::Pointer;

/// The flag that asks for the functions for which stream 0 is the thread's own
/// (`CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM`).
const PER_THREAD: u64 = 2;

/// The status of a query (`CUdriverProcAddressQueryResult`).
const SUCCESS: c_int = 0;
const SYMBOL_NOT_FOUND: c_int = 1;
const VERSION_NOT_SUFFICIENT: c_int = 2;

exports! {
    Nothing: cuGetProcAddress => (symbol: Pointer<c_char>, to: Pointer<usize>, version: c_int, flags: u64) |state| {
        state.note = format!(", {}", symbol.text()?);
        let found = address_of(symbol.text()?, version, state.config.driver_version(), flags);
        to.set(found.unwrap_or(0))?;
        found.map(|_| ()).map_err(|_| codes::NOT_FOUND)
    };
    Nothing: cuGetProcAddress_v2 => (
        symbol: Pointer<c_char>, to: Pointer<usize>, version: c_int, flags: u64, status: Pointer<c_int>
    ) |state| {
        state.note = format!(", {}", symbol.text()?);
        let found = address_of(symbol.text()?, version, state.config.driver_version(), flags);
        to.set(found.unwrap_or(0))?;
        status.set_if_wanted(found.err().unwrap_or(SUCCESS));
        // A caller that asks for the status learns from it that there is no function.
        if status.is_null() { found.map(|_| ()).map_err(|_| codes::NOT_FOUND) } else { Ok(()) }
    };
    // The tables are not documented. Programs that use the Driver API alone do not need them.
    Nothing: cuGetExportTable => (table: Pointer<usize>, id: Pointer<[u8; 16]>) |state| {
        let id: String = id.get()?.iter().map(|byte| format!("{byte:02x}")).collect();
        state.note = format!(", {id}");
        table.set(0).and(Err(codes::NOT_SUPPORTED))
    };
}

/// Returns all exported functions.
fn all() -> impl Iterator<Item = Export> {
    let files = [
        attributes::FUNCTIONS,
        batches::FUNCTIONS,
        captures::FUNCTIONS,
        contexts::FUNCTIONS,
        copies::FUNCTIONS,
        devices::FUNCTIONS,
        devices::STATELESS,
        events::FUNCTIONS,
        functions::FUNCTIONS,
        graphs::FUNCTIONS,
        launches::FUNCTIONS,
        linker::FUNCTIONS,
        memory::FUNCTIONS,
        modules::FUNCTIONS,
        node_params::FUNCTIONS,
        nodes::FUNCTIONS,
        pointers::FUNCTIONS,
        pools::FUNCTIONS,
        FUNCTIONS,
        streams::FUNCTIONS,
        textures::FUNCTIONS,
        unsupported::FUNCTIONS,
    ];
    files.into_iter().flatten().copied().flatten().copied()
}

/// Returns the address of a function, in the form of a CUDA version and for a driver of another version, or the status of
/// the query.
fn address_of(name: &str, version: c_int, driver: c_int, flags: u64) -> Result<usize, c_int> {
    let mut rows = VERSIONS.split(';').map(str::split_whitespace);
    let versions = rows.find_map(|mut row| (row.next() == Some(name)).then_some(row)).ok_or(SYMBOL_NOT_FOUND)?;
    let versions = versions.filter_map(|version| version.parse().ok());
    let index = versions.take_while(|first: &c_int| *first <= version.min(driver)).count();
    let symbol = match index {
        0 => return Err(VERSION_NOT_SUFFICIENT),
        1 => name.to_string(),
        _ => format!("{name}_v{index}"),
    };
    let find = |wanted: &str| all().find(|(found, _)| *found == wanted).map(|(_, address)| address.expose_provenance());
    let own = ["_ptsz", "_ptds"].iter().filter(|_| flags & PER_THREAD != 0);
    let own = own.into_iter().find_map(|suffix| find(&format!("{symbol}{suffix}")));
    own.or_else(|| find(&symbol)).ok_or(SYMBOL_NOT_FOUND)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_version_of_every_function_is_exported_once() {
        let names: Vec<_> = all().map(|(name, _)| name).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        let mut rows = 0;
        for row in VERSIONS.split(';').map(|row| row.split_whitespace().collect::<Vec<_>>()) {
            for version in &row[1..] {
                let version = version.parse().unwrap();
                assert!(address_of(row[0], version, 13_020, 0).is_ok(), "{} of CUDA {version}", row[0]);
            }
            rows += 1;
        }
        assert!(rows > 400, "{rows} functions");
    }

    #[test]
    fn a_query_gives_the_form_of_its_version() {
        let address = |name: &str| all().find(|(found, _)| *found == name).unwrap().1.addr();
        assert_eq!(address_of("cuCtxCreate", 11_030, 13_000, 0), Ok(address("cuCtxCreate_v2")));
        assert_eq!(address_of("cuCtxCreate", 12_050, 13_000, 0), Ok(address("cuCtxCreate_v4")));
        assert_eq!(address_of("cuLaunchKernel", 12_000, 13_000, PER_THREAD), Ok(address("cuLaunchKernel_ptsz")));
        assert_eq!(address_of("cuMemAlloc", 12_000, 13_000, PER_THREAD), Ok(address("cuMemAlloc_v2")));
        assert_eq!(address_of("cuLibraryLoadData", 12_000, 11_080, 0), Err(VERSION_NOT_SUFFICIENT));
        assert_eq!(address_of("cuNoSuchFunction", 12_000, 13_000, 0), Err(SYMBOL_NOT_FOUND));
    }
}
