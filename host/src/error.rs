//! The library's error, which has the failure with its values, its cause, and a hint.
#![expect(missing_docs, reason = "the message of a variant says what the variant and its fields are")]

use std::error::Error as StdError;
use std::path::PathBuf;
use std::{io, iter};

/// A cause that this library has no type for, such as the text of a driver.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// The library's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The defect of a text with one document.
pub(crate) const ONE_DOCUMENT: &str = "has only one document";

/// The defect of a text with several documents, all of them equal, where copies are left out.
pub(crate) const ONE_DISTINCT: &str = "has only copies of one document";

/// A failure of the library, described by its message.
///
/// The message is lower case, has no full stop and names the input. [`Self::report`] adds the causes and the hint. A
/// driver's `code` is its result, a `CUresult`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{name} must be {expected}, got {value}")]
    Argument { name: &'static str, expected: String, value: String, hint: &'static str },
    /// A request that a program on top of the library refuses. The hint may be empty.
    #[error("{message}")]
    Usage { message: String, hint: String },
    /// A failure of the system or of another library.
    #[error("cannot {action}")]
    Failed { action: String, hint: &'static str, source: Cause },
    #[error("`--n-embd {n_embd}` is not divisible by `--n-head {n_head}`")]
    IndivisibleChannels { n_embd: usize, n_head: usize },
    #[error("a model of {size} {unit} is too large ({model})")]
    TooLarge { size: u128, unit: &'static str, max: u128, model: String },
    #[error("cannot read {name}")]
    ReadCorpus { name: String, source: io::Error },
    /// Bytes that are not text. The line and the column count from 1, the column in characters.
    #[error("{name} is not UTF-8: the byte 0x{byte:02x} at offset {offset}, line {line}, column {column}")]
    NotUtf8 { name: String, byte: u8, offset: usize, line: usize, column: usize },
    #[error("{name} is encoded as {encoding}, not UTF-8")]
    OtherEncoding { name: String, encoding: &'static str },
    #[error("{name} is {kind}, not a text")]
    NotText { name: String, kind: &'static str },
    #[error("{corpus} {found}")]
    TooFewDocuments { corpus: String, found: &'static str },
    /// A continuous text without a window to train on and one to validate on. `most` is the largest block size that it has
    /// windows for.
    #[error(
        "{corpus} is too short: it has {found} character{}, expected at least {needed}", if *found == 1 { "" } else { "s" }
    )]
    ShortText { corpus: String, found: usize, needed: usize, most: usize },
    #[error("the character {character:?} (U+{:04X}) is not in the vocabulary", *.character as u32)]
    UnknownCharacter { character: char },
    #[error("cannot read the checkpoint `{path}`")]
    ReadCheckpoint { path: PathBuf, source: io::Error },
    #[error("the checkpoint `{path}` {defect}")]
    Format { path: PathBuf, defect: &'static str, source: Cause },
    #[error("cannot use the metadata of the checkpoint `{path}`")]
    Metadata { path: PathBuf, source: Cause },
    /// A checkpoint of another model or run than the one that it is read for.
    #[error("the checkpoint `{path}` {difference}")]
    Mismatch { path: PathBuf, difference: String, hint: String },
    /// A demand for more memory than a limit leaves. All values are human-readable.
    #[error("{needed} of memory needed ({parts}), but {limit} leaves {left}")]
    Memory { needed: String, parts: String, limit: &'static str, left: String },
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    #[error("this program was built without {part}")]
    NotBuilt { part: String },
    /// A computer without the driver's library. `in_wsl` tells whether it is a Windows Subsystem for Linux.
    #[error("no NVIDIA driver")]
    NoDriver { source: Cause, in_wsl: bool },
    /// A file of the driver that the user may not open, such as `/dev/nvidia0`.
    #[error("cannot open the GPU's file `{path}`")]
    DeviceFile { path: PathBuf, source: io::Error },
    /// A driver that is older than the kernels. Both are versions of CUDA.
    #[error(
        "the NVIDIA driver is too old: it is for CUDA {}.{}, the kernels need one for {}.{}",
        version.0, version.1, needed.0, needed.1
    )]
    OldDriver { version: (i32, i32), needed: (i32, i32) },
    /// A driver that finds no device. `visible` is the value of `CUDA_VISIBLE_DEVICES`.
    #[error("the NVIDIA driver finds no GPU")]
    NoGpu { visible: Option<String> },
    #[error("`--gpu {number}`: the NVIDIA driver finds {count} GPU{}", if *count == 1 { "" } else { "s" })]
    NoSuchGpu { number: usize, count: usize },
    /// A device that is older than the kernels. Architecture 75 is compute capability 7.5.
    #[error(
        "the GPU is too old: {name} has compute capability {}.{}, the kernels need {}.{}",
        arch / 10, arch % 10, needed / 10, needed % 10
    )]
    TooOld { name: String, arch: u32, needed: u32 },
    #[error("cannot compile the kernels for this GPU")]
    Compile { code: Option<i32>, source: Cause },
    #[error("the GPU's memory is too small: {needed} bytes needed, {free} of {total} free")]
    GpuMemory { needed: u64, free: usize, total: usize },
    #[error("cannot {action}")]
    Driver { action: String, code: Option<i32>, source: Cause },
    /// A training whose values have become NaN or infinite at a step, counted from 1. `saves` tells whether the run
    /// saves its model.
    #[error("training diverged at step {step}: {reason}")]
    Diverged { step: u64, reason: String, saves: bool },
    #[error("every model diverged")]
    AllDiverged,
    /// The end of a computation that a [`StopHandle`](crate::StopHandle) has asked for.
    #[error("stopped")]
    Stopped,
    /// A failure of one of the ranks that MPI has started, with the message and the hint of its own error.
    #[error("rank {rank} on {host}: {message}")]
    OnRank { rank: usize, host: String, message: String, hint: String },
    #[error("cannot draw sample {sample}: the log-probability of a token is {logprob}")]
    Sample { sample: u64, logprob: f64 },
    #[error("cannot save to `{path}`")]
    Save { path: PathBuf, source: io::Error },
    #[error("another run writes to `{path}`")]
    InUse { path: PathBuf },
    #[error("cannot write the metrics to `{path}`")]
    Metrics { path: PathBuf, source: io::Error },
}

