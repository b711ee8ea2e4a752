//! The sampling kernel. It generates whole samples on the device, with cached keys and values.

use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use simt::{Grid, HALF_WARP, Target, U32View, View, WARPS, Warp, div, inline, round_up};

use crate::activations::{Heads, query_group_len};
use crate::kernel::Kernel;
use crate::layout::Layout;
use crate::model::Gpt;
use crate::ops::attention::{self, Query};
use crate::ops::rmsnorm::RmsNorm;
use crate::ops::sample::SamplingParams;
use crate::ops::{Tokens, embed, linear, sample};
use crate::shape::{RuntimeShape, Shape, TOKENS};

mod table;

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
    /// The workspace, [`generate_workspace_len`] elements for each block of the grid, zero before the first launch.
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
    /// The model's dimensions.
    pub shape: RuntimeShape,
}

buffers! {
    /// A warp's part of the workspace, with rows for `tokens` samples, and a layer's cached keys and values.
    struct Workspace(s, tokens)
    model {
    x: tokens * s.n_embd_padded(),
    rstd: round_up(tokens, HALF_WARP),
    xn: tokens * s.n_embd_padded(),
    q: tokens * s.n_attn_padded(),
    probs: Heads::new(s).groups * query_group_len(s),
    attn: tokens * s.n_attn_padded(),
    h2: tokens * s.n_hidden_padded(),
    logits: tokens * s.vocab_padded(),
    }
    layer {
    /// `[tokens, T, A]`.
    keys: tokens * cache_len(s),
    /// `[tokens, T, A]`.
    values: tokens * cache_len(s),
    }
}

/// Returns the number of elements in one sample's cached keys or values of one layer.
fn cache_len<S: Shape>(s: S) -> usize {
    s.block_size_padded() * s.n_attn_padded()
}

/// Returns the number of elements in a block's workspace, for `warps` warps that take `tokens` tokens at once.
pub fn generate_workspace_len<S: Shape>(s: S, warps: usize, tokens: usize) -> usize {
    warps * Workspace::len(s, tokens) + Table::len(s, tokens)
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
        let rng = Xoshiro128PlusPlus::seed_from_u64(args.seed.wrapping_add(stream));
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
            let (size, stride) = (Workspace::len(s, TOKENS), block.count * WARPS * TOKENS);
            let len = generate_workspace_len(s, WARPS, TOKENS);
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
                let work = work.at(warp.index * size);
                let mut slots: [Slot; TOKENS] = core::array::from_fn(|i| Slot::new(&args, &io, index * TOKENS + i));
                while !block.is_stopped()
                    && let Some(last) = slots.iter().rposition(|slot| slot.sample < args.samples as usize)
                {
                    // With constant dimensions, idle slots cost less than branches around them.
                    let tokens = Tokens { first: 0, end: if S::IS_CONST { TOKENS } else { last + 1 } };
                    let s = s.rematerialize();
                    decode(warp, &model, table, work, &slots, tokens);
                    advance(s, &args, &io, Workspace::new(s, TOKENS, work, 0).logits, &mut slots, stride);
                    warp.sync();
                }
            }));
        }));
    }
}

/// Returns the model and the workspace of layer `l` for one op. Their places are computed where the op uses them, see
/// [`Shape::rematerialize`].
#[inline(always)]
fn op<S: Shape>(model: &Gpt<S>, work: View, l: usize) -> (Gpt<S>, Workspace) {
    let s = model.s.rematerialize();
    (Gpt { s, ..*model }, Workspace::new(s, TOKENS, work, s.rematerialize_index(l)))
}

/// Computes the logits of the next token of the slots `tokens`, and adds their keys and values to the cache.
#[inline(always)]
fn decode<S: Shape>(
    warp: &Warp,
    model: &Gpt<S>,
    table: Option<Table>,
    work: View,
    slots: &[Slot; TOKENS],
    tokens: Tokens,
) {
    let positions = slots.each_ref().map(|slot| slot.position);
    // The places of a slot's query, key and value, `which` 0, 1, 2.
    let place = |s: S, views: &Workspace, which: usize, slot: usize| {
        let (a, cached) = (s.n_attn_padded(), slot * cache_len(s) + positions[slot] * s.n_attn_padded());
        match which {
            0 => views.q.at(slot * a),
            1 => views.keys.at(cached),
            _ => views.values.at(cached),
        }
    };
    let (at_op, views) = op(model, work, 0);
    let s = at_op.s;
    if let Some(table) = table {
        for slot in 0..TOKENS {
            let row = table.row(s, slots[slot].token, positions[slot]);
            row.copy_x(views.x.at(slot * s.n_embd_padded()));
            for which in 0..3 {
                row.copy_qkv(which, place(s, &views, which, slot));
            }
        }
        warp.sync();
    } else {
        let embedding = at_op.embedding(slots.each_ref().map(|slot| slot.token), positions);
        embed::forward(warp, s, &embedding, views.rstd, 0, |at, sum| views.x.store(at, sum));
    }
    for l in 0..model.s.n_layer() {
        if l > 0 || table.is_none() {
            let (at_op, views) = op(model, work, l);
            let norm = RmsNorm { x: views.x, y: views.xn, rstd: views.rstd };
            at_op.project_qkv(
                warp,
                l,
                &norm,
                tokens,
                inline!(|which, slot, i, y| y.store(place(at_op.s, &views, which, slot), i)),
            );
        }
        for slot in 0..TOKENS {
            let (Gpt { s, .. }, Workspace { q, keys, values, probs, attn, .. }) = op(model, work, l);
            let (a, cached) = (s.n_attn_padded(), slot * cache_len(s));
            let (q, k, v, attn) = (q.at(slot * a), keys.at(cached), values.at(cached), attn.at(slot * a));
            let query = Query { q, k, v, probs, group_stride: query_group_len(s), attn };
            attention::attend(warp, s, &query, positions[slot]);
        }
        let (at_op, Workspace { x, attn, .. }) = op(model, work, l);
        let wo = Layout(at_op.s).layer(at_op.s.rematerialize_index(l)).attn_wo;
        linear::accumulate(warp, at_op.s, &at_op.linear(attn, wo), tokens, x);
        model.mlp(
            warp,
            l,
            inline!(|| {
                let (_, Workspace { x, xn, rstd, h2, .. }) = op(model, work, l);
                (RmsNorm { x, y: xn, rstd }, None, h2)
            }),
            tokens,
        );
    }
    let (at_op, Workspace { x, logits, .. }) = op(model, work, 0);
    linear::forward_into(warp, at_op.s, &at_op.linear(x, Layout(at_op.s).model().wte), tokens, logits);
}

/// Draws the next token of every slot or takes the prompt's, and writes it. A sample's end moves its slot on by `stride` samples.
#[inline(always)]
fn advance<S: Shape>(s: S, args: &GenerateArgs, io: &Io, logits: View, slots: &mut [Slot; TOKENS], stride: usize) {
    let (mut uniform, mut drawn) = ([0.0; TOKENS], [None; TOKENS]);
    let is_prompt = |slot: &Slot| slot.position + 1 < args.prompt_len as usize;
    let logits: [View; TOKENS] = core::array::from_fn(|i| logits.at(i * s.vocab_padded()));
    if slots.iter().any(|slot| slot.sample < args.samples as usize && !is_prompt(slot)) {
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
