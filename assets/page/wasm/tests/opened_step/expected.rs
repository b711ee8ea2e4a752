//! The buffers of a step by the reference.

use reference::model::{Matrix, Vector, rmsnorm, softmax};
use reference::value::{Tape, Value, dot};

/// The values and the gradients of the reference by the names of the kernels' buffers.
pub struct Expected<'t> {
    pub values: Vec<(String, Vector<'t>)>,
    pub gradients: Vec<(String, Vector<'t>)>,
}

impl<'t> Expected<'t> {
    fn both(&mut self, name: &str, gradient: &str, rows: &[Vector<'t>]) {
        self.value(name, rows);
        self.gradients.push((gradient.to_owned(), rows.concat()));
    }

    fn value(&mut self, name: &str, rows: &[Vector<'t>]) {
        self.values.push((name.to_owned(), rows.concat()));
    }
}

/// Computes a step's forward pass by the reference's ops, op by op, and returns the loss.
pub fn forward<'t>(
    tape: &'t Tape,
    weights: &[(String, Matrix<'t>)],
    ids: &[u32],
    heads: usize,
    layers: usize,
    out: &mut Expected<'t>,
) -> Value<'t> {
    let weight = |name: &str| &weights.iter().find(|(other, _)| other == name).unwrap().1;
    let linear = |w: &Matrix<'t>, rows: &[Vector<'t>]| -> Matrix<'t> {
        rows.iter().map(|x| reference::model::linear(w, x)).collect()
    };
    let norm = |rows: &[Vector<'t>]| -> Matrix<'t> { rows.iter().map(|x| rmsnorm(x)).collect() };
    let add = |a: &[Vector<'t>], b: &[Vector<'t>]| -> Matrix<'t> {
        a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(&a, &b)| a + b).collect()).collect()
    };
    let n = ids.len() - 1;
    let tokens: Matrix = ids[..n].iter().map(|&id| weight("wte")[id as usize].clone()).collect();
    let sums = add(&tokens, &weight("wpe")[..n]);
    out.gradients.push(("dx_embed".to_owned(), sums.concat()));
    let mut x = norm(&sums);
    out.value("x_embed", &x);
    for l in 0..layers {
        let name = |name: &str| format!("layer{l}.{name}");
        out.gradients.push((name("dx_in"), x.concat()));
        let xn = norm(&x);
        out.both(&name("xn_attn"), &name("dxn_attn"), &xn);
        let [q, k, v] = ["q", "k", "v"].map(|which| linear(weight(&name(&format!("attn_w{which}"))), &xn));
        let d = q[0].len() / heads;
        let root = (d as f64).sqrt();
        out.value(&name("q"), &q.iter().map(|q| q.iter().map(|&q| q / root).collect()).collect::<Vec<_>>());
        out.gradients.push((name("dq"), q.concat()));
        out.both(&name("k"), &name("dk"), &k);
        out.both(&name("v"), &name("dv"), &v);
        let (mut scores, mut probs) = (Matrix::new(), Matrix::new());
        let mut attn = vec![Vector::new(); n];
        for head in (0..heads).map(|h| h * d..(h + 1) * d) {
            for t in 0..n {
                let row: Vector = (0..=t).map(|key| dot(&q[t][head.clone()], &k[key][head.clone()]) / root).collect();
                let p = softmax(&row);
                attn[t].extend(head.clone().map(|i| p.iter().zip(&v).map(|(&p, v)| p * v[i]).sum::<Value>()));
                // The kernels' buffers have zeros for later keys.
                let pad = |row: Vector<'t>| row.into_iter().chain((t + 1..n).map(|_| tape.leaf(0.0))).collect();
                scores.push(pad(row));
                probs.push(pad(p));
            }
        }
        out.gradients.push((name("dscores"), scores.concat()));
        out.value(&name("probs"), &probs);
        out.both(&name("attn"), &name("dattn"), &attn);
        x = add(&x, &linear(weight(&name("attn_wo")), &attn));
        out.both(&name("x_mid"), &name("dx_mid"), &x);
        let xn = norm(&x);
        out.both(&name("xn_mlp"), &name("dxn_mlp"), &xn);
        let u = linear(weight(&name("mlp_fc1")), &xn);
        out.gradients.push((name("dh"), u.concat()));
        let h: Matrix = u.iter().map(|u| u.iter().map(|u| u.relu()).collect()).collect();
        out.value(&name("h"), &h);
        let h2: Matrix = h.iter().map(|h| h.iter().map(|&h| h * h).collect()).collect();
        out.value(&name("h2"), &h2);
        x = add(&x, &linear(weight(&name("mlp_fc2")), &h2));
        out.both(&name("x_out"), &name("dx_out"), &x);
    }
    let logits = linear(weight("wte"), &x);
    out.both("logits", "dlogits", &logits);
    out.value("probs", &logits.iter().map(|row| softmax(row)).collect::<Vec<_>>());
    let nll: Vector = logits.iter().zip(&ids[1..]).map(|(row, &id)| reference::model::cross_entropy(row, id)).collect();
    out.value("loss", std::slice::from_ref(&nll));
    nll.into_iter().sum::<Value>() / n as f64
}
