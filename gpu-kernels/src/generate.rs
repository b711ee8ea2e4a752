//! The sampling kernel. It generates whole samples on the device, with cached keys and values.

use core::mem;

use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rand_xoshiro::{SplitMix64, Xoshiro128PlusPlus};
use simt::{Block, Grid, Target, U32View, View, WARPS, Warp, div, inline};

use crate::kernel::Kernel;
use crate::model::Gpt;
use crate::ops::rmsnorm::RmsNorm;
use crate::ops::sample;
use crate::ops::sample::SamplingParams;
use crate::shape::{RuntimeShape, Shape, TOKEN_GROUP, TOKENS};

mod decode;
mod table;

use decode::{PROMPT_ROWS, Row, Rows, Workspace, decode, has_prompt_rows, packed_len};
use table::Table;

/// The token that begins and ends every document.
pub const BOS: usize = 0;
/// The value of [`GenerateArgs::out`] that ends a sample whose next token has no probabilities, see [`sample::draw`].
pub const NO_TOKEN: usize = u32::MAX as usize;

/// The distance between the seeds of a run's samples, which is the fraction of the golden ratio in 64 bits.
const STREAM: u64 = 0x9e37_79b9_7f4a_7c15;

/// The arguments of `generate`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct GenerateArgs {
    /// The parameters, padded, `Layout::len` elements.
    pub params: *mut f32,
    /// The transposed copies of the matrices, `Layout::len` elements.
    pub transposed: *mut f32,
    /// The workspace, [`generate_workspace_len`] elements for each block of the grid, zero before the first launch. It is for as
    /// many threads as divide a block's work.
    pub workspace: *mut f32,
    /// `[samples, block_size]`: the tokens after the first of each sample, then `<BOS>` if it is shorter, written.
    pub out: *mut u32,
    /// `[samples, block_size]`: the log-probability of each token and each last `<BOS>`, written. Null asks for none.
    pub logprobs: *mut f32,
    /// `[samples, prompt_len]`: the tokens that each sample starts with.
    pub prompt: *const u32,
    /// The seed of the random streams.
    pub seed: u64,
    /// The index of the first sample. Sample `i` draws from stream `(seed, i)`.
    pub first_sample: u64,
    /// The number of samples.
    pub samples: u32,
    /// The number of tokens of a prompt, from 1 to `block_size`.
    pub prompt_len: u32,
    /// The parameters of the draws.
    pub sampling: SamplingParams,
    /// The model's dimensions. An [`ExpandedShape`](crate::shape::ExpandedShape) would go through a stack at this offset, because
    /// LLVM loads two of its values at once.
    pub shape: RuntimeShape,
}

/// Returns the number of elements in a block's workspace, for `warps` warps of `tokens` slots, whose products so many threads
/// divide.
#[inline(always)]
pub fn generate_workspace_len<S: Shape>(s: S, warps: usize, tokens: usize, threads: usize) -> usize {
    warps * Workspace::len(s, tokens) + Table::len(s, tokens) + warps * threads * packed_len(s, tokens)
}

/// Returns the generator that `Xoshiro128PlusPlus::seed_from_u64` returns.
///
/// That function looks for a byte of the state that is not zero. Rust-CUDA's compiler would keep the bytes in local memory. The
/// state is never zero, because consecutive numbers of `SplitMix64` differ.
#[inline(always)]
pub fn generator(seed: u64) -> Xoshiro128PlusPlus {
    let mut numbers = SplitMix64::seed_from_u64(seed);
    let state = [numbers.next_u64(), numbers.next_u64()];
    // SAFETY: the generator consists of its state, 16 bytes of which any are valid. `tests/random.rs` checks their order.
    unsafe { mem::transmute::<[u64; 2], Xoshiro128PlusPlus>(state) }
}

/// One of the samples that a warp works on at once.
struct Slot {
    /// The index of the sample in the launch. The slot is idle if the index is not below the number of samples.
    sample: usize,
    /// The number of tokens so far.
    position: usize,
    token: usize,
    rng: Xoshiro128PlusPlus,
}

