//! The sampling kernel: whole samples on the device, with cached keys and values, without a round trip to the host.

use rand_xoshiro::Xoshiro128PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::args::GenerateArgs;
use crate::layout::Layout;
use crate::model::Model;
use crate::shape::{Shape, TILE, div, round_up};
use crate::simt::{Grid, Ids, TOKENS, Target, Tile, WARPS, Warp};
use crate::stages::{attention, embed, linear, mlp, rmsnorm, sample, tiles};

/// The token that begins and ends every document.
pub const BOS: usize = 0;

/// Tells the random streams of a run's samples apart: the golden ratio in 64 bits.
const STREAM: u64 = 0x9e37_79b9_7f4a_7c15;

/// The random numbers of sample `sample`.
#[inline(always)]
pub fn stream(seed: u64, sample: u64) -> Xoshiro128PlusPlus {
    Xoshiro128PlusPlus::seed_from_u64(seed.wrapping_add(sample.wrapping_mul(STREAM)))
}

/// The next number of a stream, uniform in `[0, 1)`.
#[inline(always)]
pub fn uniform(rng: &mut Xoshiro128PlusPlus) -> f32 {
    (rng.next_u32() >> 8) as f32 / 16_777_216.0
}

/// A warp's part of the workspace: rows for `tokens` samples, and what they have seen so far.
#[derive(Clone, Copy)]
struct Workspace {
    x: usize,
    r: usize,
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
    fn of<S: Shape>(s: S, tokens: usize) -> Self {
        let r = tokens * s.n_embd_padded();
        let xn = r + round_up(tokens, TILE);
        let q = xn + tokens * s.n_embd_padded();
        let probs = q + tokens * s.n_attn_padded();
        let attn = probs + attention::query_probs_len(s);
        let h2 = attn + tokens * s.n_attn_padded();
        let logits = h2 + tokens * s.n_hidden_padded();
        let keys = logits + tokens * s.vocab_padded();
        let cache = s.n_layer() * tokens * s.block_size_padded() * s.n_attn_padded();
        Self { x: 0, r, xn, q, probs, attn, h2, logits, keys, values: keys + cache, len: keys + 2 * cache }
    }

    /// Where layer `l` keeps the keys or values of slot `i`.
    #[inline(always)]
    fn cache<S: Shape>(s: S, l: usize, slot: usize) -> usize {
        (l * TOKENS + slot) * s.block_size_padded() * s.n_attn_padded()
    }
}

/// Elements of the workspace of a block of `generate`, of `warps` warps that take `tokens` tokens at once.
#[inline(always)]
pub fn generate_workspace_len<S: Shape>(s: S, warps: usize, tokens: usize) -> usize {
    warps * Workspace::of(s, tokens).len
}

