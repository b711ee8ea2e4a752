//! The gradients against central differences. A derivative is (f(x + h) - f(x - h)) / 2h, with a truncation error of
//! h^2 and a rounding error of 1e-16 / h. With h = 1e-5, both errors are near 1e-10 or below for functions of size 1.

use reference::TrainState;
use reference::model::Shape;
use reference::value::{Tape, Value, dot};

use crate::{assert_close, shape, weights};

const H: f64 = 1e-5;

#[test]
fn every_operation_has_the_gradient_of_central_differences() {
    type Operation = for<'t> fn(Value<'t>, Value<'t>) -> Value<'t>;
    let operations: [(&str, Operation); 15] = [
        ("a + b", |a, b| a + b),
        ("a - b", |a, b| a - b),
        ("a * b", |a, b| a * b),
        ("a / b", |a, b| a / b),
        ("a + 3", |a, _| a + 3.0),
        ("a - 3", |a, _| a - 3.0),
        ("a / 3", |a, _| a / 3.0),
        ("exp(a)", |a, _| a.exp()),
        ("ln(b)", |_, b| b.ln()),
        ("sqrt(b)", |_, b| b.sqrt()),
        ("relu(a)", |a, _| a.relu()),
        ("a + b + a", |a, b| [a, b, a].into_iter().sum()),
        ("a * a", |a, _| a * a),
        ("dot((a, b, a), (b, b, a))", |a, b| dot(&[a, b, a], &[b, b, a])),
        ("ln(exp(a) / b + a * a) * b", |a, b| (a.exp() / b + a * a).ln() * b),
    ];
    for (name, operation) in operations {
        for (a, b) in [(1.3, 0.7), (-1.7, 2.9), (0.4, 1.1), (-0.2, 0.3)] {
            let f = |a: f64, b: f64| {
                let tape = Tape::default();
                operation(tape.leaf(a), tape.leaf(b)).data()
            };
            let tape = Tape::default();
            let (x, y) = (tape.leaf(a), tape.leaf(b));
            operation(x, y).backward();
            let numeric = [(f(a + H, b) - f(a - H, b)) / (2.0 * H), (f(a, b + H) - f(a, b - H)) / (2.0 * H)];
            for (i, got) in [x.grad(), y.grad()].into_iter().enumerate() {
                assert_close(format!("{name} at ({a}, {b})"), i, numeric[i], got, 1e-9 * (1.0 + numeric[i].abs()));
            }
        }
    }
}

#[test]
fn the_corner_of_relu_has_slope_0() {
    let tape = Tape::default();
    let x = tape.leaf(0.0);
    x.relu().backward();
    assert_eq!(x.grad(), 0.0);
}

/// Checks every gradient of the model for a document.
fn check_model_gradients(shape: Shape, tokens: &[u32]) {
    let mut model = TrainState::new(shape, weights(shape));
    let (loss, gradients) = model.loss_and_gradients(tokens);
    let mut mean_nll = |i: usize, change: f64| {
        let weight = model.weights[i];
        model.weights[i] += change;
        let nll = model.document_nll(tokens);
        model.weights[i] = weight;
        nll.iter().sum::<f64>() / nll.len() as f64
    };
    assert_eq!(loss, mean_nll(0, 0.0), "the loss is the mean over positions");
    let mut i = 0;
    for (tensor, numel) in shape.tensors() {
        let mut largest = 0f64;
        for index in 0..numel {
            let numeric = (mean_nll(i, H) - mean_nll(i, -H)) / (2.0 * H);
            assert_close(&tensor, index, numeric, gradients[i], 1e-9 + 1e-7 * numeric.abs());
            largest = largest.max(numeric.abs());
            i += 1;
        }
        assert!(largest > 1e-3, "{tensor}: gradients of at most {largest:e} test nothing");
    }
    assert_eq!(i, gradients.len());
}

#[test]
fn a_short_document_has_the_gradients_of_central_differences() {
    check_model_gradients(shape(11, 7, 10, 5, 1), &[0, 4, 10, 4, 0]);
}

#[test]
fn a_document_longer_than_the_block_has_the_gradients_of_central_differences() {
    check_model_gradients(shape(11, 7, 6, 3, 2), &[0, 3, 1, 9, 3, 3, 7, 5, 2, 0]);
}

#[test]
fn the_shortest_document_has_no_gradient_in_queries_and_keys() {
    // A softmax over one key is always 1. So queries and keys have no gradient.
    let shape = shape(5, 3, 6, 2, 1);
    let (_, gradients) = TrainState::new(shape, weights(shape)).loss_and_gradients(&[0, 0]);
    let queries_and_keys = (5 + 3) * 6..(5 + 3 + 2 * 6) * 6;
    assert!(gradients[queries_and_keys].iter().all(|g| g.abs() < 1e-16));
    // The document has position 0 alone.
    assert!(gradients[(5 + 1) * 6..(5 + 3) * 6].iter().all(|&g| g == 0.0));
    assert!(gradients[5 * 6..(5 + 1) * 6].iter().all(|&g| g != 0.0));
}
