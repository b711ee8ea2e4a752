//! The opened step against the reference, buffer by buffer, and the looks at a run against the run itself.
#![allow(missing_docs)]

use std::collections::BTreeMap;

use page_wasm::session::Session;
use reference::model::{Matrix, Vector};
use reference::value::{Tape, Value};
use reference::{AdamW, TrainState, adamw, clip};
use serde_json::{Value as Json, json};

mod expected;
use expected::{Expected, forward};

/// The settings of two runs: the default model, and one whose dimensions are all padded.
const RUNS: [&str; 2] = [
    r#"{"do":"open","corpus":null,"steps":500,"learning_rate":0.01,"seed":42,"n_embd":16,"n_head":4,"n_layer":1,"block_size":8}"#,
    r#"{"do":"open","corpus":null,"steps":60,"learning_rate":0.02,"seed":7,"n_embd":21,"n_head":3,"n_layer":2,"block_size":5}"#,
];

/// Returns the reply to a request.
fn ask(session: &mut Session, request: &Json) -> Json {
    let reply: Json = serde_json::from_slice(&session.answer(request.to_string().as_bytes())).unwrap();
    assert!(reply.get("error").is_none(), "{request}: {reply}");
    reply
}

/// Opens a run and takes its first steps.
fn open(run: &str, steps: u64) -> Session {
    let mut session = Session::default();
    ask(&mut session, &serde_json::from_str(run).unwrap());
    ask(&mut session, &json!({ "do": "train", "steps": steps }));
    session
}

/// Returns a step and its buffers by name.
fn opened(session: &mut Session, step: u64) -> (Json, BTreeMap<String, Vec<f64>>) {
    let reply = ask(session, &json!({ "do": "open_step", "step": step }));
    let buffers = reply["buffers"].as_array().unwrap().iter().map(|buffer| {
        let len: u64 = buffer["shape"].as_array().unwrap().iter().map(|len| len.as_u64().unwrap()).product();
        let values = &session.values()[buffer["at"].as_u64().unwrap() as usize..][..len as usize];
        (buffer["name"].as_str().unwrap().to_owned(), values.iter().copied().map(f64::from).collect())
    });
    let buffers = buffers.collect();
    (reply, buffers)
}

/// Expects values within 1e-4 of the largest expected one.
fn assert_close(what: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    let error = got.iter().zip(expected).fold(0.0f64, |error, (a, b)| error.max((a - b).abs()));
    assert!(error <= 1e-4 * largest, "{what}: off by {error:e}, the largest value is {largest:e}");
}

#[test]
fn every_buffer_of_a_step_agrees_with_the_reference() {
    for (run, steps, step) in [(RUNS[0], 0, 1), (RUNS[0], 500, 43), (RUNS[1], 60, 60)] {
        let (reply, buffers) = opened(&mut open(run, steps), step);
        let ids: Vec<u32> = serde_json::from_value(reply["ids"].clone()).unwrap();
        let [heads, layers] = ["heads", "layers"].map(|key| reply[key].as_u64().unwrap() as usize);
        let tensors: Vec<(String, usize)> = reply["buffers"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|buffer| {
                let name = buffer["name"].as_str().unwrap().strip_suffix(".after")?.to_owned();
                Some((name, buffer["shape"][1].as_u64().unwrap() as usize))
            })
            .collect();

        let (tape, mut expected) = (Tape::default(), Expected { values: vec![], gradients: vec![] });
        let weights: Vec<(String, Matrix)> = tensors
            .iter()
            .map(|(name, cols)| {
                let leaves: Vector = buffers[name].iter().map(|&w| tape.leaf(w)).collect();
                (name.clone(), leaves.chunks(*cols).map(<[_]>::to_vec).collect())
            })
            .collect();
        let loss = forward(&tape, &weights, &ids, heads, layers, &mut expected);
        loss.backward();
        assert_close("loss", &[reply["loss"].as_f64().unwrap()], &[loss.data()]);
        let mut compared = tensors.len() * 7;
        for (name, values) in &expected.values {
            assert_close(name, &buffers[name], &values.iter().map(|value| value.data()).collect::<Vec<_>>());
            compared += 1;
        }
        for (name, values) in &expected.gradients {
            assert_close(name, &buffers[name], &values.iter().map(|value| value.grad()).collect::<Vec<_>>());
            compared += 1;
        }
        // The reciprocal of each norm is compared by the norm's output.
        let norms = buffers.keys().filter(|name| name.contains("rstd")).count();
        assert_eq!(compared + norms, buffers.len(), "buffers that were not compared");

        let all = |suffix: &str| -> Vec<f64> {
            tensors.iter().flat_map(|(name, _)| buffers[&format!("{name}{suffix}")].clone()).collect()
        };
        let mut gradients: Vec<f64> = weights.iter().flat_map(|(_, w)| w.concat()).map(Value::grad).collect();
        for (name, w) in &weights {
            let grads: Vec<f64> = w.concat().into_iter().map(Value::grad).collect();
            assert_close(&format!("{name}.grad"), &buffers[&format!("{name}.grad")], &grads);
        }
        let norm = clip(&mut gradients, 1.0);
        assert_close("norm", &[reply["grad_norm"].as_f64().unwrap()], &[norm]);
        assert_close("clip", &[reply["clip"].as_f64().unwrap()], &[(1.0 / norm).min(1.0)]);
        let shape = reference::model::Shape {
            vocab: reply["vocab"].as_array().unwrap().len(),
            block_size: buffers["wpe"].len() / tensors[0].1,
            n_embd: tensors[0].1,
            n_head: heads,
            n_layer: layers,
        };
        let mut state = TrainState::new(shape, all(""));
        (state.step, state.m, state.v) = (step, all(".m_before"), all(".v_before"));
        let of = |key: &str| reply["optimizer"][key].as_f64().unwrap();
        let config = AdamW {
            learning_rate: of("learning_rate"),
            beta1: of("beta1"),
            beta2: of("beta2"),
            eps: of("eps"),
            weight_decay: of("weight_decay"),
            max_grad_norm: of("max_grad_norm"),
        };
        adamw(&mut state, &gradients, &config);
        for (suffix, values) in [(".m", &state.m), (".v", &state.v), (".after", &state.weights)] {
            assert_close(suffix, &all(suffix), values);
        }
    }
}