/// One of the samples that a warp works on at once.
struct Slot {
    /// Which of the launch's samples; beyond their number, the slot is idle.
    sample: usize,
    /// Tokens so far.
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

/// Generates `args.samples` samples, shared out among the slots of all warps; a slot that ends one takes the next.
///
/// # Safety
/// The pointers of `args` are valid for the lengths that [`GenerateArgs`] states for the grid's blocks, and nothing else
/// writes them meanwhile.
#[inline(always)]
pub unsafe fn generate<T: Target, S: Shape>(grid: &Grid<T>, s: S, args: &GenerateArgs) {
    let (args, len, size) = (*args, Layout(s).len(), Workspace::of(s, TOKENS).len);
    grid.each_block(
        #[inline(always)]
        |block| {
            let mut memory = block.memory();
            // SAFETY: the caller vouches for pointers and lengths, and for `WARPS` times `size` elements of workspace a
            // block.
            let (arrays, prompt, out, logprobs) = unsafe {
                let arrays = [
                    memory.resident(args.params, len),
                    memory.resident(args.params_transposed, len),
                    memory.scratch(args.workspace.wrapping_add(block.index * WARPS * size), WARPS * size),
                ];
                let written = args.samples as usize * s.block_size();
                let logprobs = (!args.logprobs.is_null()).then(|| Tile::new(args.logprobs, written));
                (arrays, Ids::new(args.prompt), Ids::new(args.out), logprobs)
            };
            let [w, transposed, work] = arrays.map(|array| array.tile);
            let model = Model { s, layout: Layout(s), w, transposed };
            block.each_warp(
                #[inline(always)]
                move |warp| {
                    for array in &arrays {
                        array.load(warp);
                    }
                },
            );
            block.each_warp(
                #[inline(always)]
                move |warp| {
                    let warps = block.count * WARPS;
                    let index = block.index * WARPS + warp.index;
                    let work = work.at(warp.index * size);
                    let mut slots: [Slot; TOKENS] =
                        core::array::from_fn(|slot| Slot::new(&args, index * TOKENS + slot));
                    while slots.iter().any(|slot| slot.sample < args.samples as usize) {
                        decode(warp, &model, work, &slots);
                        for (i, slot) in slots.iter_mut().enumerate() {
                            advance(s, &args, (prompt, out, logprobs), work, i, slot);
                            if slot.position == 0 {
                                *slot = Slot::new(&args, slot.sample + warps * TOKENS);
                            }
                        }
                        warp.sync();
                    }
                },
            );
        },
    );
}

/// The logits of the next token of every slot.
#[inline(always)]
fn decode<S: Shape>(warp: &Warp, model: &Model<S>, work: Tile, slots: &[Slot; TOKENS]) {
    let (s, w, layout) = (model.s, Workspace::of(model.s, TOKENS), model.layout);
    let (c, f, a, v) = (s.n_embd_padded(), s.n_hidden_padded(), s.n_attn_padded(), s.vocab_padded());
    let (x, xn, r) = (work.at(w.x), work.at(w.xn), work.at(w.r));
    let (mut tokens, mut positions) = ([0; TOKENS], [0; TOKENS]);
    for (i, slot) in slots.iter().enumerate() {
        (tokens[i], positions[i]) = (slot.token, slot.position);
    }
    embed::forward(s, (model.w.at(layout.wte()), model.w.at(layout.wpe())), (&tokens, &positions), (x, r), 0);
    warp.sync();
    for l in 0..s.n_layer() {
        rmsnorm::forward(s, x, (xn, r), 0);
        warp.sync();
        model.project_qkv(
            warp,
            l,
            xn,
            (0, TOKENS),
            #[inline(always)]
            |which, slot, i, y| {
                let at = if which == 0 {
                    w.q + slot * a
                } else {
                    let cache = if which == 1 { w.keys } else { w.values };
                    cache + Workspace::cache(s, l, slot) + positions[slot] * a
                };
                work.set_row(at + i, y);
            },
        );
        warp.sync();
        for slot in 0..TOKENS {
            let cache = Workspace::cache(s, l, slot);
            let (q, keys, values) = (work.at(w.q + slot * a), work.at(w.keys + cache), work.at(w.values + cache));
            let probs = (work.at(w.probs), div(attention::query_probs_len(s), attention::head_groups(s)));
            attention::attend(s, q, (keys, values), probs, work.at(w.attn + slot * a), positions[slot]);
        }
        warp.sync();
        model.add_product(warp, work.at(w.attn), model.forward_matrix(layout.attn_wo(l), c, a), x, (0, TOKENS));
        rmsnorm::forward(s, x, (xn, r), 0);
        warp.sync();
        for i in tiles(f) {
            let fc1 = model.forward_matrix(layout.mlp_fc1(l), f, c);
            linear::product(warp, s, xn, (0, TOKENS), fc1, i, |t, u| work.set_row(w.h2 + t * f + i, mlp::forward(u).1));
        }
        warp.sync();
        model.add_product(warp, work.at(w.h2), model.forward_matrix(layout.mlp_fc2(l), c, f), x, (0, TOKENS));
    }
    for i in tiles(v) {
        let wte = model.forward_matrix(layout.wte(), v, c);
        linear::product(warp, s, x, (0, TOKENS), wte, i, |t, y| work.set_row(w.logits + t * v + i, y));
    }
    warp.sync();
}

/// Draws a slot's next token, or takes that of the prompt, and writes it. A slot whose sample has ended is back at
/// position 0.
#[inline(always)]
fn advance<S: Shape>(
    s: S,
    args: &GenerateArgs,
    (prompt, out, logprobs): (Ids, Ids, Option<Tile>),
    work: Tile,
    i: usize,
    slot: &mut Slot,
) {
    if slot.sample >= args.samples as usize {
        return;
    }
    let logits = work.at(Workspace::of(s, TOKENS).logits + i * s.vocab_padded());
    slot.token = if slot.position < args.prompt_len as usize {
        prompt.get(slot.position)
    } else {
        sample::draw(s, logits, args.top_k as usize, args.inverse_temperature, uniform(&mut slot.rng))
    };
    let at = slot.sample * s.block_size() + slot.position;
    out.set(at, slot.token);
    if let Some(logprobs) = logprobs {
        logprobs.set(at, sample::log_probability(s, logits, slot.token));
    }
    slot.position += 1;
    if slot.token == BOS || slot.position == s.block_size() {
        slot.position = 0;
    }
}