impl Slot {
    #[inline(always)]
    fn new(args: &GenerateArgs, io: &Io, sample: usize) -> Self {
        let stream = args.first_sample.wrapping_add(sample as u64).wrapping_mul(STREAM);
        let rng = generator(args.seed.wrapping_add(stream));
        let (is_used, first) = (sample < args.samples as usize, sample * args.prompt_len as usize);
        Self { sample, position: 0, token: if is_used { io.prompt.load_scalar(first) } else { BOS }, rng }
    }
}

/// The input and the results of a launch.
#[derive(Clone, Copy)]
struct Io {
    prompt: U32View,
    out: U32View,
    logprobs: Option<View>,
}

impl Kernel for GenerateArgs {
    fn shape(&self) -> RuntimeShape {
        self.shape
    }

    /// Generates the samples in the slots of all warps.
    #[inline(always)]
    unsafe fn run<T: Target, S: Shape>(&self, grid: &Grid<T>, s: S) {
        let args = *self;
        grid.each_block(inline!(|block| {
            let (size, warps) = (Workspace::len(s, TOKENS), block.count * WARPS);
            let len = generate_workspace_len(s, WARPS, TOKENS, block.threads());
            // SAFETY: the caller vouches for pointers and lengths, and for a workspace for each block.
            let (model, work, io) = unsafe {
                let (model, work) = Gpt::stage(block, s, args.params, args.transposed, args.workspace, len);
                let samples = args.samples as usize;
                let (read, written) = (samples * args.prompt_len as usize, samples * s.block_size());
                let logprobs = (!args.logprobs.is_null()).then(|| View::new(args.logprobs, written));
                let prompt = U32View::new(args.prompt, read);
                (model, work, Io { prompt, out: U32View::new(args.out, written), logprobs })
            };
            let table = Table::new(s, work.at(WARPS * size), div(args.samples as usize, block.count));
            if let Some(table) = table {
                block.each_warp(inline!(move |warp| {
                    let Workspace { x, xn, rstd, .. } = Workspace::new(s, TOKENS, work.at(warp.index * size), 0);
                    table.fill(warp, &model, &RmsNorm { x, y: xn, rstd });
                }));
            }
            block.each_warp(inline!(move |warp| {
                let index = block.index * WARPS + warp.index;
                let (all, work) = (work, work.at(warp.index * size));
                // Few samples are spread over all warps.
                let mut slots: [Slot; TOKENS] = core::array::from_fn(|i| Slot::new(&args, &io, i * warps + index));
                while !block.is_stopped()
                    && let Some(last) = (0..TOKENS).rfind(|&i| slots[i].sample < args.samples as usize)
                {
                    if has_prompt_rows::<S>(TOKENS) {
                        let first = WARPS * size + Table::len(s, TOKENS);
                        let packed = all.at(first + warp.index * block.threads() * packed_len(s, TOKENS));
                        let reader = PromptReader { block, warp, model, work, packed, args: &args, io: &io };
                        for i in 0..=last {
                            reader.read(i, &mut slots[i]);
                        }
                    }
                    let s = s.rematerialize();
                    // With constant dimensions, idle slots cost less than branches around them.
                    let count = if S::IS_CONST { TOKENS } else { last + 1 };
                    let row = |slot: usize| Row { slot, position: slots[slot].position, token: slots[slot].token };
                    let rows = Rows::<TOKENS> { all: core::array::from_fn(row), count, has_logits: true };
                    decode(block, warp, &model, table, work, &rows);
                    advance(s, &args, &io, Workspace::new(s, TOKENS, work, 0).logits, &mut slots, warps * TOKENS);
                    warp.sync();
                }
            }));
        }));
    }
}

/// The reader of the prompts of a warp's slots.
struct PromptReader<'a, T, S> {
    block: &'a Block<T>,
    warp: &'a Warp,
    model: Gpt<S>,
    /// The warp's workspace.
    work: View,
    /// `[threads, 4C, 32]`: memory for columns, see [`packed_len`].
    packed: View,
    args: &'a GenerateArgs,
    io: &'a Io,
}