impl Error {
    /// Returns the error of an argument that is out of range.
    pub fn argument(name: &'static str, expected: impl Into<String>, value: &dyn ToString, hint: &'static str) -> Self {
        Self::Argument { name, expected: expected.into(), value: value.to_string(), hint }
    }

    /// Returns the error of a request that a program on top of the library refuses. The hint may be empty.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: hint.into() }
    }

    /// Returns the error of an action that the system or another library cannot do. `action` completes "cannot ..".
    pub fn failed(action: impl Into<String>, hint: &'static str, source: impl Into<Cause>) -> Self {
        Self::Failed { action: action.into(), hint, source: source.into() }
    }

    /// Returns the error with the name of the corpus, if it is one of a text that is too short.
    #[must_use]
    pub fn in_corpus(self, name: &str) -> Self {
        match self {
            Self::ShortText { found, needed, most, .. } => {
                Self::ShortText { corpus: name.to_owned(), found, needed, most }
            }
            other => other,
        }
    }

    /// Returns the hint, if there is one.
    pub fn hint(&self) -> Option<String> {
        let hint: &str = match self {
            Self::Argument { hint, .. } | Self::Failed { hint, .. } => hint,
            Self::Usage { hint, .. } | Self::Mismatch { hint, .. } | Self::OnRank { hint, .. } => hint,
            Self::IndivisibleChannels { n_embd, n_head } => {
                let below = (1..(*n_head).min(n_embd + 1)).rev().find(|h| n_embd % h == 0).unwrap_or(1);
                &format!("choose a divisor of n_embd, for instance `--n-head {below}`")
            }
            Self::TooLarge { unit, max, .. } => {
                &format!("lower --n-embd, --n-layer or --block-size; at most {max} {unit} are supported")
            }
            Self::ReadCorpus { source, .. } => match source.kind() {
                io::ErrorKind::FileTooLarge => "use a part of it",
                io::ErrorKind::NotFound => "check the path, or leave `--input` out to use microgpt's own names",
                io::ErrorKind::PermissionDenied => "check the permissions of the file",
                _ => "give a text file with one document on each line, for instance a name",
            },
            Self::NotUtf8 { .. } => "convert the text to UTF-8, for instance by `iconv -f ISO-8859-1 -t UTF-8 FILE`",
            Self::OtherEncoding { encoding, .. } => {
                &format!("convert the text to UTF-8, for instance by `iconv -f {encoding} -t UTF-8 FILE`")
            }
            Self::NotText { .. } => "give the text that is in it, as UTF-8",
            Self::TooFewDocuments { found: ONE_DISTINCT, .. } => {
                "leave `--dedup` out, or give a text with more documents"
            }
            Self::TooFewDocuments { found: ONE_DOCUMENT, .. } => {
                "put every document on a line of its own, or give `--corpus text` to read a long text as a whole"
            }
            Self::TooFewDocuments { .. } => {
                "put at least two documents on lines of their own: one to train on and one to validate on"
            }
            Self::ShortText { most: 0, .. } => "give a longer text",
            Self::ShortText { most, .. } => &format!(
                "lower `--block-size` to at most {most}, or give a longer text, since the last 10 % have to hold a whole window"
            ),
            Self::UnknownCharacter { .. } => "use characters of the vocabulary",
            Self::ReadCheckpoint { .. } => {
                "give the path of a safetensors file that you may read, for instance one that `--save` wrote"
            }
            Self::Format { .. } => "give a complete file that `--save` or a safetensors library wrote",
            Self::Metadata { .. } => "update microgpt if a newer version wrote the file, or remove the file's metadata",
            Self::OutOfMemory(_) => OutOfMemory::HINT,
            Self::Memory { .. } => {
                "lower `--n-embd`, `--n-layer`, `--block-size`, `--batch`, `--seeds` or `--threads`, or give the run more \
                 memory"
            }
            Self::Diverged { saves: true, .. } => {
                "lower `--learning-rate`, `--weight-decay` or `--max-grad-norm`, or start from other weights; what was \
                 saved before is still there"
            }
            Self::Diverged { .. } | Self::AllDiverged | Self::Sample { .. } => {
                "lower `--learning-rate`, `--weight-decay` or `--max-grad-norm`, or start from other weights"
            }
            Self::Save { .. } => {
                "choose a file that you may write, in a folder that exists and has space; an old file is unchanged"
            }
            Self::Stopped => "",
            Self::InUse { .. } => "wait until that run has ended, or give this one a file of its own",
            Self::Metrics { .. } => {
                "give `--metrics` a new file, or one of metrics that you may read and write, in a folder that exists and has space"
            }
            gpu => &format!("{}use `--device cpu`", gpu.gpu_cure().map_or(String::new(), |cure| cure + ", or ")),
        };
        (!hint.is_empty()).then(|| hint.to_owned())
    }

    /// Returns the cure of a failure of the GPU, if there is one.
    fn gpu_cure(&self) -> Option<String> {
        let cure = match self {
            Self::NotBuilt { .. } => {
                "build it again for Linux or Windows, with the feature `cuda` and without MICROGPT_PTX=none"
            }
            Self::NoDriver { in_wsl: true, .. } => {
                "install NVIDIA's driver on Windows, not in WSL, and restart WSL by `wsl --shutdown`, so that the driver is \
                 in /usr/lib/wsl/lib"
            }
            Self::NoDriver { .. } => "install NVIDIA's driver (the CUDA toolkit is not needed)",
            Self::DeviceFile { .. } => "ask for the permission to read and write it, in a container as for all GPUs",
            Self::OldDriver { needed: (major, minor), .. } => {
                &format!("update the driver to one for CUDA {major}.{minor} or later, which `nvidia-smi` shows")
            }
            Self::NoGpu { visible: None } => {
                "see what `nvidia-smi -L` lists, since a container has to be given its GPU, and a GPU in MIG mode has to be \
                 divided into instances first"
            }
            Self::NoGpu { visible: Some(visible) } => &format!(
                "unset CUDA_VISIBLE_DEVICES, which is `{visible}`, or name a GPU or a MIG instance of `nvidia-smi -L` in it"
            ),
            Self::NoSuchGpu { count, .. } => &format!("choose a GPU from 0 to {}", count.saturating_sub(1)),
            // The compilers make no PTX for devices before compute capability 7.0.
            Self::TooOld { arch: arch @ 70.., .. } => &format!("build again with CUDA_ARCH={arch}"),
            Self::GpuMemory { .. } => OutOfMemory::HINT,
            Self::Compile { code, .. } | Self::Driver { code, .. } => match code.unwrap_or_default() {
                2 => "end other programs on the GPU, whose memory is full, or make the model smaller",
                34 => {
                    "take the folder `stubs` of the CUDA toolkit out of LD_LIBRARY_PATH, since the library in it only \
                     stands in for a driver when programs are linked"
                }
                46 => "end the other program that uses the GPU, which is in exclusive mode",
                218 | 222 => "update the driver, which may be too old for these kernels",
                500 => "update the driver, which is too old",
                802 => "start the service `nvidia-fabricmanager`, which connects this computer's GPUs",
                803 => "restart the computer, since the driver was updated while it ran",
                804 => "take CUDA's package `cuda-compat` out of LD_LIBRARY_PATH, which does not fit this GPU",
                999 => {
                    "load the driver's modules by `sudo nvidia-modprobe -u -c=0`, or restart the computer, since the driver is \
                     installed but not ready"
                }
                702 => {
                    "lower --batch or make the model smaller, since a GPU that drives a display ends a launch after a time \
                     limit, which is two seconds on Windows"
                }
                214 | 220 | 700 | 703..=719 => {
                    "run again, since the GPU stopped in the middle of its work (please report it if it happens again)"
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(cure.to_owned())
    }

    /// Returns the whole report as the program prints it, with a line `error:`, a line `caused by:` for each cause, and
    /// a line `hint:`.
    pub fn report(&self) -> String {
        let causes = self.causes().map(|cause| format!("\n  caused by: {cause}"));
        let hint = self.hint().map(|hint| format!("\nhint: {hint}"));
        causes.chain(hint).fold(format!("error: {self}"), |text, line| text + &line)
    }

    /// Returns the message and the first line of each cause, in one line. The log of a compiler has many lines.
    pub fn one_line(&self) -> String {
        let causes = self.causes().map(|cause| cause.to_string().lines().next().unwrap_or_default().to_owned());
        causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"))
    }

    fn causes(&self) -> impl Iterator<Item = &dyn StdError> {
        iter::successors(self.source(), |&cause| cause.source())
    }
}

/// The number of bytes of an allocation that failed.
///
/// Printing the error and its [hint](Self::HINT) allocates nothing, so a handler of allocation failures can print both.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("out of memory: cannot allocate {0} bytes")]
pub struct OutOfMemory(pub usize);

impl OutOfMemory {
    /// The hint.
    pub const HINT: &str =
        "lower --n-embd, --n-layer, --block-size, --batch or --seeds, or use a part of a large corpus";
}
