//! The engine, whose values remember how they were computed.
//!
//! Training asks one question of every parameter `w` of a model. If `w` grew a little, how much would the loss `L`
//! grow? The answer is the derivative `dL/dw`, the *gradient* of `w`. This file finds the gradients of all parameters
//! in one go, for any loss that is computed from the operations below. The method is called reverse-mode automatic
//! differentiation, or backpropagation.
//!
//! # Local derivatives
//!
//! Take `L = (a * b + a)^2` at `a = 2, b = 3`. `L` is computed in small steps. The derivative of a step's result with
//! respect to each of the step's inputs is known from school, because a step does only one thing:
//!
//! ```text
//! step          value   local derivatives
//! c = a * b       6     dc/da = b = 3    dc/db = a = 2
//! d = c + a       8     dd/dc = 1        dd/da = 1
//! L = d * d      64     dL/dd = d = 8    dL/dd = d = 8    (d is an input twice)
//! ```
//!
//! # The chain rule
//!
//! A value influences the loss through every step that uses it. Through one such step its influence is the local
//! derivative times the influence of that step's result, and the influences of several steps add up:
//!
//! ```text
//! dL/dparent = sum over the steps that use parent of  dL/dstep * dstep/dparent
//! ```
//!
//! So the gradients follow from the last step to the first. `dL/dL = 1`; `dL/dd = 8 + 8 = 16`; `dL/dc = 16 * 1`;
//! `dL/db = 16 * 2 = 32`; and `a`, used twice, collects `16 * 3 + 16 * 1 = 64`.
//!
//! ```
//! use reference::value::Tape;
//!
//! let tape = Tape::default();
//! let (a, b) = (tape.leaf(2.0), tape.leaf(3.0));
//! let d = a * b + a;
//! let loss = d * d;
//! loss.backward();
//! assert_eq!(loss.data(), 64.0);
//! assert_eq!((a.grad(), b.grad()), (64.0, 32.0));
//! ```
//!
//! # The tape
//!
//! The steps are recorded on a [`Tape`] while they are computed. An entry, an `Edge`, holds a step `node`, an input
//! `parent` of this step, and the local derivative. A result is always recorded after its inputs, so reading the tape
//! backwards meets every use of a value before it meets the entries of that value's own inputs. One loop of one line,
//! in [`Value::backward`], is therefore the whole of backpropagation.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Div, Mul, Sub};

/// One input of one step of a computation.
#[derive(Clone, Copy)]
struct Edge {
    /// The result of the step.
    node: u32,
    /// The input.
    parent: u32,
    /// The local derivative `dnode/dparent`, at the values that the computation had.
    derivative: f64,
}

/// A recording of a computation. It holds the inputs of all steps, in the order in which the steps were taken.
///
/// Recording needs only `&Tape`, so that any number of [`Value`]s can refer to the tape while it grows.
#[derive(Default)]
pub struct Tape {
    edges: RefCell<Vec<Edge>>,
    /// The number of recorded values, which is also the index of the next one.
    nodes: Cell<u32>,
    /// The gradient `dL/dnode` of every node, from the latest [`Value::backward`].
    gradients: RefCell<Vec<f64>>,
}

impl Tape {
    /// Records a value with no inputs, such as a parameter of the model.
    pub fn leaf(&self, data: f64) -> Value<'_> {
        self.record(data, [])
    }

    /// Forgets the recording but keeps its memory. The next step of training records as much again.
    ///
    /// Because `clear` takes `&mut self`, the compiler checks that no [`Value`] of the old recording is still in use.
    pub fn clear(&mut self) {
        self.edges.get_mut().clear();
        self.gradients.get_mut().clear();
        self.nodes.set(0);
    }

    /// Records one step, with its result, its inputs and the local derivative for each input.
    fn record<'t>(&'t self, data: f64, inputs: impl IntoIterator<Item = (Value<'t>, f64)>) -> Value<'t> {
        let node = self.nodes.get();
        self.nodes.set(node.checked_add(1).expect("a tape holds at most 2^32 - 1 values"));
        let edge = |(parent, derivative): (Value<'t>, f64)| Edge { node, parent: parent.node, derivative };
        self.edges.borrow_mut().extend(inputs.into_iter().map(edge));
        Value { tape: self, node, data }
    }
}

/// An `f64` on a [`Tape`]. It is small and `Copy`, and arithmetic on it reads like arithmetic on `f64`.
#[derive(Clone, Copy)]
pub struct Value<'t> {
    tape: &'t Tape,
    node: u32,
    data: f64,
}

