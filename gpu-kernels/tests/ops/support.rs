//! Tensors in the kernels' padded memory, the launch of one op, and the gradients that the op must agree with.

use gpu_kernels::ops::Tokens;
use gpu_kernels::shape::{RuntimeShape, Shape, TOKENS};
use reference::model::{Matrix, Vector};
use reference::value::{Tape, Value, dot};
use simt::{AnyCpu, Grid, HALF_WARP, View, Warp, round_up};

use crate::tensors::{assert_close, norm};
pub use crate::values::values;

/// The largest relative error of one rounding to `f32`.
pub const ROUNDING: f64 = 1.0 / 16_777_216.0;

/// The step of central differences. For functions of size 1, the truncation error is near `H^2` and the rounding error
/// is near `1e-16 / H`. The losses here are sums of some hundred such functions.
const H: f64 = 1e-5;
/// The bound of truncation and rounding error together.
const DIFFERENCES: f64 = 1e-8;

const fn shape(vocab: u32, block_size: u32, n_embd: u32, n_head: u32) -> RuntimeShape {
    RuntimeShape { vocab, block_size, n_embd, n_head, n_layer: 2 }
}

/// Returns each shape with one position, with a full block, and with one position less than a full block. Miri takes
/// seconds for a case, so it runs one that has the padding of all dimensions.
pub fn cases() -> impl Iterator<Item = (RuntimeShape, usize)> {
    let shapes = [
        // This is the default model.
        shape(27, 8, 16, 4),
        // Heads of 7 channels are padded to 8, so three heads take two half-warps. There are more than 256 tokens.
        shape(261, 5, 21, 3),
        // Heads of 17 channels take two half-warps each. There are two groups of tokens.
        shape(37, 9, 34, 2),
        // Heads of 3 channels are padded to 4. There are more positions than channels in a half-warp.
        shape(19, 17, 9, 3),
        // Each head has one channel, and the block has one position.
        shape(5, 1, 7, 7),
    ];
    let shapes = if cfg!(miri) { vec![shape(5, 2, 6, 2)] } else { shapes.to_vec() };
    shapes.into_iter().flat_map(|s| {
        let mut lengths = vec![1, s.block_size() - 1, s.block_size()];
        lengths.retain(|&n| n > 0);
        lengths.dedup();
        lengths.into_iter().map(move |n| (s, n))
    })
}

/// Returns the `n + 1` tokens of a document. Some tokens repeat, and the last token of the vocabulary occurs.
pub fn document(s: RuntimeShape, n: usize) -> Vec<u32> {
    let v = s.vocab() as u32;
    (0..=n as u32).map(|t| if t % 3 == 1 { v - 1 } else { (t * t + 2 * (t % 2)) % v }).collect()
}

pub fn to_f64(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

pub fn to_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

/// The places of a row's channels in memory.
#[derive(Clone, Copy)]
pub struct Channels {
    /// The number of channels without padding.
    pub count: usize,
    /// The number of channels with padding.
    pub padded: usize,
    /// The number of channels of a head. A head's channels are adjacent.
    head: usize,
    /// The stride of heads, in elements.
    head_padded: usize,
}

impl Channels {
    /// Returns the layout of a row whose channels are adjacent.
    pub fn plain(count: usize) -> Self {
        Self { count, padded: round_up(count, HALF_WARP), head: count, head_padded: count }
    }

    /// Returns the layout of a row of queries, keys or values, head by head.
    pub fn heads(s: RuntimeShape) -> Self {
        let (head, head_padded) = (s.head_dim(), s.head_dim_padded());
        Self { count: s.n_embd(), padded: s.n_attn_padded(), head, head_padded }
    }

    /// Returns the place of channel `i`.
    pub fn at(self, i: usize) -> usize {
        i / self.head * self.head_padded + i % self.head
    }
}

/// A tensor `[rows, channels]` in padded memory.
pub struct Padded {
    pub memory: Vec<f32>,
    channels: Channels,
}

impl Padded {
    /// Returns memory full of NaN, for an op to write.
    pub fn unwritten(rows: usize, channels: Channels) -> Self {
        Self { memory: vec![f32::NAN; rows * channels.padded], channels }
    }

    /// Returns the rows of `values` with zero padding, then rows full of `beyond`.
    pub fn new(rows: usize, channels: Channels, values: &[f32], beyond: f32) -> Self {
        let mut tensor = Self { memory: vec![beyond; rows * channels.padded], channels };
        for (t, values) in values.chunks(channels.count).enumerate() {
            let row = &mut tensor.memory[t * channels.padded..(t + 1) * channels.padded];
            row.fill(0.0);
            for (i, &value) in values.iter().enumerate() {
                row[channels.at(i)] = value;
            }
        }
        tensor
    }

    pub fn view(&mut self) -> View {
        view(&mut self.memory)
    }

    /// Returns the first `n` rows without padding, `[n, channels]`.
    ///
    /// # Panics
    /// If the padding of these rows is not zero.
    #[track_caller]
    pub fn rows(&self, what: &str, n: usize) -> Vec<f32> {
        let Channels { count, padded, .. } = self.channels;
        let mut rows = Vec::new();
        for (t, row) in self.memory.chunks(padded).take(n).enumerate() {
            let mut padding = row.to_vec();
            for i in 0..count {
                rows.push(std::mem::take(&mut padding[self.channels.at(i)]));
            }
            for (at, x) in padding.into_iter().enumerate() {
                assert!(x == 0.0, "{what}: the padding at [{t}, {at}]: expected 0, got {x:e}, bound 0");
            }
        }
        rows
    }

    /// Asserts that the first rows are `expected: [n, channels]` up to `roundings` roundings, and that their padding is
    /// zero.
    #[track_caller]
    pub fn assert_close(&self, what: &str, expected: &[f64], roundings: f64) {
        let got = self.rows(what, expected.len() / self.channels.count);
        assert_close(what, self.channels.count, &got, expected, roundings * ROUNDING * norm(expected));
    }
}

/// Returns memory with one value for each of `rows` tokens, first `values`, then NaN.
pub fn scalars(rows: usize, values: &[f32]) -> Vec<f32> {
    let mut memory = values.to_vec();
    memory.resize(round_up(rows, HALF_WARP), f32::NAN);
    memory
}

pub fn view(memory: &mut [f32]) -> View {
    // SAFETY: the memory outlives the launch, and the test accesses the memory only after the launch.
    unsafe { View::new(memory.as_mut_ptr(), memory.len()) }
}

/// Runs `work` in each warp of one block.
pub fn launch(work: impl Fn(&Warp)) {
    #[cfg(feature = "race-check")]
    {
        simt::race::launch();
        simt::race::set_warp_order(1);
    }
    Grid::new(0..1, 1, AnyCpu).each_block(|block| block.each_warp(&work));
}

/// Runs `op` for each group of tokens of a document of `n` positions.
pub fn launch_tokens(n: usize, op: impl Fn(&Warp, Tokens)) {
    launch(|warp| {
        for first in warp.block_stride_groups(TOKENS, n) {
            op(warp, Tokens { first, end: n });
        }
    });
}

/// Returns the values as leaves of a tape.
pub fn leaves<'t>(tape: &'t Tape, values: &[f64]) -> Vector<'t> {
    values.iter().map(|&x| tape.leaf(x)).collect()
}

