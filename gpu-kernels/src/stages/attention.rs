//! Causal multi-head attention. A score is known to all lanes of its head, so that no lane needs another's.
//!
//! The half-warps take keys (going backward over queries: queries) in turns: the lower one the even, the upper one the
//! odd. A head narrower than a tile fills a group of its lanes; a wider one takes several tiles.

use crate::math::exp;
use crate::shape::{Shape, TILE, div};
use crate::simt::{F32x16, F32x32, TOKENS, Tile};

/// How heads lie in the tiles of a row.
#[derive(Clone, Copy)]
struct Heads {
    /// Channels that share a score within a tile.
    width: usize,
    /// Tiles of a head.
    tiles: usize,
    /// Groups of `tiles` tiles in a row.
    groups: usize,
}

impl Heads {
    #[inline(always)]
    fn of<S: Shape>(s: S) -> Self {
        let tiles = s.head_dim_padded().div_ceil(TILE);
        Self { width: s.head_dim_padded().min(TILE), tiles, groups: div(s.n_attn_padded() / TILE, tiles) }
    }
}

/// Where the probabilities of query `t` begin: pairs of keys `(s, s + 1)` up to `t`, 16 lanes a key, one row of pairs
/// after the other; head groups are apart by all pairs of all queries.
#[inline(always)]
pub fn probs_row(t: usize) -> usize {
    t.div_ceil(2) * (t / 2 + 1) * 2 * TILE
}

/// Where the probability of head `h`, query `t` and key `key <= t` lies among those of a document.
pub fn prob_index<S: Shape>(s: S, h: usize, t: usize, key: usize) -> usize {
    let (channel, heads) = (h * s.head_dim_padded(), Heads::of(s));
    let group = channel / TILE / heads.tiles;
    group * probs_row(s.block_size_padded()) + probs_row(t) + key * TILE + channel % TILE
}

/// Elements of the probabilities of a document.
#[inline(always)]
pub fn probs_len<S: Shape>(s: S) -> usize {
    Heads::of(s).groups * probs_row(s.block_size_padded())
}

/// Groups of heads that share a tile, or tiles that share a head.
#[inline(always)]
pub fn head_groups<S: Shape>(s: S) -> usize {
    Heads::of(s).groups
}

/// Elements of the probabilities of one query.
#[inline(always)]
pub fn query_probs_len<S: Shape>(s: S) -> usize {
    head_groups(s) * s.block_size_padded() * TILE
}

/// The first keys of the pairs of keys that query `t` sees, with whether it sees the second one.
#[inline(always)]
fn key_pairs(t: usize) -> impl Iterator<Item = (usize, bool)> {
    (0..=t / 2).map(move |pair| (2 * pair, 2 * pair < t))
}

/// `attn[t] = sum_s softmax_s(q[t] k[s]) v[s]` over the keys `s <= t`, for one query and every head.
///
/// `q, attn: [A]` of this query; `k, v: [T, A]`; `probs: [pairs, 32]` of this query, head groups `group_stride` apart.
#[inline(always)]
pub fn attend<S: Shape>(
    s: S,
    q: Tile,
    (k, v): (Tile, Tile),
    (probs, group_stride): (Tile, usize),
    attn: Tile,
    t: usize,
) {
    let (a, heads) = (s.n_attn_padded(), Heads::of(s));
    for group in 0..heads.groups {
        let (p, first) = (probs.at(group * group_stride), group * heads.tiles * TILE);
        let mut max = F32x32::splat(f32::NEG_INFINITY);
        for (key, both) in key_pairs(t) {
            let mut score = F32x32::splat(0.0);
            for i in (0..heads.tiles).map(|tile| first + tile * TILE) {
                score = F32x32::broadcast(q.row(i)).mul_add(k.row_pair(key * a + i, a), score);
            }
            let score = score.group_sum(heads.width).upper_where(both, f32::NEG_INFINITY);
            p.set_row_pair(key * TILE, TILE, score);
            max = max.max(score);
        }
        let max = F32x32::broadcast(max.max_halves());
        let mut sum = F32x32::splat(0.0);
        for (key, both) in key_pairs(t) {
            let e = (p.row_pair(key * TILE, TILE) - max).map(exp).upper_where(both, 0.0);
            p.set_row_pair(key * TILE, TILE, e);
            sum = sum + e;
        }
        let scale = F32x32::broadcast(F32x16::splat(1.0) / sum.add_halves());
        for (key, _) in key_pairs(t) {
            p.set_row_pair(key * TILE, TILE, p.row_pair(key * TILE, TILE) * scale);
        }
        for i in (0..heads.tiles).map(|tile| first + tile * TILE) {
            let mut sum = F32x32::splat(0.0);
            for (key, _) in key_pairs(t) {
                sum = p.row_pair(key * TILE, TILE).mul_add(v.row_pair(key * a + i, a), sum);
            }
            attn.set_row(i, sum.add_halves());
        }
    }
}

