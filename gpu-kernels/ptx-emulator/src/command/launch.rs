//! The launch of a kernel by the subcommands `run` and `profile`.

use std::io::{self, Write};
use std::process::ExitCode;

use ptx_emulator::{Dims, Gpu, Module, config};

use super::argument::{Argument, Type};
use super::{Error, LaunchArgs, read, report};

/// An array of the kernel's arguments.
struct Array {
    /// The index of the argument.
    index: usize,
    address: u64,
    kind: Type,
    len: usize,
    /// The bytes before the launch, or nothing if they were not written.
    before: Vec<u8>,
}

/// Launches a kernel, and prints the arrays that it has changed, or its profile.
pub fn run(args: &LaunchArgs, profile: bool, out: &mut impl Write) -> Result<ExitCode, Error> {
    let file = args.file.as_deref().ok_or("there is no PTX file; name one, or a program after `--`")?;
    let mut gpu = config::gpu(&args.settings())?;
    gpu.timed = profile;
    let module = gpu.load(&read(file)?).map_err(|error| format!("{}: {error}", file.display()))?;
    let name = kernel(&module, args.kernel.as_deref())?;
    let (params, arrays) = arguments(&mut gpu, &module, &name, &args.arguments)?;
    let dims = Dims { grid: args.grid, block: args.block, shared: args.shared, cluster: args.cluster };
    if dims.blocks().is_none() || dims.threads().is_none() {
        return Err("the grid and the block must have at most 4294967295 blocks and threads".into());
    }
    let launched = gpu.launch(&module, &name, dims, &params);
    let profiled = launched.map(|launched| launched.table(&[""; 0]) + &launched.lines());
    write!(out, "{}", gpu.take_output())?;
    for warning in gpu.take_warnings() {
        report(format_args!("warning: {warning}"));
    }
    match profiled {
        Err(fault) => {
            report(fault);
            return Ok(ExitCode::FAILURE);
        }
        Ok(text) if profile => write!(out, "{text}")?,
        Ok(_) => {}
    }
    for array in arrays.into_iter().filter(|_| !profile) {
        show(&mut gpu, &array, args.show, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the name of the kernel to launch.
fn kernel(module: &Module, wanted: Option<&str>) -> Result<String, Error> {
    let names: Vec<_> = module.kernels().iter().map(|kernel| kernel.name.clone()).collect();
    match (wanted, names.as_slice()) {
        (Some(wanted), _) if names.iter().any(|name| name == wanted) => Ok(wanted.to_string()),
        (Some(wanted), _) => {
            Err(format!("the module has no kernel `{wanted}`; its kernels are {}", names.join(", ")).into())
        }
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(format!("name one of the kernels by --kernel: {}", names.join(", ")).into()),
    }
}

/// Allocates the arrays, and returns the bytes of the parameters.
fn arguments(
    gpu: &mut Gpu,
    module: &Module,
    name: &str,
    arguments: &[Argument],
) -> Result<(Vec<u8>, Vec<Array>), Error> {
    let program = module.kernel(name).expect("the kernel was just found");
    if program.params.len() != arguments.len() {
        let (wanted, got) = (program.params.len(), arguments.len());
        return Err(format!("kernel `{name}` takes {wanted} arguments, got {got}; give each by --arg").into());
    }
    let (mut params, mut arrays) = (vec![0; program.param_size], Vec::new());
    for (index, (argument, (offset, size))) in arguments.iter().zip(&program.params).enumerate() {
        let bytes = match argument {
            Argument::Number(bytes) => bytes.clone(),
            Argument::Array(kind, len, values) => {
                let size = len.checked_mul(kind.size()).ok_or_else(|| {
                    format!("argument {index}: an array of {len} values of {} bytes is too large", kind.size())
                })?;
                let free = gpu.free_memory();
                let full =
                    || format!("argument {index}: an array of {size} bytes exceeds the free memory of {free} bytes");
                let address = gpu.allocate(size).ok_or_else(full)?;
                let before = values.bytes(*kind, *len)?.unwrap_or_default();
                gpu.write(address, &before);
                arrays.push(Array { index, address, kind: *kind, len: *len, before });
                address.to_le_bytes().to_vec()
            }
        };
        if bytes.len() != *size {
            let got = bytes.len();
            return Err(format!("argument {index} of kernel `{name}` has {size} bytes, got {got}").into());
        }
        params[*offset..offset + size].copy_from_slice(&bytes);
    }
    Ok((params, arrays))
}

/// Prints the first values of an array that the kernel has changed.
fn show(gpu: &mut Gpu, array: &Array, most: usize, out: &mut impl Write) -> io::Result<()> {
    let after = gpu.read(array.address, array.len * array.kind.size()).expect("the array is allocated");
    if after == array.before {
        return Ok(());
    }
    let values = after.chunks(array.kind.size()).take(most).map(|bytes| array.kind.text(bytes));
    let more = if array.len > most { " .." } else { "" };
    writeln!(out, "argument {}: {}{more}", array.index, values.collect::<Vec<_>>().join(" "))
}
