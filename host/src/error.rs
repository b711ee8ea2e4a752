//! The library's error, which has the failure with its values, its cause, and a hint.
#![expect(missing_docs, reason = "the message of a variant says what the variant and its fields are")]

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

mod mismatch;

pub use mismatch::Mismatch;

/// A cause that this library has no type for, such as the text of a driver.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// The library's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the library, described by its message.
///
/// The message is lower case, has no full stop and names the input. [`Self::report`] adds the causes and the hint. A
/// driver's `code` is its result, a `CUresult`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("`{flag} 0`: the model needs at least 1")]
    ZeroDimension { flag: &'static str },
    #[error("`--n-embd {n_embd}` is not divisible by `--n-head {n_head}`")]
    IndivisibleChannels { n_embd: usize, n_head: usize },
    #[error(
        "a model of {params} parameters is too large (n_embd {n_embd}, n_layer {n_layer}, block_size {block_size}, \
         vocabulary {vocab})"
    )]
    TooManyParameters { params: u128, max: u128, n_embd: usize, n_layer: usize, block_size: usize, vocab: usize },
    #[error(
        "activations of about {activations} values are too many (n_embd {n_embd}, n_layer {n_layer}, \
         block_size {block_size})"
    )]
    TooManyActivations { activations: u128, max: u128, n_embd: usize, n_layer: usize, block_size: usize },
    #[error("a step must have from 1 to {} documents, got {batch}", u32::MAX)]
    Batch { batch: usize },
    #[error("prompt tokens must be between 1 and {}, got {token}", vocab - 1)]
    PromptToken { token: u32, vocab: u32 },
    #[error("a prompt must have fewer than {block_size} tokens, got {tokens}")]
    PromptLength { tokens: usize, block_size: usize },
    #[error("top-k must be from 1 to {vocab}, got {top_k}")]
    TopK { top_k: usize, vocab: u32 },
    #[error("temperature must be from 0 to 3.4e38, got {temperature}")]
    Temperature { temperature: f64 },
    /// A request that a program on top of the library refuses. The hint may be empty.
    #[error("{message}")]
    Usage { message: String, hint: String },
    #[error("cannot sample from `--prompt {prompt}`")]
    Prompt { prompt: String, source: Box<Self> },
    #[error("cannot start `--threads {threads}`")]
    Threads { threads: usize, source: Cause },
    #[error("cannot read `{path}`")]
    ReadCorpus { path: PathBuf, source: io::Error },
    #[error("cannot download {url}")]
    Download { url: String, source: Cause },
    #[error("`{name}` is not UTF-8: the byte 0x{byte:02x} at offset {offset}")]
    NotUtf8 { name: String, byte: u8, offset: usize },
    #[error("`{name}` {found}")]
    NoDocument { name: String, found: &'static str },
    #[error("`{name}` has only one document")]
    OneDocument { name: String },
    #[error("the corpus has {}", if *.documents == 0 { "no document" } else { "only one document" })]
    TooFewDocuments { documents: usize },
    #[error("the corpus has {tokens} tokens, more than the {} supported", u32::MAX)]
    TooManyTokens { tokens: u64 },
    /// A document, counted from 1, with a character that the given vocabulary lacks.
    #[error("cannot encode document {document} ({start:?})")]
    Encode { document: usize, start: String, source: Box<Self> },
    #[error("the vocabulary is empty")]
    EmptyVocabulary,
    #[error("the vocabulary is not sorted: {} stands before {}", describe(*.first), describe(*.second))]
    UnsortedVocabulary { first: char, second: char },
    #[error("the character {} is not in the vocabulary", describe(*.character))]
    UnknownCharacter { character: char },
    #[error("cannot read the checkpoint `{path}`")]
    ReadCheckpoint { path: PathBuf, source: io::Error },
    #[error("the model cannot be stored as safetensors")]
    Store { source: Cause },
    #[error("the checkpoint `{path}` is not a safetensors file")]
    Format { path: PathBuf, source: Cause },
    #[error("the checkpoint `{path}` {verdict}")]
    Length { path: PathBuf, verdict: &'static str, source: Cause },
    #[error("cannot use the metadata of the checkpoint `{path}`")]
    Metadata { path: PathBuf, source: Cause },
    #[error("the checkpoint `{path}` {mismatch}")]
    Mismatch { path: PathBuf, mismatch: Mismatch },
    #[error("this processor cannot run the kernels for {isa}")]
    InstructionSet { isa: &'static str },
    #[error("document tokens must be below {vocab}, got {token}")]
    Token { token: u32, vocab: u32 },
    #[error("the state's arrays have another shape than the model")]
    StateShape,
    #[error("the document has {tokens} tokens, expected at least 2")]
    ShortDocument { tokens: usize },
    #[error("{samples} samples are too many for one launch")]
    TooManySamples { samples: u64 },
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    #[error("this program was built without GPU support, which needs Linux or Windows and the feature `cuda`")]
    NoGpuSupport,
    #[error("this program was built without GPU kernels (MICROGPT_PTX=none)")]
    NoPtx,
    #[error("this program was built without the kernel `{kernel}`")]
    NoKernel { kernel: String },
    #[error("no NVIDIA driver")]
    NoDriver { source: Cause },
    /// A driver that finds no device. `visible` is the value of `CUDA_VISIBLE_DEVICES`.
    #[error("the NVIDIA driver finds no GPU")]
    NoGpu { visible: Option<String> },
    /// A device that is older than the kernels. Architecture 75 is compute capability 7.5.
    #[error(
        "the GPU is too old: {name} has compute capability {}.{}, the kernels need {}.{}",
        arch / 10, arch % 10, needed / 10, needed % 10
    )]
    TooOld { name: String, arch: u32, needed: u32 },
    #[error("cannot compile the kernels for this GPU")]
    Compile { code: Option<i32>, source: Cause },
    #[error("{name} has no cooperative launch, which `--batch` needs")]
    NoCooperativeLaunch { name: String },
    #[error("the GPU's memory is too small: {needed} bytes needed, {free} of {total} free")]
    GpuMemory { needed: usize, free: usize, total: usize },
    #[error("a GPU needs at least one model, got none")]
    NoModels,
    #[error("cannot {action}")]
    Driver { action: String, code: Option<i32>, source: Cause },
    /// A training whose values have become NaN or infinite at a step, counted from 1. `saves` tells whether it has
    /// saved before.
    #[error("training diverged at step {step}: {reason}")]
    Diverged { step: u64, reason: String, saves: bool },
    #[error("every model diverged")]
    AllDiverged,
    #[error("cannot draw sample {sample}: the log-probability of a token is {logprob}")]
    Sample { sample: u64, logprob: f64 },
    #[error("cannot watch for Ctrl-C")]
    Signals { source: io::Error },
    /// A path that a file cannot be written to.
    #[error("cannot save to `{path}`")]
    NotWritable { path: PathBuf, source: io::Error },
    /// A file that could not be written.
    #[error("cannot save to `{path}`")]
    Save { path: PathBuf, source: io::Error },
    /// A file of metrics that cannot be opened, or a file of something else.
    #[error("cannot write the metrics to `{path}`")]
    OpenMetrics { path: PathBuf, source: io::Error },
    /// A file of metrics that could not be written.
    #[error("cannot write the metrics to `{path}`")]
    WriteMetrics { path: PathBuf, source: io::Error },
    #[error("cannot plot to `{path}`: its name ends in neither .svg nor .png")]
    PlotFormat { path: PathBuf },
    #[error("cannot draw `{path}`")]
    DrawPlot { path: PathBuf, source: Cause },
    #[error("cannot write to stdout")]
    Stdout { source: io::Error },
    #[error("the record cannot be written as JSON")]
    Json { source: Cause },
}