/// [`attend`] for the queries `t0 .. t0 + TOKENS` below `n`.
///
/// `q, k, v: [T, A]` -> `probs` (see [`probs_row`]), `attn: [T, A]`. The keys and values of every token are there: a
/// block barrier stands before.
#[inline(always)]
pub fn forward<S: Shape>(s: S, (q, k, v): (Tile, Tile, Tile), (probs, attn): (Tile, Tile), t0: usize, n: usize) {
    let a = s.n_attn_padded();
    let group_stride = probs_row(s.block_size_padded());
    for t in t0..n.min(t0 + TOKENS) {
        attend(s, q.at(t * a), (k, v), (probs.at(probs_row(t)), group_stride), attn.at(t * a), t);
    }
}

/// Of the queries: `dp[s] = dattn v[s]`, `dscore[s] = p[s] (dp[s] - sum_u p[u] dp[u])`, `dq = sum_s dscore[s] k[s] / sqrt(D)`.
///
/// `dattn, k, v: [T, A]`, `probs` -> `dscores` (laid out like `probs`), `dq: [T, A]`; queries `t0 .. t0 + TOKENS` below `n`.
#[inline(always)]
pub fn backward_queries<S: Shape>(
    s: S,
    dattn: Tile,
    (k, v, probs): (Tile, Tile, Tile),
    (dscores, dq): (Tile, Tile),
    t0: usize,
    n: usize,
) {
    let (a, heads) = (s.n_attn_padded(), Heads::of(s));
    let scale = F32x16::splat(query_scale(s));
    for t in t0..n.min(t0 + TOKENS) {
        for group in 0..heads.groups {
            let (row, first) = (group * probs_row(s.block_size_padded()) + probs_row(t), group * heads.tiles * TILE);
            let (p, ds) = (probs.at(row), dscores.at(row));
            let mut sum = F32x32::splat(0.0);
            for (key, _) in key_pairs(t) {
                let mut dp = F32x32::splat(0.0);
                for i in (0..heads.tiles).map(|tile| first + tile * TILE) {
                    dp = F32x32::broadcast(dattn.row(t * a + i)).mul_add(v.row_pair(key * a + i, a), dp);
                }
                let dp = dp.group_sum(heads.width);
                ds.set_row_pair(key * TILE, TILE, dp);
                sum = p.row_pair(key * TILE, TILE).mul_add(dp, sum);
            }
            let sum = F32x32::broadcast(sum.add_halves());
            for (key, _) in key_pairs(t) {
                let d = p.row_pair(key * TILE, TILE) * (ds.row_pair(key * TILE, TILE) - sum);
                ds.set_row_pair(key * TILE, TILE, d);
            }
            for i in (0..heads.tiles).map(|tile| first + tile * TILE) {
                let mut sum = F32x32::splat(0.0);
                for (key, _) in key_pairs(t) {
                    sum = ds.row_pair(key * TILE, TILE).mul_add(k.row_pair(key * a + i, a), sum);
                }
                dq.set_row(t * a + i, sum.add_halves() * scale);
            }
        }
    }
}

/// Of the keys and values: `dk[s] = sum_t dscore[t, s] q[t]`, `dv[s] = sum_t p[t, s] dattn[t]` over the queries `t >= s`.
///
/// `q` (scaled), `dattn: [T, A]`, `probs`, `dscores` -> `dk, dv: [T, A]`; keys `s0 .. s0 + TOKENS` below `n`. The
/// gradients of every query are there: a block barrier stands before.
#[inline(always)]
pub fn backward_keys<S: Shape>(
    s: S,
    (q, dattn): (Tile, Tile),
    (probs, dscores): (Tile, Tile),
    (dk, dv): (Tile, Tile),
    s0: usize,
    n: usize,
) {
    let (a, heads) = (s.n_attn_padded(), Heads::of(s));
    for key in s0..n.min(s0 + TOKENS) {
        for i in crate::stages::tiles(a) {
            let group = div(i / TILE, heads.tiles) * probs_row(s.block_size_padded());
            let (p, ds) = (probs.at(group + key * TILE), dscores.at(group + key * TILE));
            let (mut sum_k, mut sum_v) = (F32x32::splat(0.0), F32x32::splat(0.0));
            for t in (0..(n - key).div_ceil(2)).map(|pair| key + 2 * pair) {
                // The last pair may have no second query.
                let second = usize::from(t + 1 < n);
                let (row, next) = (probs_row(t), probs_row(t + second) - probs_row(t));
                let d = ds.row_pair(row, next).upper_where(second == 1, 0.0);
                let p = p.row_pair(row, next).upper_where(second == 1, 0.0);
                sum_k = d.mul_add(q.row_pair(t * a + i, second * a), sum_k);
                sum_v = p.mul_add(dattn.row_pair(t * a + i, second * a), sum_v);
            }
            dk.set_row(key * a + i, sum_k.add_halves());
            dv.set_row(key * a + i, sum_v.add_halves());
        }
    }
}

/// What queries are multiplied by: `1 / sqrt(D)`.
#[inline(always)]
pub fn query_scale<S: Shape>(s: S) -> f32 {
    1.0 / crate::simt::sqrt(s.head_dim() as f32)
}
