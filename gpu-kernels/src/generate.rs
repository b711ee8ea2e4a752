//! The sampling kernel. It generates whole samples on the device, with cached keys and values.

use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use simt::{Grid, HALF_WARP, Target, U32View, View, WARPS, Warp, inline, round_up};

use crate::kernel::Kernel;
use crate::layout::Layout;
use crate::model::Gpt;
use crate::ops::attention::{self, Query};
use crate::ops::embed::{self, Inputs};
use crate::ops::linear;
use crate::ops::rmsnorm::{self, RmsNorm};
use crate::ops::{Tokens, mlp, sample};
use crate::shape::{RuntimeShape, Shape, TOKENS};

/// The token that begins and ends every document.
pub const BOS: usize = 0;

/// The distance between the seeds of a run's samples, which is the golden ratio in 64 bits.
const STREAM: u64 = 0x9e37_79b9_7f4a_7c15;

/// The arguments of `generate`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct GenerateArgs {
    /// The parameters, padded, `Layout::len` elements.
    pub params: *mut f32,
    /// The transposed copies of the matrices, `Layout::len` elements.
    pub params_transposed: *mut f32,
    /// The workspace, [`generate_workspace_len`] elements for each block of the grid, zero before the first launch.
    pub workspace: *mut f32,
    /// `[samples, block_size]`: the tokens of each sample, then `<BOS>` if the sample is shorter, written.
    pub out: *mut u32,
    /// `[samples, block_size]`: the log-probability of each token in `out`, up to the `<BOS>` that ends a sample,
    /// written. A null pointer asks for none.
    pub logprobs: *mut f32,
    /// The `prompt_len` tokens that each sample starts with.
    pub prompt: *const u32,
    /// The seed of the random streams.
    pub seed: u64,
    /// The index of the first sample. Sample `i` draws from stream `(seed, i)`.
    pub first_sample: u64,
    /// The number of samples.
    pub samples: u32,
    /// The number of tokens of the prompt, fewer than `block_size`.
    pub prompt_len: u32,
    /// The number of likeliest tokens that are drawn from, at most V.
    pub top_k: u32,
    /// The inverse of the temperature. Zero is greedy.
    pub inverse_temperature: f32,
    /// The model's dimensions.
    pub shape: RuntimeShape,
}

// The host and the PTX must agree on the struct's layout. (Pointers are narrower in WebAssembly.)
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<GenerateArgs>() == 104);

/// Returns the random stream of sample `sample`.
#[inline(always)]
pub fn stream(seed: u64, sample: u64) -> Xoshiro128PlusPlus {
    Xoshiro128PlusPlus::seed_from_u64(seed.wrapping_add(sample.wrapping_mul(STREAM)))
}

/// Draws the next value of a stream, uniform in `[0, 1)`.
#[inline(always)]
pub fn uniform(rng: &mut Xoshiro128PlusPlus) -> f32 {
    (rng.next_u32() >> 8) as f32 / 16_777_216.0
}

/// A warp's part of the workspace, with rows for `tokens` samples and their cached keys and values. Fields are offsets
/// in elements.
#[derive(Clone, Copy)]
struct Workspace {
    x: usize,
    rstd: usize,
    xn: usize,
    q: usize,
    probs: usize,
    attn: usize,
    h2: usize,
    logits: usize,
    /// `[L, tokens, T, A]`.
    keys: usize,
    /// `[L, tokens, T, A]`.
    values: usize,
    len: usize,
}

impl Workspace {
    #[inline(always)]
    fn new<S: Shape>(s: S, tokens: usize) -> Self {
        let rstd = tokens * s.n_embd_padded();
        let xn = rstd + round_up(tokens, HALF_WARP);
        let q = xn + tokens * s.n_embd_padded();
        let probs = q + tokens * s.n_attn_padded();
        let attn = probs + attention::query_probs_len(s);
        let h2 = attn + tokens * s.n_attn_padded();
        let logits = h2 + tokens * s.n_hidden_padded();
        let keys = logits + tokens * s.vocab_padded();
        let cache = s.n_layer() * tokens * s.block_size_padded() * s.n_attn_padded();
        Self { x: 0, rstd, xn, q, probs, attn, h2, logits, keys, values: keys + cache, len: keys + 2 * cache }
    }

    /// Returns the offset of slot `slot` in the cached keys or values of layer `l`.
    #[inline(always)]
    fn cache<S: Shape>(s: S, l: usize, slot: usize) -> usize {
        (l * TOKENS + slot) * s.block_size_padded() * s.n_attn_padded()
    }
}

/// Returns the number of elements in a block's workspace, for `warps` warps that take `tokens` tokens at once.
#[inline(always)]
pub fn generate_workspace_len<S: Shape>(s: S, warps: usize, tokens: usize) -> usize {
    warps * Workspace::new(s, tokens).len
}

/// One of the samples that a warp works on at once.
struct Slot {
    /// The index of the sample in the launch. From the number of samples on, the slot is idle.
    sample: usize,
    /// The number of tokens so far.
    position: usize,
    token: usize,
    rng: Xoshiro128PlusPlus,
}

