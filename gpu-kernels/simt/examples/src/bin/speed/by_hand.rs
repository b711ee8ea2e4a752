//! The examples by intrinsics of AVX-512, as bounds of the kernels' times.
//!
//! The algorithms are those of the kernels, and `exp` has the operations of `simt::math::exp`, so that the results agree.
//! Lengths of rows are multiples of 64 elements.

#[allow(clippy::wildcard_imports, reason = "most lines have an intrinsic")]
use std::arch::x86_64::*;

/// The elements of a vector.
const LEN: usize = 16;

#[inline]
#[target_feature(enable = "avx512f")]
fn load(x: &[f32], i: usize) -> __m512 {
    debug_assert!(i + LEN <= x.len());
    // SAFETY: the callers stay within their slices, which debug builds check.
    unsafe { _mm512_loadu_ps(x.as_ptr().add(i)) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(x: &mut [f32], i: usize, value: __m512) {
    debug_assert!(i + LEN <= x.len());
    // SAFETY: as in `load`.
    unsafe { _mm512_storeu_ps(x.as_mut_ptr().add(i), value) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_u32(x: &[u32], i: usize) -> __m512i {
    debug_assert!(i + LEN <= x.len());
    // SAFETY: as in `load`.
    unsafe { _mm512_loadu_si512(x.as_ptr().add(i).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_u32(x: &mut [u32], i: usize, value: __m512i) {
    debug_assert!(i + LEN <= x.len());
    // SAFETY: as in `load`.
    unsafe { _mm512_storeu_si512(x.as_mut_ptr().add(i).cast(), value) }
}

#[target_feature(enable = "avx512f")]
pub fn saxpy(a: f32, x: &[f32], y: &mut [f32]) {
    let a = _mm512_set1_ps(a);
    for i in (0..x.len()).step_by(4 * LEN) {
        for i in [i, i + LEN, i + 2 * LEN, i + 3 * LEN] {
            store(y, i, _mm512_fmadd_ps(a, load(x, i), load(y, i)));
        }
    }
}

/// Sums up each chunk of `chunk` elements.
#[target_feature(enable = "avx512f")]
pub fn reduction(x: &[f32], chunk: usize, sums: &mut [f32]) {
    for (x, sum) in x.chunks(chunk).zip(sums) {
        let mut totals = [_mm512_setzero_ps(); 8];
        for i in (0..chunk).step_by(8 * LEN) {
            for (j, total) in totals.iter_mut().enumerate() {
                *total = _mm512_add_ps(*total, load(x, i + j * LEN));
            }
        }
        *sum = totals.into_iter().map(|total| _mm512_reduce_add_ps(total)).sum();
    }
}

#[target_feature(enable = "avx512f")]
pub fn scan(x: &mut [u32]) {
    let (zero, last) = (_mm512_setzero_si512(), _mm512_set1_epi32(LEN as i32 - 1));
    let mut before = zero;
    for i in (0..x.len()).step_by(LEN) {
        let mut sums = load_u32(x, i);
        sums = _mm512_add_epi32(sums, _mm512_alignr_epi32::<15>(sums, zero));
        sums = _mm512_add_epi32(sums, _mm512_alignr_epi32::<14>(sums, zero));
        sums = _mm512_add_epi32(sums, _mm512_alignr_epi32::<12>(sums, zero));
        sums = _mm512_add_epi32(sums, _mm512_alignr_epi32::<8>(sums, zero));
        sums = _mm512_add_epi32(sums, before);
        store_u32(x, i, sums);
        before = _mm512_permutexvar_epi32(last, sums);
    }
}

/// Transposes 16 by 16 elements, from the index `from` of `x` to the index `to` of `y`.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_block(x: &[f32], from: usize, columns: usize, y: &mut [f32], to: usize, rows: usize) {
    let mut a = [_mm512_setzero_ps(); LEN];
    for i in 0..LEN {
        a[i] = load(x, from + i * columns);
    }
    let mut b = a;
    for i in (0..LEN).step_by(2) {
        (b[i], b[i + 1]) = (_mm512_unpacklo_ps(a[i], a[i + 1]), _mm512_unpackhi_ps(a[i], a[i + 1]));
    }
    for i in (0..LEN).step_by(4) {
        for j in 0..2 {
            let (low, high) = (_mm512_castps_pd(b[i + j]), _mm512_castps_pd(b[i + j + 2]));
            a[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
            a[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
        }
    }
    for j in 0..4 {
        let (even, odd) = (
            [_mm512_shuffle_f32x4::<0x88>(a[j], a[4 + j]), _mm512_shuffle_f32x4::<0x88>(a[8 + j], a[12 + j])],
            [_mm512_shuffle_f32x4::<0xdd>(a[j], a[4 + j]), _mm512_shuffle_f32x4::<0xdd>(a[8 + j], a[12 + j])],
        );
        store(y, to + j * rows, _mm512_shuffle_f32x4::<0x88>(even[0], even[1]));
        store(y, to + (4 + j) * rows, _mm512_shuffle_f32x4::<0x88>(odd[0], odd[1]));
        store(y, to + (8 + j) * rows, _mm512_shuffle_f32x4::<0xdd>(even[0], even[1]));
        store(y, to + (12 + j) * rows, _mm512_shuffle_f32x4::<0xdd>(odd[0], odd[1]));
    }
}

#[target_feature(enable = "avx512f")]
pub fn transpose(x: &[f32], y: &mut [f32], rows: usize, columns: usize) {
    for row in (0..rows).step_by(LEN) {
        for column in (0..columns).step_by(LEN) {
            transpose_block(x, row * columns + column, columns, y, column * rows + row, rows);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn exp(x: __m512) -> __m512 {
    let splat = |x: f32| _mm512_set1_ps(x);
    let (x, round) = (_mm512_min_ps(splat(88.5), _mm512_max_ps(splat(-40.0), x)), splat(12_582_912.0));
    let rounded = _mm512_fmadd_ps(x, splat(std::f32::consts::LOG2_E), round);
    let n = _mm512_sub_ps(rounded, round);
    let r = _mm512_fmadd_ps(n, splat(-0.691_406_25), x);
    let r = _mm512_fmadd_ps(n, splat(-0.001_740_930_6), r);
    let mut p = splat(0.001_381_454);
    for coefficient in [0.008_368_745, 0.041_668_39, 0.166_665_21, 0.499_999_94, 1.0, 1.0] {
        p = _mm512_fmadd_ps(p, r, splat(coefficient));
    }
    let shifted = _mm512_slli_epi32::<23>(_mm512_castps_si512(rounded));
    let two_to_n = _mm512_add_epi32(shifted, _mm512_set1_epi32(1.0f32.to_bits().cast_signed()));
    _mm512_mul_ps(p, _mm512_castsi512_ps(two_to_n))
}

/// Replaces each row by its softmax, with the maximum and the sum in one pass.
#[target_feature(enable = "avx512f")]
pub fn softmax(x: &mut [f32], columns: usize) {
    for row in x.chunks_mut(columns) {
        let (mut max, mut sum) = (_mm512_set1_ps(f32::MIN), _mm512_setzero_ps());
        for i in (0..columns).step_by(4 * LEN) {
            let values = [load(row, i), load(row, i + LEN), load(row, i + 2 * LEN), load(row, i + 3 * LEN)];
            let largest = _mm512_max_ps(_mm512_max_ps(values[0], values[1]), _mm512_max_ps(values[2], values[3]));
            let new_max = _mm512_max_ps(max, largest);
            sum = _mm512_mul_ps(sum, exp(_mm512_sub_ps(max, new_max)));
            for value in values {
                sum = _mm512_add_ps(sum, exp(_mm512_sub_ps(value, new_max)));
            }
            max = new_max;
        }
        let row_max = _mm512_set1_ps(_mm512_reduce_max_ps(max));
        let sum = _mm512_reduce_add_ps(_mm512_mul_ps(sum, exp(_mm512_sub_ps(max, row_max))));
        let scale = _mm512_set1_ps(1.0 / sum);
        for i in (0..columns).step_by(LEN) {
            store(row, i, _mm512_mul_ps(exp(_mm512_sub_ps(load(row, i), row_max)), scale));
        }
    }
}

/// Counts in four tables, so that an addition seldom waits for the last one to the same bin.
#[target_feature(enable = "avx512f")]
pub fn histogram(x: &[f32], counts: &mut [u32; 256]) {
    let mut tables = [[0; 256]; 4];
    let (mut bins, width) = ([0; LEN], _mm512_set1_ps(256.0));
    for i in (0..x.len()).step_by(LEN) {
        store_u32(&mut bins, 0, _mm512_cvttps_epi32(_mm512_mul_ps(load(x, i), width)));
        for (j, bin) in bins.iter().enumerate() {
            tables[j % 4][(bin & 255) as usize] += 1;
        }
    }
    for (bin, count) in counts.iter_mut().enumerate() {
        *count += tables.iter().map(|table| table[bin]).sum::<u32>();
    }
}

/// The rows of queries that share loads of keys and values.
const QUERIES: usize = 4;

/// Adds the products of [`QUERIES`] rows of `a` and 32 columns of `b`, both with rows of 32 elements.
#[inline]
#[target_feature(enable = "avx512f")]
fn add_product(sums: &mut [[__m512; 2]; QUERIES], a: &[f32], b: &[f32]) {
    for step in 0..32 {
        let b = [load(b, step * 32), load(b, step * 32 + LEN)];
        for i in 0..QUERIES {
            let a = _mm512_set1_ps(a[i * 32 + step]);
            for j in 0..2 {
                sums[i][j] = _mm512_fmadd_ps(a, b[j], sums[i][j]);
            }
        }
    }
}

/// Computes causal attention of 32 channels. `transposed` has the length of the keys.
#[target_feature(enable = "avx512f")]
pub fn attention(queries: &[f32], keys: &[f32], values: &[f32], transposed: &mut [f32], output: &mut [f32]) {
    for (keys, transposed) in keys.chunks(32 * 32).zip(transposed.chunks_mut(32 * 32)) {
        transpose(keys, transposed, 32, 32);
    }
    let (zero, lanes) = ([_mm512_setzero_ps(); 2], [0xffff_ffff_u32; 32]);
    for query in (0..queries.len() / 32).step_by(QUERIES) {
        let (mut max, mut sum, mut mean) = ([f32::MIN; QUERIES], [zero; QUERIES], [zero; QUERIES]);
        for first in (0..query + QUERIES).step_by(32) {
            let mut scores = [zero; QUERIES];
            add_product(&mut scores, &queries[query * 32..], &transposed[first * 32..]);
            let mut weights = [0.0; QUERIES * 32];
            for i in 0..QUERIES {
                let seen = lanes[0].checked_shr(31_u32.saturating_sub((query + i - first) as u32)).unwrap_or(0);
                let masks = [seen as u16, (seen >> 16) as u16];
                let largest =
                    |j: usize| _mm512_mask_max_ps(_mm512_set1_ps(max[i]), masks[j], scores[i][j], scores[i][j]);
                let new_max = max[i].max(_mm512_reduce_max_ps(_mm512_max_ps(largest(0), largest(1))));
                let scale = exp(_mm512_set1_ps(max[i] - new_max));
                for j in 0..2 {
                    let weight = exp(_mm512_sub_ps(scores[i][j], _mm512_set1_ps(new_max)));
                    let weight = _mm512_maskz_mov_ps(masks[j], weight);
                    sum[i][j] = _mm512_fmadd_ps(sum[i][j], scale, weight);
                    mean[i][j] = _mm512_mul_ps(mean[i][j], scale);
                    store(&mut weights, i * 32 + j * LEN, weight);
                }
                max[i] = new_max;
            }
            add_product(&mut mean, &weights, &values[first * 32..]);
        }
        for i in 0..QUERIES {
            let sum = _mm512_set1_ps(_mm512_reduce_add_ps(_mm512_add_ps(sum[i][0], sum[i][1])));
            for j in 0..2 {
                store(output, (query + i) * 32 + j * LEN, _mm512_div_ps(mean[i][j], sum));
            }
        }
    }
}

#[target_feature(enable = "avx512f")]
pub fn life(cells: &[u32], next: &mut [u32], width: usize) {
    let (height, splat) = (cells.len() / width, |x| _mm512_set1_epi32(x));
    for row in 0..height {
        let near_rows = [(row + height - 1) % height, row, (row + 1) % height];
        for column in (0..width).step_by(LEN) {
            let mut sum = splat(0);
            for near_row in near_rows {
                let near = &cells[near_row * width..][..width];
                let middle = load_u32(near, column);
                let left = if column > 0 {
                    load_u32(near, column - 1)
                } else {
                    _mm512_alignr_epi32::<15>(middle, splat(near[width - 1].cast_signed()))
                };
                let right = if column + LEN < width {
                    load_u32(near, column + 1)
                } else {
                    _mm512_alignr_epi32::<1>(splat(near[0].cast_signed()), middle)
                };
                sum = _mm512_add_epi32(_mm512_add_epi32(sum, left), _mm512_add_epi32(middle, right));
            }
            let lived = _mm512_cmpeq_epi32_mask(load_u32(cells, row * width + column), splat(1));
            let lives = _mm512_cmpeq_epi32_mask(sum, splat(3)) | _mm512_cmpeq_epi32_mask(sum, splat(4)) & lived;
            store_u32(next, row * width + column, _mm512_maskz_mov_epi32(lives, splat(1)));
        }
    }
}