#[test]
fn the_residual_stream_that_is_computed_again_has_the_bits_of_the_next_op() {
    // The norm of the stream is the kernels' own result, and a product by its reciprocal root has one rounding.
    let (_, buffers) = opened(&mut open(RUNS[1], 60), 33);
    for (x, xn, rstd) in [
        ("x_embed", "layer0.xn_attn", "layer0.rstd_attn"),
        ("layer0.x_mid", "layer0.xn_mlp", "layer0.rstd_mlp"),
        ("layer0.x_out", "layer1.xn_attn", "layer1.rstd_attn"),
        ("layer1.x_mid", "layer1.xn_mlp", "layer1.rstd_mlp"),
    ] {
        let width = buffers[x].len() / buffers[rstd].len();
        for (i, (&x, &xn)) in buffers[x].iter().zip(&buffers[xn]).enumerate() {
            let product = (x * buffers[rstd][i / width]) as f32;
            assert_eq!(product.to_bits(), (xn as f32).to_bits(), "{xn}");
        }
    }
}

#[test]
fn any_step_of_a_run_is_computed_again_to_the_bit_and_the_run_goes_on_as_before() {
    for run in RUNS {
        let after = |step: u64| json!({ "do": "after", "step": step, "samples": 2, "top_k": 3, "temperature": 0.7, "text": "a" });
        let mut session = open(run, 0);
        let mut hashes = Vec::new();
        for step in 0..=37 {
            assert_eq!(ask(&mut session, &after(step))["hash"], ask(&mut session, &json!({ "do": "hash" }))["hash"]);
            hashes.push(ask(&mut session, &json!({ "do": "hash" }))["hash"].clone());
            ask(&mut session, &json!({ "do": "train", "steps": 1 }));
        }
        let mut session = open(run, 50);
        for step in [37, 0, 10, 29, 30, 31, 5] {
            assert_eq!(ask(&mut session, &after(step))["hash"], hashes[step as usize], "{step}");
            opened(&mut session, step + 1);
            ask(
                &mut session,
                &json!({ "do": "next_letter", "step": step, "text": "a", "top_k": 3, "temperature": 1.0, "sample": 2 }),
            );
        }
        ask(&mut session, &json!({ "do": "train", "steps": 10 }));
        let end = ask(&mut session, &json!({ "do": "hash" }));
        assert_eq!(end, ask(&mut open(run, 60), &json!({ "do": "hash" })));
        let refused = session.answer(after(61).to_string().as_bytes());
        assert!(String::from_utf8(refused).unwrap().contains("there is no state after 61"));
    }
}