impl Value<'_> {
    /// Returns the `f64` itself.
    pub fn data(self) -> f64 {
        self.data
    }

    /// Returns `dL/dself`, where `L` is the value that [`Value::backward`] was last called on.
    ///
    /// # Panics
    /// If `backward` has not been called since this value was recorded.
    pub fn grad(self) -> f64 {
        self.tape.gradients.borrow()[self.node as usize]
    }

    /// Computes the gradient of this value, the loss, with respect to every value on the tape.
    pub fn backward(self) {
        let mut gradients = self.tape.gradients.borrow_mut();
        gradients.clear();
        gradients.resize(self.tape.nodes.get() as usize, 0.0);
        gradients[self.node as usize] = 1.0;
        for edge in self.tape.edges.borrow().iter().rev() {
            gradients[edge.parent as usize] += gradients[edge.node as usize] * edge.derivative;
        }
    }

    /// Returns `e^x`, which is its own derivative.
    #[must_use]
    pub fn exp(self) -> Self {
        let y = self.data.exp();
        self.tape.record(y, [(self, y)])
    }

    /// Returns the natural logarithm, with derivative `1/x`.
    #[must_use]
    pub fn ln(self) -> Self {
        self.tape.record(self.data.ln(), [(self, 1.0 / self.data)])
    }

    /// Returns the square root, with derivative `1 / (2 sqrt(x))`.
    #[must_use]
    pub fn sqrt(self) -> Self {
        let y = self.data.sqrt();
        self.tape.record(y, [(self, 0.5 / y)])
    }

    /// Returns `max(x, 0)`. The derivative is 1 where `x` is positive and 0 elsewhere, the corner at 0 included.
    #[must_use]
    pub fn relu(self) -> Self {
        let slope = if self.data > 0.0 { 1.0 } else { 0.0 };
        self.tape.record(self.data.max(0.0), [(self, slope)])
    }
}

/// Returns the dot product of two vectors of one length, the sum of `a[i] * b[i]`, as a single step.
///
/// The derivative with respect to `a[i]` is `b[i]`, and the derivative with respect to `b[i]` is `a[i]`. `*` and `+`
/// would give the same result. But nearly all of a model's work is dot products, and a single step takes half the tape.
///
/// # Panics
/// If the vectors are empty or differ in length.
pub fn dot<'t>(a: &[Value<'t>], b: &[Value<'t>]) -> Value<'t> {
    assert_eq!(a.len(), b.len(), "the vectors of a dot product must have one length");
    let data = a.iter().zip(b).map(|(a, b)| a.data * b.data).sum();
    let of_a = a.iter().zip(b).map(|(&a, b)| (a, b.data));
    let of_b = a.iter().zip(b).map(|(a, &b)| (b, a.data));
    a[0].tape.record(data, of_a.chain(of_b))
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({})", self.data)
    }
}

// Operations between two values have a derivative for each.

impl Add for Value<'_> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.tape.record(self.data + other.data, [(self, 1.0), (other, 1.0)])
    }
}

impl Sub for Value<'_> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.tape.record(self.data - other.data, [(self, 1.0), (other, -1.0)])
    }
}

impl Mul for Value<'_> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        self.tape.record(self.data * other.data, [(self, other.data), (other, self.data)])
    }
}

impl Div for Value<'_> {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let y = self.data / other.data;
        self.tape.record(y, [(self, 1.0 / other.data), (other, -y / other.data)])
    }
}

/// Adds the values from the first to the last.
///
/// # Panics
/// If there are no values, because only a value knows its tape.
impl Sum for Value<'_> {
    fn sum<I: Iterator<Item = Self>>(values: I) -> Self {
        values.reduce(Self::add).expect("a sum needs at least one value")
    }
}

// A constant needs no gradient, so an operation with a constant records only the value as an input.

impl Add<f64> for Value<'_> {
    type Output = Self;
    fn add(self, constant: f64) -> Self {
        self.tape.record(self.data + constant, [(self, 1.0)])
    }
}

impl Sub<f64> for Value<'_> {
    type Output = Self;
    fn sub(self, constant: f64) -> Self {
        self.tape.record(self.data - constant, [(self, 1.0)])
    }
}

impl Div<f64> for Value<'_> {
    type Output = Self;
    fn div(self, constant: f64) -> Self {
        self.tape.record(self.data / constant, [(self, 1.0 / constant)])
    }
}