pub fn data(values: &[Value]) -> Vec<f64> {
    values.iter().map(|value| value.data()).collect()
}

/// Splits a row-major matrix into the rows that the reference takes.
pub fn matrix<'t>(values: &[Value<'t>], cols: usize) -> Matrix<'t> {
    values.chunks(cols).map(<[_]>::to_vec).collect()
}

/// Returns `sum_i dy[i] y[i]`, a loss whose gradient with respect to `y` is `dy`.
pub fn weighted<'t>(tape: &'t Tape, y: &[Value<'t>], dy: &[f32]) -> Value<'t> {
    dot(y, &leaves(tape, &to_f64(dy)))
}

/// Applies a function of the reference to each row.
pub fn by_row(x: &[f32], cols: usize, f: impl for<'t> Fn(&'t Tape, &[Value<'t>]) -> Vector<'t>) -> Vec<f64> {
    let row = |row: &[f32]| {
        let tape = Tape::default();
        data(&f(&tape, &leaves(&tape, &to_f64(row))))
    };
    x.chunks(cols).flat_map(row).collect()
}

/// An input of an op, with the op's gradient with respect to this input.
pub struct Input<'a> {
    pub name: &'a str,
    pub cols: usize,
    pub values: &'a [f32],
    pub gradient: Vec<f32>,
}

/// Asserts that the gradients agree with those of `loss`, by the tape and by central differences, up to
/// `roundings` roundings.
#[track_caller]
pub fn assert_gradients(
    what: &str,
    inputs: &[Input],
    roundings: f64,
    loss: impl for<'t> Fn(&'t Tape, &[Vector<'t>]) -> Value<'t>,
) {
    let mut values: Vec<Vec<f64>> = inputs.iter().map(|input| to_f64(input.values)).collect();
    let tape = Tape::default();
    let tapes: Vec<Vector> = values.iter().map(|values| leaves(&tape, values)).collect();
    loss(&tape, &tapes).backward();
    for (i, input) in inputs.iter().enumerate() {
        let expected: Vec<f64> = tapes[i].iter().map(|leaf| leaf.grad()).collect();
        let bound = roundings * ROUNDING * norm(&expected);
        let name = format!("{what}: d{} by the tape", input.name);
        // If a gradient is zero by cancellation, the tape's gradient is the rounding error of `f64`.
        assert_close(name, input.cols, &input.gradient, &expected, bound + 1e-15);

        // In Miri the differences would take minutes, and none of them runs a kernel.
        if cfg!(miri) {
            continue;
        }
        let mut difference = |e: usize| {
            let x = values[i][e];
            let mut at = |moved: f64| {
                values[i][e] = moved;
                let tape = Tape::default();
                let inputs: Vec<Vector> = values.iter().map(|values| leaves(&tape, values)).collect();
                loss(&tape, &inputs).data()
            };
            let (above, below) = (at(x + H), at(x - H));
            values[i][e] = x;
            (above - below) / (2.0 * H)
        };
        let expected: Vec<f64> = (0..input.values.len()).map(&mut difference).collect();
        let name = format!("{what}: d{} by central differences", input.name);
        assert_close(name, input.cols, &input.gradient, &expected, bound + DIFFERENCES);
    }
}
