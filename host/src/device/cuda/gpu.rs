//! A GPU with a corpus and the kernels for one shape, which its models share.

use std::cell::Cell;
use std::ops::Range;

use cust::context::Context;
use cust::device::Device as CudaDevice;
use cust::event::{Event, EventFlags};
use cust::memory::{DeviceBuffer, DeviceCopy};
use cust::stream::{Stream, StreamFlags};
use gpu_kernels::evaluate::EvaluateArgs;
use gpu_kernels::generate::GenerateArgs;
use gpu_kernels::shape::{ExpandedShape, RuntimeShape};
use gpu_kernels::train::{TrainArgs, TrainModelsArgs};

use super::super::gpu::chosen;
use super::super::memory::Demand;
use super::super::types::Executor;
use super::error::{failed, no_driver, no_gpu};
use super::kernels::{Args, CudaKernels, Kernel, LaunchArgs};
use super::launch_times::LaunchTimes;
use super::memory::{affordable_blocks, ensure_free, pointer, upload, zeros};
use crate::corpus::{Dataset, Documents};
use crate::error::{Error, Result};

/// The tokens and the offsets of documents on the device.
pub(super) struct DeviceDocuments {
    pub(super) tokens: DeviceBuffer<u32>,
    pub(super) offsets: DeviceBuffer<u32>,
}

impl DeviceDocuments {
    pub(super) fn upload(documents: &Documents) -> Result<Self> {
        Ok(Self { tokens: upload(documents.tokens())?, offsets: upload(documents.offsets())? })
    }
}

/// The part of a GPU that its models share.
pub(super) struct Gpu {
    pub(super) shape: RuntimeShape,
    /// The seconds that the last launch, or the last series of launches, took on the device.
    pub(super) seconds: Cell<f64>,
    pub(super) launch_times: LaunchTimes,
    /// The documents on the host.
    pub(super) dataset: Dataset,
    // The fields are dropped in this order, so the context stands last.
    pub(super) train: DeviceDocuments,
    pub(super) val: DeviceDocuments,
    /// The largest number of blocks of an evaluation.
    pub(super) evaluate_blocks: usize,
    /// The workspaces of an evaluation's blocks, unless the workspaces fit in shared memory.
    pub(super) evaluate_workspace: DeviceBuffer<f32>,
    pub(super) start: Event,
    pub(super) end: Event,
    pub(super) stream: Stream,
    pub(super) kernels: CudaKernels,
    _context: Context,
}

impl Gpu {
    /// Opens the chosen GPU for models of this shape. `models` returns the demand of the models' own arrays. That of all
    /// arrays goes to `announce` before they are allocated.
    pub(super) fn open(
        shape: RuntimeShape,
        dataset: &Dataset,
        models: impl Fn(&CudaKernels) -> Result<Demand>,
        announce: &mut dyn FnMut(&Demand),
    ) -> Result<Self> {
        cuda_driver::library().map_err(|error| no_driver(error))?;
        cust::init(cust::CudaFlags::empty()).map_err(no_gpu)?;
        let count = CudaDevice::num_devices().map_err(no_gpu)? as usize;
        let number = chosen(count).map_err(|number| Error::NoSuchGpu { number, count })?;
        let device = CudaDevice::get_device(number as u32).map_err(no_gpu)?;
        let context = Context::new(device).map_err(failed("open the GPU"))?;
        let kernels = CudaKernels::new(device, shape)?;
        let (evaluate_blocks, evaluate_len) = match Executor::of_evaluation(shape) {
            Executor::Tiled => (0, 0),
            Executor::Fused => {
                let evaluate = kernels.choose::<EvaluateArgs>()?;
                let blocks = kernels.resident_blocks(&evaluate)?.min(dataset.val.len());
                let blocks = affordable_blocks(blocks, evaluate.workspace)?;
                (blocks, blocks * evaluate.workspace)
            }
        };
        // Sampling needs at least one workspace at the end of the run.
        let generate_len = kernels.choose::<GenerateArgs>()?.workspace;
        let corpus: usize = [&dataset.train, &dataset.val].iter().map(|d| d.tokens().len() + d.offsets().len()).sum();
        let shared = Demand::of_floats(0, 0, (evaluate_len + generate_len + corpus) as u128);
        let demand: Demand = [models(&kernels)?, shared].into_iter().sum();
        ensure_free(demand.total())?;
        announce(&demand);
        Ok(Self {
            shape,
            seconds: Cell::new(0.0),
            launch_times: LaunchTimes::default(),
            dataset: dataset.clone(),
            train: DeviceDocuments::upload(&dataset.train)?,
            val: DeviceDocuments::upload(&dataset.val)?,
            evaluate_blocks,
            evaluate_workspace: zeros(evaluate_len)?,
            start: Event::new(EventFlags::DEFAULT).map_err(failed("make an event"))?,
            end: Event::new(EventFlags::DEFAULT).map_err(failed("make an event"))?,
            // The stream waits for the default stream, in which copies run before the kernels.
            stream: Stream::new(StreamFlags::DEFAULT, None).map_err(failed("make a stream"))?,
            kernels,
            _context: context,
        })
    }