impl Slot {
    #[inline(always)]
    fn new(args: &GenerateArgs, sample: usize) -> Self {
        let rng = stream(args.seed, args.first_sample.wrapping_add(sample as u64));
        Self { sample, position: 0, token: BOS, rng }
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

    /// Generates the samples in the slots of all warps. A slot whose sample has ended takes the next sample.
    #[inline(always)]
    unsafe fn run<T: Target, S: Shape>(&self, grid: &Grid<T>, s: S) {
        let args = *self;
        grid.each_block(inline!(|block| {
            let (len, size) = (Layout(s).len(), Workspace::new(s, TOKENS).len);
            let mut memory = block.memory();
            // SAFETY: the caller vouches for pointers and lengths, and for `WARPS * size` elements of workspace a block.
            let (w, transposed, work, io) = unsafe {
                let written = args.samples as usize * s.block_size();
                let logprobs = (!args.logprobs.is_null()).then(|| View::new(args.logprobs, written));
                (
                    memory.staged(args.params, len),
                    memory.staged(args.params_transposed, len),
                    memory.workspace(args.workspace.wrapping_add(block.index * WARPS * size), WARPS * size),
                    Io { prompt: U32View::new(args.prompt), out: U32View::new(args.out), logprobs },
                )
            };
            let model = Gpt { s, layout: Layout(s), w: w.view, transposed: transposed.view };
            block.each_warp(inline!(move |warp| {
                warp.fetch(&w);
                warp.fetch(&transposed);
                warp.fetch(&work);
            }));
            block.each_warp(inline!(move |warp| {
                let warps = block.count * WARPS;
                let index = block.index * WARPS + warp.index;
                let work = work.view.at(warp.index * size);
                let mut slots: [Slot; TOKENS] = core::array::from_fn(|slot| Slot::new(&args, index * TOKENS + slot));
                while slots.iter().any(|slot| slot.sample < args.samples as usize) {
                    decode(warp, &model, work, &slots);
                    for (i, slot) in slots.iter_mut().enumerate() {
                        let logits = work.at(Workspace::new(s, TOKENS).logits + i * s.vocab_padded());
                        advance(s, &args, &io, logits, slot);
                        if slot.position == 0 {
                            *slot = Slot::new(&args, slot.sample + warps * TOKENS);
                        }
                    }
                    warp.sync();
                }
            }));
        }));
    }
}

/// Computes the logits of the next token of every slot.
#[inline(always)]
fn decode<S: Shape>(warp: &Warp, model: &Gpt<S>, work: View, slots: &[Slot; TOKENS]) {
    let (s, w, layout) = (model.s, Workspace::new(model.s, TOKENS), model.layout);
    let tokens = Tokens { first: 0, end: TOKENS };
    let (x, xn, rstd, h2) = (work.at(w.x), work.at(w.xn), work.at(w.rstd), work.at(w.h2));
    let mut inputs = Inputs { tokens: [0; TOKENS], positions: [0; TOKENS] };
    for (i, slot) in slots.iter().enumerate() {
        (inputs.tokens[i], inputs.positions[i]) = (slot.token, slot.position);
    }
    embed::forward(warp, s, &model.embedding(x, rstd), &inputs, 0);
    for l in 0..s.n_layer() {
        let tensors = layout.layer(l);
        rmsnorm::forward(warp, s, &RmsNorm { x, y: xn, rstd }, tokens);
        attend(warp, model, work, &inputs.positions, l);
        let attn = model.linear(work.at(w.attn), tensors.attn_wo);
        linear::accumulate(warp, s, &attn, tokens, x);
        rmsnorm::forward(warp, s, &RmsNorm { x, y: xn, rstd }, tokens);
        linear::forward(
            warp,
            s,
            &model.linear(xn, tensors.mlp_fc1),
            tokens,
            inline!(|t, i, u| {
                let h = mlp::forward(u);
                h2.store(t * s.n_hidden_padded() + i, h * h);
            }),
        );
        let fc2 = model.linear(h2, tensors.mlp_fc2);
        linear::accumulate(warp, s, &fc2, tokens, x);
    }
    linear::forward_into(warp, s, &model.linear(x, layout.model().wte), tokens, work.at(w.logits));
}

/// Computes the attention of every slot in layer `l`, and adds the slot's key and value to the cache.
#[inline(always)]
fn attend<S: Shape>(warp: &Warp, model: &Gpt<S>, work: View, positions: &[usize; TOKENS], l: usize) {
    let (s, w, a) = (model.s, Workspace::new(model.s, TOKENS), model.s.n_attn_padded());
    model.project_qkv(
        warp,
        l,
        work.at(w.xn),
        Tokens { first: 0, end: TOKENS },
        inline!(|which, slot, i, y| {
            let at = if which == 0 {
                w.q + slot * a
            } else {
                let cache = if which == 1 { w.keys } else { w.values };
                cache + Workspace::cache(s, l, slot) + positions[slot] * a
            };
            work.store(at + i, y);
        }),
    );
    for slot in 0..TOKENS {
        let cache = Workspace::cache(s, l, slot);
        let query = Query {
            q: work.at(w.q + slot * a),
            k: work.at(w.keys + cache),
            v: work.at(w.values + cache),
            probs: work.at(w.probs),
            group_stride: attention::query_group_len(s),
            attn: work.at(w.attn + slot * a),
        };
        attention::attend(warp, s, &query, positions[slot]);
    }
}

/// Draws a slot's next token, or takes it from the prompt, and writes it. A slot whose sample has ended is back at position 0.
#[inline(always)]
fn advance<S: Shape>(s: S, args: &GenerateArgs, io: &Io, logits: View, slot: &mut Slot) {
    if slot.sample >= args.samples as usize {
        return;
    }
    slot.token = if slot.position < args.prompt_len as usize {
        io.prompt.load_scalar(slot.position)
    } else {
        sample::draw(s, logits, args.top_k as usize, args.inverse_temperature, uniform(&mut slot.rng))
    };
    let at = slot.sample * s.block_size() + slot.position;
    io.out.store_scalar(at, slot.token);
    if let Some(logprobs) = io.logprobs {
        logprobs.store_scalar(at, sample::log_probability(s, logits, slot.token));
    }
    slot.position += 1;
    if slot.token == BOS || slot.position == s.block_size() {
        slot.position = 0;
    }
}