/// Returns a character as a message shows it, visible and with its code point, since many characters look alike.
fn describe(c: char) -> String {
    format!("{c:?} (U+{:04X})", c as u32)
}

impl Error {
    /// Returns the error of a request that a program on top of the library refuses. The hint may be empty.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: hint.into() }
    }

    /// Returns the hint, if there is one.
    pub fn hint(&self) -> Option<String> {
        const ONE_PER_LINE: &str = "give a text file with one document on each line, for instance a name";
        let hint: &str = match self {
            Self::IndivisibleChannels { n_embd, n_head } => {
                let below = (1..(*n_head).min(n_embd + 1)).rev().find(|h| n_embd % h == 0).unwrap_or(1);
                &format!("choose a divisor of n_embd, for instance `--n-head {below}`")
            }
            Self::TooManyParameters { max, .. } => {
                &format!("lower --n-embd, --n-layer or --block-size; at most {max} are supported")
            }
            Self::TooManyActivations { max, .. } => {
                &format!("lower --block-size, --n-embd or --n-layer; at most {max} are supported")
            }
            Self::Batch { .. } => "choose a batch of at least 1",
            Self::PromptToken { .. } => "encode the prompt with the model's vocabulary, without `<BOS>`",
            Self::PromptLength { block_size, .. } => &format!("give the prompt fewer than {block_size} tokens"),
            Self::TopK { vocab, .. } => &format!("choose from 1 to {vocab}"),
            Self::Temperature { .. } => "choose from 0 to 3.4e38",
            Self::Usage { hint, .. } => hint,
            Self::Prompt { .. } => "use characters that the corpus has",
            Self::Threads { .. } => "ask for fewer",
            Self::ReadCorpus { source, .. } => match source.kind() {
                io::ErrorKind::FileTooLarge => "use a part of it",
                io::ErrorKind::NotFound => "check the path, or leave `--input` out to use microgpt's own names",
                io::ErrorKind::PermissionDenied => "check the permissions of the file",
                _ => ONE_PER_LINE,
            },
            Self::NotUtf8 { .. } => "convert the file to UTF-8",
            Self::NoDocument { .. } => ONE_PER_LINE,
            Self::OneDocument { .. } | Self::TooFewDocuments { .. } => {
                "put at least two documents on lines of their own: one to train on and one to validate on"
            }
            Self::TooManyTokens { .. } => "use a part of it",
            Self::Encode { .. } => "use a corpus with the characters of the given vocabulary alone",
            Self::ReadCheckpoint { .. } => {
                "give the path of a safetensors file that you may read, for instance one that `--save` wrote"
            }
            Self::Format { .. } => "give a file that `--save` or a safetensors library wrote",
            Self::Length { .. } => "copy or save it again",
            Self::Metadata { .. } => "update microgpt if a newer version wrote the file, or remove the file's metadata",
            Self::Mismatch { mismatch, .. } => &mismatch.hint(),
            Self::InstructionSet { .. } => "choose kernels that this processor has",
            Self::Token { .. } => "give the model the vocabulary of its documents",
            Self::StateShape => "upload a state of a model of this shape",
            Self::ShortDocument { .. } => "put `<BOS>` at both ends of the document",
            Self::TooManySamples { .. } => "ask for fewer at a time",
            Self::OutOfMemory(_) => OutOfMemory::HINT,
            Self::Diverged { saves: true, .. } => {
                "lower `--learning-rate`, or start from other weights; what was saved before is still there"
            }
            Self::Diverged { .. } | Self::AllDiverged | Self::Sample { .. } => {
                "lower `--learning-rate`, or start from other weights"
            }
            Self::NotWritable { .. } => "choose a file that you may write, in a folder that exists",
            Self::Save { .. } => "check the space and the permissions of the folder; the old file is unchanged",
            Self::OpenMetrics { .. } => {
                "give `--metrics` a new file, or one of metrics that you may read and write, in a folder that exists"
            }
            Self::WriteMetrics { .. } => "check the space, or leave `--metrics` out",
            Self::PlotFormat { .. } => "choose one of them, as in `--plot losses.svg`",
            Self::DrawPlot { .. } => "leave `--plot` out",
            Self::Stdout { .. } => "check the space, or redirect the results elsewhere",
            _ => &self.gpu_hint(),
        };
        (!hint.is_empty()).then(|| hint.to_owned())
    }

    /// Returns the hint for a GPU that cannot be used, and an empty text for any other failure.
    fn gpu_hint(&self) -> String {
        const USE_CPU: &str = "use `--device cpu`";
        let cure = match self {
            Self::NoPtx => "build it again without that variable",
            Self::NoDriver { .. } => "install NVIDIA's driver (the CUDA toolkit is not needed)",
            Self::NoGpu { visible: Some(visible) } => {
                &format!("unset CUDA_VISIBLE_DEVICES, which is `{visible}`, or name an existing GPU in it")
            }
            // The compilers make no PTX for devices before compute capability 7.0.
            Self::TooOld { arch: arch @ 70.., .. } => &format!("build again with CUDA_ARCH={arch}"),
            Self::NoCooperativeLaunch { .. } => "leave `--batch` out",
            Self::GpuMemory { .. } => OutOfMemory::HINT,
            Self::Compile { code, .. } | Self::Driver { code, .. } => match code.unwrap_or_default() {
                2 => "end other programs on the GPU, whose memory is full, or make the model smaller",
                218 | 222 => "update the driver, which may be too old for these kernels",
                500 => "update the driver, which is too old",
                803 | 804 => "restart the computer, since the driver was updated while it ran",
                214 | 220 | 700 | 702..=719 => {
                    "run again, since the GPU stopped in the middle of its work (please report it if it happens again)"
                }
                _ => return USE_CPU.to_owned(),
            },
            Self::NoGpuSupport | Self::NoGpu { .. } | Self::TooOld { .. } => return USE_CPU.to_owned(),
            _ => return String::new(),
        };
        format!("{cure}, or {USE_CPU}")
    }

    /// Returns the whole report as the program prints it, with a line `error:`, a line `caused by:` for each cause, and
    /// a line `hint:`.
    pub fn report(&self) -> String {
        let mut text = format!("error: {self}");
        let mut cause = self.source();
        while let Some(error) = cause {
            text = format!("{text}\n  caused by: {error}");
            cause = error.source();
        }
        if let Some(hint) = self.hint() {
            text = format!("{text}\nhint: {hint}");
        }
        text
    }
}

/// The number of bytes of an allocation that failed.
///
/// Printing it and its [hint](Self::HINT) allocates nothing, so a handler of allocation failures can do it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("out of memory: cannot allocate {0} bytes")]
pub struct OutOfMemory(pub usize);

impl OutOfMemory {
    /// The hint.
    pub const HINT: &str = "lower --n-embd, --n-layer, --block-size, --batch or --seeds";
}