    /// Runs a kernel in `blocks` blocks and waits for its end.
    ///
    /// # Safety
    /// The arrays in `args` are on this device, with the lengths that the struct states for `blocks` blocks. The
    /// contents of the arrays keep the kernel's contract.
    pub(super) unsafe fn launch<A: LaunchArgs>(&self, kernel: &Kernel<A>, blocks: usize, args: A) -> Result<()> {
        // The first launch of a kernel compiles it, which must not count as time on the device.
        let compiled = self.kernels.compiled(kernel)?;
        self.timed(&kernel.name, |stream| {
            // SAFETY: the caller vouches for the arrays, and `timed` waits for the stream.
            let launch = || unsafe { kernel.launch(&compiled, stream, blocks, args) };
            self.launch_times.around(&kernel.name, None, stream, launch)
        })
    }

    /// Calls `launch`, which launches kernels on the stream, waits for their end, and measures their time.
    pub(super) fn timed(&self, kernel: &str, launch: impl FnOnce(&Stream) -> Result<()>) -> Result<()> {
        let action = || format!("run `{kernel}`");
        self.start.record(&self.stream).map_err(failed(action()))?;
        launch(&self.stream)?;
        self.end.record(&self.stream).map_err(failed(action()))?;
        self.stream.synchronize().map_err(failed(action()))?;
        self.seconds.set(f64::from(self.end.elapsed_time_f32(&self.start).map_err(failed(action()))?) / 1e3);
        Ok(())
    }

    /// Calls `launch` for consecutive ranges of these items. There is one call, or several where the device has a time
    /// limit. Each call must call [`Self::launch`] once.
    pub(super) fn in_launches<A: Args>(
        &self,
        items: usize,
        mut launch: impl FnMut(Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let pace = self.kernels.pace(&self.kernels.choose::<A>()?)?;
        let (mut start, mut seconds) = (0, 0.0);
        while start < items {
            let end = pace.map_or(items, |pace| items.min(start.saturating_add(pace.items())));
            launch(start..end)?;
            seconds += self.seconds.get();
            pace.inspect(|pace| pace.record(end - start, self.seconds.get()));
            start = end;
        }
        self.seconds.set(seconds);
        Ok(())
    }

    /// Trains these models for `steps` steps in one launch, with a block for each model.
    ///
    /// # Safety
    /// Each model's arguments are those of a launch of `steps` steps as in [`Self::launch`], and no two models share an
    /// array that they write.
    pub(super) unsafe fn launch_train(&self, models: impl IntoIterator<Item = TrainArgs>, steps: usize) -> Result<()> {
        let models = upload(&models.into_iter().map(ModelArgs).collect::<Vec<_>>())?;
        let args = TrainModelsArgs {
            models: pointer(&models, models.len()).cast_const().cast(),
            steps: steps as u32,
            shape: ExpandedShape::new(self.shape),
        };
        // SAFETY: each block has the arguments of a model, and the caller vouches for them.
        unsafe { self.launch(&self.kernels.choose()?, models.len(), args) }
    }
}

/// The arguments of a model, as an element of an array on the device.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct ModelArgs(TrainArgs);

// SAFETY: `TrainArgs` has only integers, floats and addresses on the device.
unsafe impl DeviceCopy for ModelArgs {}