impl<T: Target, S: Shape> PromptReader<'_, T, S> {
    /// Reads the prompt of slot `index` if the slot begins a sample, and writes the prompt's tokens.
    ///
    /// The prompt's last token is left to the slot, because its successor is drawn. A short prompt is left to the slot as a
    /// whole, because the slots of a warp share each load of a weight.
    #[inline(always)]
    fn read(&self, index: usize, slot: &mut Slot) {
        if slot.position > 0 || slot.sample >= self.args.samples as usize {
            return;
        }
        let len = self.args.prompt_len as usize;
        let prompt = self.io.prompt.at(slot.sample * len);
        let known = (1..len).take_while(|&i| prompt.load_scalar(i) != BOS).count();
        if known < TOKEN_GROUP {
            return;
        }
        for first in (0..known).step_by(PROMPT_ROWS) {
            let count = PROMPT_ROWS.min(known - first);
            // The rows after the last one repeat it.
            let row = |i: usize| {
                let position = first + i.min(count - 1);
                Row { slot: index, position, token: prompt.load_scalar(position) }
            };
            let rows = Rows { all: core::array::from_fn(row), count, has_logits: self.io.logprobs.is_some() };
            self.block.outlined(inline!(|| self.pass(&rows, slot.sample, prompt.at(first + 1))));
        }
        (slot.position, slot.token) = (known, prompt.load_scalar(known));
    }

    /// Takes rows of a sample through the model, and writes the tokens `next` that follow them.
    #[inline(always)]
    fn pass(&self, rows: &Rows<PROMPT_ROWS>, sample: usize, next: U32View) {
        let &Self { block, warp, model, work, io, .. } = self;
        let (s, Workspace { logits, .. }) = (model.s, Workspace::new(model.s, TOKENS, work, 0));
        decode(block, warp, &Gpt { packed: Some(self.packed), ..model }, None, work, rows);
        let first = sample * s.block_size() + rows.all[0].position;
        for i in 0..rows.count {
            let token = next.load_scalar(i);
            io.out.store_scalar(first + i, token);
            if let Some(logprobs) = io.logprobs {
                let logits = logits.at(i * s.vocab_padded());
                logprobs.store_scalar(first + i, sample::log_probability(s, logits, token));
            }
        }
        warp.sync();
    }
}

/// Draws the next token of every slot or takes the prompt's, and writes it. A sample's end moves its slot on by `stride` samples.
#[inline(always)]
fn advance<S: Shape>(s: S, args: &GenerateArgs, io: &Io, logits: View, slots: &mut [Slot; TOKENS], stride: usize) {
    let (mut uniform, mut drawn) = ([0.0; TOKENS], [None; TOKENS]);
    let is_prompt = |slot: &Slot| slot.position + 1 < args.prompt_len as usize;
    let logits: [View; TOKENS] = core::array::from_fn(|i| logits.at(i * s.vocab_padded()));
    let mut has_draws = false;
    for slot in slots.iter() {
        has_draws |= slot.sample < args.samples as usize && !is_prompt(slot);
    }
    if has_draws {
        for i in 0..TOKENS {
            if !is_prompt(&slots[i]) {
                uniform[i] = (slots[i].rng.next_u32() >> 8) as f32 / 16_777_216.0;
            }
        }
        drawn = sample::draw(s, logits, &args.sampling, uniform);
    }
    for i in 0..TOKENS {
        let slot = &mut slots[i];
        if slot.sample >= args.samples as usize {
            continue;
        }
        if is_prompt(slot) {
            let next = slot.sample * args.prompt_len as usize + slot.position + 1;
            drawn[i] = Some(io.prompt.load_scalar(next));
        }
        slot.token = drawn[i].unwrap_or(BOS);
        let at = slot.sample * s.block_size() + slot.position;
        io.out.store_scalar(at, drawn[i].unwrap_or(NO_TOKEN));
        if let Some(logprobs) = io.logprobs {
            logprobs.store_scalar(at, sample::log_probability(s, logits[i], slot.token));
        }
        slot.position += 1;
        if slot.token == BOS || slot.position == s.block_size() {
            *slot = Slot::new(args, io, slot.sample + stride);
        }
    }
}
