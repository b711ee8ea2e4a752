//! The principal components of an embedding, by which it is drawn in a plane.

/// The number of power iterations, after which the directions of a trained embedding no longer move visibly.
const ITERATIONS: usize = 200;

/// Two orthogonal directions of the space of channels.
pub(super) type Plane = [Vec<f64>; 2];

/// Returns the two directions in which the rows of `x: [rows, channels]` vary most. If there is a plane before, each
/// direction has the sign that is nearer to it, so that the picture does not flip.
pub(super) fn fit(x: &[f32], channels: usize, before: Option<&Plane>) -> Plane {
    let centred = centred(x, channels);
    let mut plane: Plane = [Vec::new(), Vec::new()];
    for i in 0..2 {
        // The start is not orthogonal to any direction that matters.
        let mut direction: Vec<f64> = (0..channels).map(|c| 1.0 + (7 * c + i) as f64 % 3.0).collect();
        for _ in 0..ITERATIONS {
            let mut next = vec![0.0; channels];
            for row in centred.chunks(channels) {
                let along = dot(row, &direction);
                for (sum, x) in next.iter_mut().zip(row) {
                    *sum += along * x;
                }
            }
            if i == 1 {
                let along = dot(&next, &plane[0]);
                for (sum, x) in next.iter_mut().zip(&plane[0]) {
                    *sum -= along * x;
                }
            }
            let norm = dot(&next, &next).sqrt();
            if norm > 0.0 {
                direction = next.iter().map(|x| x / norm).collect();
            }
        }
        if before.is_some_and(|before| dot(&before[i], &direction) < 0.0) {
            direction = direction.iter().map(|x| -x).collect();
        }
        plane[i] = direction;
    }
    plane
}

/// Returns the places of the rows of `x: [rows, channels]` in a plane, around their mean.
pub(super) fn project(x: &[f32], channels: usize, plane: &Plane) -> Vec<[f64; 2]> {
    centred(x, channels).chunks(channels).map(|row| [0, 1].map(|i| dot(row, &plane[i]))).collect()
}

/// Returns the rows minus their mean.
fn centred(x: &[f32], channels: usize) -> Vec<f64> {
    let rows = (x.len() / channels) as f64;
    let mean: Vec<f64> =
        (0..channels).map(|c| x.iter().skip(c).step_by(channels).map(|&x| f64::from(x)).sum::<f64>() / rows).collect();
    x.iter().enumerate().map(|(i, &x)| f64::from(x) - mean[i % channels]).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plane_holds_the_two_widest_directions_of_the_rows() {
        // The rows vary by 3 along (3, 0, 4) / 5, by 1 along the second axis, and by 0.1 along (-4, 0, 3) / 5.
        let row = |a: f32, b: f32, c: f32| [0.6 * a - 0.8 * c + 7.0, b - 1.0, 0.8 * a + 0.6 * c + 2.0];
        let rows = [(3.0, 1.0, 0.1), (3.0, -1.0, -0.1), (-3.0, 1.0, -0.1), (-3.0, -1.0, 0.1)];
        let x: Vec<f32> = rows.iter().flat_map(|&(a, b, c)| row(a, b, c)).collect();
        let plane = fit(&x, 3, None);
        let places = project(&x, 3, &plane);
        for ([x, y], (a, b, _)) in places.iter().zip(rows) {
            assert!((x.abs() - f64::from(a).abs()).abs() < 1e-5 && (y.abs() - f64::from(b).abs()).abs() < 1e-5);
        }
        let turned = [plane[0].iter().map(|x| -x).collect(), plane[1].clone()];
        let again = project(&x, 3, &fit(&x, 3, Some(&turned)));
        assert!(again.iter().zip(&places).all(|(a, b)| (a[0] + b[0]).abs() < 1e-9 && (a[1] - b[1]).abs() < 1e-9));
    }
}