#[test]
fn letters_are_drawn_from_the_probabilities_that_are_shown() {
    let mut session = open(RUNS[0], 500);
    for (text, top_k, temperature) in [("mar", 4, 0.6), ("", 27, 1.5)] {
        let letter = |sample: Option<u64>| json!({ "do": "next_letter", "step": 500, "text": text, "top_k": top_k, "temperature": temperature, "sample": sample });
        let shown = ask(&mut session, &letter(None));
        let tokens: Vec<String> = serde_json::from_value(shown["tokens"].clone()).unwrap();
        let shares: Vec<f64> = serde_json::from_value(shown["rows"][0]["drawn_from"].clone()).unwrap();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert_eq!(shares.iter().filter(|&&share| share > 0.0).count(), top_k);
        let draws = 4000;
        let mut counts = vec![0.0; tokens.len()];
        for sample in 0..draws {
            let drawn = ask(&mut session, &letter(Some(sample)));
            let first = drawn["letters"][0].as_str().unwrap();
            counts[tokens.iter().position(|token| token == first).unwrap()] += 1.0;
        }
        for (count, share) in counts.iter().zip(&shares) {
            let deviation = (share * (1.0 - share) * f64::from(draws as u32)).sqrt();
            assert!(
                (count - share * f64::from(draws as u32)).abs() <= 4.5 * deviation,
                "{text:?}: {counts:?} {shares:?}"
            );
        }
    }
}

#[test]
fn a_drawn_name_comes_with_the_probabilities_of_each_of_its_letters() {
    let mut session = open(RUNS[0], 500);
    let request =
        json!({ "do": "next_letter", "step": 500, "text": "an", "top_k": 5, "temperature": 0.6, "sample": 3 });
    let drawn = ask(&mut session, &request);
    let letters: Vec<String> = serde_json::from_value(drawn["letters"].clone()).unwrap();
    assert_eq!(drawn["rows"].as_array().unwrap().len(), letters.len());
    assert!(letters.len() <= 6 && (letters.len() == 6 || letters.last().unwrap() == "<BOS>"), "{letters:?}");
    // The probabilities after a part of the name are those of a text that is as long.
    let text = format!("an{}", letters[0]);
    let next = ask(
        &mut session,
        &json!({ "do": "next_letter", "step": 500, "text": text, "top_k": 5, "temperature": 0.6, "sample": null }),
    );
    if letters.len() > 1 {
        assert_eq!(next["rows"][0], drawn["rows"][1]);
    }
    let untrained: Vec<f64> = serde_json::from_value(next["rows"][0]["untrained"].clone()).unwrap();
    assert!(untrained.iter().all(|p| (p - 1.0 / 27.0).abs() < 0.02), "{untrained:?}");
}

/// Returns the error for a request, or an empty text.
fn error(session: &mut Session, request: &Json) -> String {
    let reply: Json = serde_json::from_slice(&session.answer(request.to_string().as_bytes())).unwrap();
    reply["error"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_run_that_diverges_stops_at_its_last_finite_step_and_each_look_at_the_broken_model_says_so() {
    for rate in [1e6, 1e30] {
        let mut session = Session::default();
        let mut run: Json = serde_json::from_str(RUNS[0]).unwrap();
        run["learning_rate"] = json!(rate);
        ask(&mut session, &run);
        let reply = ask(&mut session, &json!({ "do": "train", "steps": 100 }));
        let (step, losses) = (reply["step"].as_u64().unwrap(), reply["losses"].as_array().unwrap());
        assert!(step < 10 && losses.len() as u64 == step && losses.iter().all(Json::is_f64), "{reply}");
        for _ in 0..2 {
            let message = error(&mut session, &json!({ "do": "train", "steps": 5 }));
            assert!(message.contains(&format!("training diverged at step {}", step + 1)), "{message}");
        }
        let draws = json!({ "step": step, "text": "m", "top_k": 5, "temperature": 0.6 });
        let with = |more: Json| {
            let mut request = draws.clone();
            request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            request
        };
        let letter = with(json!({ "do": "next_letter", "sample": 0 }));
        let after = with(json!({ "do": "after", "samples": 1 }));
        for request in [&letter, &after, &json!({ "do": "validate", "documents": 1 })] {
            let message = error(&mut session, request);
            let is_broken = message.contains("no longer numbers") && message.contains("hint: lower");
            assert!(is_broken || rate < 1e30, "{request}: {message}");
        }
        ask(&mut session, &with(json!({ "do": "next_letter", "step": 0, "sample": 0 })));
        assert_eq!(opened(&mut session, 1).0["step"], 1);
    }
}

#[test]
fn the_error_for_an_unknown_character_lists_the_known_ones_or_suggests_lower_case() {
    let mut session = Session::default();
    let mut run: Json = serde_json::from_str(RUNS[0]).unwrap();
    run["corpus"] = json!("anna\nbob\ncarl");
    ask(&mut session, &run);
    for (text, hint) in [("Anna", "hint: write `a` in lower case"), ("max", "hint: use the characters abclnor")] {
        let request = json!({ "do": "attention", "text": text });
        let message = error(&mut session, &request);
        assert!(message.ends_with(hint), "{message}");
    }
}
