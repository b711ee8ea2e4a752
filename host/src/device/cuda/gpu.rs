//! A GPU with a corpus on it and the kernels for one shape, which its models share, and arrays in its memory.

use std::cell::Cell;
use std::ops::Range;

use cust::context::Context;
use cust::device::Device as CudaDevice;
use cust::event::{Event, EventFlags};
use cust::memory::{CopyDestination, DeviceBuffer, DeviceCopy, mem_get_info};
use cust::stream::{Stream, StreamFlags};
use gpu_kernels::activations::Activations;
use gpu_kernels::generate::generate_workspace_len;
use gpu_kernels::shape::{GPU_TOKENS, RuntimeShape};
use gpu_kernels::train::{TrainArgs, TrainModelsArgs};
use simt::GPU_WARPS;

use super::super::driver;
use super::error::{failed, no_driver, no_gpu};
use super::kernels::{Args, Kernel, Kernels};
use crate::corpus::{Dataset, Documents};
use crate::error::{Error, OutOfMemory, Result};

/// Documents and where each begins, on the device.
pub(super) struct Corpus {
    pub(super) tokens: DeviceBuffer<u32>,
    pub(super) offsets: DeviceBuffer<u32>,
}

impl Corpus {
    fn upload(documents: &Documents) -> Result<Self> {
        Ok(Self { tokens: upload(documents.tokens())?, offsets: upload(documents.offsets())? })
    }
}

/// A GPU with a corpus on it and the kernels for one shape: what models share.
pub(super) struct Gpu {
    pub(super) shape: RuntimeShape,
    pub(super) train: Documents,
    pub(super) val: Documents,
    pub(super) seconds: Cell<f64>,
    // Dropped in this order: the context last.
    pub(super) train_corpus: Corpus,
    pub(super) val_corpus: Corpus,
    /// Blocks that evaluate at a time, and their workspaces where they do not fit in shared memory.
    pub(super) evaluate_blocks: usize,
    pub(super) evaluate_workspace: DeviceBuffer<f32>,
    pub(super) start: Event,
    pub(super) end: Event,
    pub(super) stream: Stream,
    pub(super) kernels: Kernels,
    _context: Context,
}

impl Gpu {
    /// The first GPU, for models of this shape, which take `models` bytes beside what they share.
    pub(super) fn open(
        shape: RuntimeShape,
        dataset: &Dataset,
        models: impl Fn(&Kernels) -> Result<usize>,
    ) -> Result<Self> {
        driver::library().map_err(no_driver)?;
        cust::init(cust::CudaFlags::empty()).map_err(no_gpu)?;
        let device = CudaDevice::get_device(0).map_err(no_gpu)?;
        let context = Context::new(device).map_err(failed("open the GPU"))?;
        let kernels = Kernels::new(device, shape)?;
        let evaluate = kernels.evaluate();
        let mut evaluate_blocks = kernels.resident_blocks(&evaluate)?.min(dataset.val.len());
        let mut evaluate_len = 0;
        if evaluate.is_global() {
            evaluate_blocks = affordable_blocks(evaluate_blocks, Activations::len(shape))?;
            evaluate_len = evaluate_blocks * Activations::len(shape);
        }
        // What sampling will need at the end, at the least.
        let generate = kernels.generate().is_global();
        let generate_len = if generate { generate_workspace_len(shape, GPU_WARPS, GPU_TOKENS) } else { 0 };
        let corpus: usize = [&dataset.train, &dataset.val].iter().map(|d| d.tokens().len() + d.offsets().len()).sum();
        fits(4 * (evaluate_len + generate_len + corpus) + models(&kernels)?)?;
        Ok(Self {
            shape,
            train: dataset.train.clone(),
            val: dataset.val.clone(),
            seconds: Cell::new(0.0),
            train_corpus: Corpus::upload(&dataset.train)?,
            val_corpus: Corpus::upload(&dataset.val)?,
            evaluate_blocks,
            evaluate_workspace: zeros(evaluate_len)?,
            start: Event::new(EventFlags::DEFAULT).map_err(failed("make an event"))?,
            end: Event::new(EventFlags::DEFAULT).map_err(failed("make an event"))?,
            // Not a non-blocking one: kernels wait for the copies before them, which are on the default stream.
            stream: Stream::new(StreamFlags::DEFAULT, None).map_err(failed("make a stream"))?,
            kernels,
            _context: context,
        })
    }

