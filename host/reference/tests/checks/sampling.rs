//! The draws of tokens and documents.

use reference::TrainState;
use reference::generate::{SamplingParams, sample};

use crate::{shape, weights};

fn sampling(top_k: usize, temperature: f64) -> SamplingParams {
    SamplingParams { top_k, temperature, min_p: 0.0, top_p: 1.0 }
}

#[test]
fn sample_draws_from_the_top_k_in_the_order_of_tokens() {
    // At temperature 1 the exponentials are 3, 1, 2, 4, 0.5.
    let logits = [3f64.ln(), 0.0, 2f64.ln(), 4f64.ln(), 0.5f64.ln()];
    let draws = |params: SamplingParams, us: &[f64]| us.iter().map(|&u| sample(&logits, params, u)).collect::<Vec<_>>();
    // The five tokens cover 0..3, 3..4, 4..6, 6..10, 10..10.5.
    let u = |x: f64| x / 10.5;
    assert_eq!(
        draws(sampling(5, 1.0), &[0.0, u(2.9), u(3.1), u(3.9), u(4.1), u(5.9), u(6.1), u(9.9), u(10.1), 0.999_999]),
        [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    );
    // A `top_k` beyond the vocabulary draws as the whole vocabulary does.
    assert_eq!(draws(sampling(9, 1.0), &[u(2.9), u(3.1), u(10.1)]), [0, 1, 4]);
    // Tokens 0, 2 and 3 have the three largest logits, with the probabilities 3/9, 2/9 and 4/9.
    assert_eq!(draws(sampling(3, 1.0), &[0.0, 2.9 / 9.0, 3.1 / 9.0, 4.9 / 9.0, 5.1 / 9.0]), [0, 0, 2, 2, 3]);
    // Temperature 1/2 squares the exponentials, so the probabilities are 9/29, 4/29 and 16/29.
    assert_eq!(draws(sampling(3, 0.5), &[8.9 / 29.0, 9.1 / 29.0, 12.9 / 29.0, 13.1 / 29.0]), [0, 2, 2, 3]);
    // A `top_k` of 1 is greedy, and so is a temperature of 0.
    assert_eq!(draws(sampling(1, 1.0), &[0.0, 0.5, 0.999]), [3, 3, 3]);
    assert_eq!(draws(sampling(5, 0.0), &[0.0, 0.5, 0.999]), [3, 3, 3]);
}

#[test]
fn min_p_and_top_p_drop_the_less_likely_tokens() {
    // The exponentials are 3, 1, 2, 4, 0.5.
    let logits = [3f64.ln(), 0.0, 2f64.ln(), 4f64.ln(), 0.5f64.ln()];
    let drawn = |params: SamplingParams| {
        let mut drawn: Vec<u32> = (0..1000).map(|i| sample(&logits, params, f64::from(i) / 1000.0)).collect();
        drawn.dedup();
        drawn
    };
    let all = sampling(5, 1.0);
    // Relative to the likeliest the probabilities are 3/4, 1/4, 2/4, 1 and 1/8.
    for (min_p, kept) in
        [(0.0, &[0, 1, 2, 3, 4][..]), (0.2, &[0, 1, 2, 3]), (0.3, &[0, 2, 3]), (0.76, &[3]), (1.0, &[3])]
    {
        assert_eq!(drawn(SamplingParams { min_p, ..all }), kept, "min-p {min_p}");
    }
    // In rank, tokens 3, 0, 2, 1 and 4 reach 4, 7, 9, 10 and 10.5 of 10.5.
    for (top_p, kept) in
        [(0.0, &[][..]), (0.38, &[3]), (0.39, &[0, 3]), (0.86, &[0, 2, 3, 1][..]), (0.96, &[0, 1, 2, 3, 4])]
    {
        let mut kept = kept.to_vec();
        kept.sort_unstable();
        // Without any token left the likeliest is drawn.
        let kept = if kept.is_empty() { vec![3] } else { kept };
        assert_eq!(drawn(SamplingParams { top_p, ..all }), kept, "top-p {top_p}");
    }
    // Top-p shares out what top-k, the temperature and min-p leave: 9, 4 and 16 of 29.
    let three = SamplingParams { top_k: 3, temperature: 0.5, ..all };
    assert_eq!(drawn(SamplingParams { top_p: 0.55, ..three }), [3]);
    assert_eq!(drawn(SamplingParams { top_p: 0.56, ..three }), [0, 3]);
    assert_eq!(drawn(SamplingParams { top_p: 0.63, min_p: 0.3, ..three }), [3]);
}

#[test]
fn of_equal_logits_the_lower_token_is_kept() {
    let logits = [1.0, 2.0, 1.0, 2.0, 1.0];
    assert_eq!(sample(&logits, sampling(1, 1.0), 0.9), 1);
    assert_eq!(sample(&logits, sampling(5, 0.0), 0.9), 1);
    // Tokens 0, 1 and 3 are kept. They stay in the order of the vocabulary, so a draw of 0 selects token 0.
    assert_eq!(sample(&logits, sampling(3, 1.0), 0.0), 0);
    assert_eq!(sample(&logits, sampling(3, 1.0), 0.999), 3);
}

#[test]
fn a_draw_at_a_boundary_goes_to_the_next_token() {
    // The tokens cover 0..1, 1..2, 2..3, 3..4, and u * 4 = 1 lies in the second interval.
    assert_eq!(sample(&[0.0; 4], sampling(4, 1.0), 0.25), 1);
    // Top-k drops token 0, so its interval is empty. A draw of 0 lies in the interval of token 1.
    assert_eq!(sample(&[0.0, 5.0, 5.0], sampling(2, 1.0), 0.0), 1);
}

#[test]
fn greedy_samples_follow_the_likeliest_token() {
    let shape = shape(11, 7, 10, 5, 2);
    let mut model = TrainState::new(shape, weights(shape));
    let document = model.generate(sampling(3, 0.0), &[0], || 0.5).tokens;
    assert!(!document.is_empty());
    // A drawn token has a lower cross-entropy than any other token after the same prefix.
    let mut tokens = [&[0], &document[..]].concat();
    for position in 0..document.len() {
        let drawn = model.document_nll(&tokens)[position];
        let right = tokens[position + 1];
        for other in (0..11).filter(|&other| other != right) {
            tokens[position + 1] = other;
            assert!(model.document_nll(&tokens)[position] > drawn, "position {position}: {other} beats {right}");
        }
        tokens[position + 1] = right;
    }
}
