//! Training and evaluation of a model by the tiled executor.

use gpu_kernels::ops::adamw::StepCoefficients;
use gpu_kernels::shape::Shape;
use gpu_kernels::tiled::step::StepArgs;

use super::Cpu;
use crate::corpus::Batches;
use crate::device::marshal::{LOG_LEN, UNWRITTEN, completed_logs, evaluations, optimizer, step_coefficients};
use crate::device::types::{Evaluation, StepLog};
use crate::error::Result;

impl Cpu {
    /// Takes steps by the tiled executor.
    pub(super) fn train_tiled(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        let (batch, block_size) = (self.config.batch, self.shape.block_size());
        self.transposed_is_current = false;
        let mut log = vec![UNWRITTEN; LOG_LEN * steps];
        let coefficients = step_coefficients(&self.config, self.step, steps);
        for (i, log) in log.chunks_mut(LOG_LEN).enumerate() {
            let Batches { documents: train, first } =
                self.dataset.batches(self.step + i as u64, 1, batch, block_size)?;
            let documents: Vec<&[u32]> = (0..batch).map(|i| train.get((first as usize + i) % train.len())).collect();
            let &[sqrt_scale, eps, decay] = coefficients[3 * i..].first_chunk().expect("a step has three coefficients");
            let coefficients = StepCoefficients { sqrt_scale, eps, decay };
            let args = StepArgs { log: log.as_mut_ptr(), coefficients, ..self.tiled_args(true) };
            let (kernels, tiled) = (self.kernels, &mut self.tiled);
            // SAFETY: the buffers have `Layout::len` elements, `log` has two, and `with_executor` has checked that this
            // processor has the kernels. Documents have two tokens or more, all below V.
            unsafe { tiled.run(kernels, args, &documents, &self.stop) }?;
            if self.stop.is_stopped() {
                break;
            }
        }
        let logs = completed_logs(&log);
        self.step += logs.len() as u64;
        Ok(logs)
    }

    /// Evaluates the first documents by the tiled executor.
    pub(super) fn evaluate_tiled(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        let val = self.dataset.val.clone();
        let documents: Vec<&[u32]> = (0..documents).map(|i| val.get(i)).collect();
        let args = self.tiled_args(false);
        let (kernels, tiled) = (self.kernels, &mut self.tiled);
        // SAFETY: as in `train_tiled`.
        let nll = unsafe { tiled.evaluate(kernels, args, &documents, &self.stop) }?;
        self.unless_stopped()?;
        Ok(evaluations(&nll, &val, self.shape))
    }

    /// Returns the arguments that all steps have in common.
    pub(super) fn tiled_args(&mut self, trains: bool) -> StepArgs {
        let arrays = self.arrays();
        StepArgs::new(self.shape, arrays, optimizer(&self.config.optimizer), trains)
    }
}