    /// Runs a kernel in `blocks` blocks, and waits for it.
    ///
    /// # Safety
    /// The arrays in `args` are on this device, with the lengths that the struct states for `blocks` blocks, and what is in them
    /// keeps the kernel's contract.
    pub(super) unsafe fn launch<A: Args>(&self, kernel: &Kernel<A>, blocks: usize, args: A) -> Result<()> {
        let what = || format!("run `{}`", kernel.name());
        // Compiled, if it is its first launch, before the clock starts.
        let compiled = self.kernels.compiled(kernel)?;
        self.start.record(&self.stream).map_err(failed(what()))?;
        // SAFETY: the caller vouches for the arrays, and all that uses any waits as this does.
        unsafe { compiled.launch(&self.stream, blocks, args) }?;
        self.end.record(&self.stream).map_err(failed(what()))?;
        self.stream.synchronize().map_err(failed(what()))?;
        self.seconds.set(f64::from(self.end.elapsed_time_f32(&self.start).map_err(failed(what()))?) / 1e3);
        Ok(())
    }

    /// Trains these models, a block for each, `steps` steps in one launch.
    ///
    /// # Safety
    /// As for [`Self::launch`], of each model's arguments; they are for `steps` steps, and no two write the same arrays.
    pub(super) unsafe fn launch_train(&self, models: impl IntoIterator<Item = TrainArgs>, steps: usize) -> Result<()> {
        let models = upload(&models.into_iter().map(Model).collect::<Vec<_>>())?;
        let args = TrainModelsArgs {
            models: pointer(&models, models.len()).cast_const().cast(),
            steps: steps as u32,
            shape: self.shape,
        };
        // SAFETY: there are the arguments of a model for each block, and the caller vouches for them.
        unsafe { self.launch(&self.kernels.train(), models.len(), args) }
    }
}

/// A model's arguments, as an element of an array on the device.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Model(TrainArgs);

// SAFETY: plain numbers, and addresses of the device's own memory.
unsafe impl DeviceCopy for Model {}

/// Refuses what the device's memory cannot hold, before any of it is taken.
pub(super) fn fits(bytes: usize) -> Result<()> {
    let (free, total) = mem_get_info().map_err(failed("ask for the GPU's free memory"))?;
    if bytes <= free {
        return Ok(());
    }
    Err(Error::new(format!("the GPU's memory is too small: {bytes} bytes needed, {free} of {total} free"))
        .hint(format!("{}, or use `--device cpu`", OutOfMemory::HINT)))
}

/// At most `blocks`, fewer where their workspaces, of `workspace` elements each, would take more than a quarter of the free memory;
/// at least one.
pub(super) fn affordable_blocks(blocks: usize, workspace: usize) -> Result<usize> {
    let (free, _) = mem_get_info().map_err(failed("ask for the GPU's free memory"))?;
    Ok(blocks.min(free / 4 / (4 * workspace)).max(1))
}

pub(super) fn zeros(len: usize) -> Result<DeviceBuffer<f32>> {
    DeviceBuffer::zeroed(len).map_err(failed("allocate the GPU's memory"))
}

pub(super) fn upload<T: DeviceCopy>(values: &[T]) -> Result<DeviceBuffer<T>> {
    DeviceBuffer::from_slice(values).map_err(failed("copy to the GPU"))
}

/// An array that a kernel is to fill.
pub(super) fn uninitialized<T: DeviceCopy>(len: usize) -> Result<DeviceBuffer<T>> {
    // SAFETY: only for numbers, for which any bits will do, in as far as the kernel leaves some alone.
    unsafe { DeviceBuffer::uninitialized(len) }.map_err(failed("allocate the GPU's memory"))
}

pub(super) fn download<T: DeviceCopy + Default>(array: &DeviceBuffer<T>, range: Range<usize>) -> Result<Vec<T>> {
    let mut values = vec![T::default(); range.len()];
    array.index(range).copy_to(&mut values[..]).map_err(failed("copy from the GPU"))?;
    Ok(values)
}

/// The address of an array for a kernel that touches its first `len` elements.
///
/// # Panics
/// If it has fewer: a kernel must never be launched on it.
pub(super) fn pointer<T: DeviceCopy>(array: &DeviceBuffer<T>, len: usize) -> *mut T {
    assert!(array.len() >= len, "an array of {} elements for a kernel that takes {len}", array.len());
    array.as_device_ptr().as_raw() as *mut T
}
