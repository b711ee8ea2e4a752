//! The flags of other programs for this one's task, such as nanoGPT, makemore, llm.c and Hugging Face's trainer.

/// The flags of others, without dashes and with `-` for `_`, and the hint for those who look for them.
const FLAGS: [(&str, &str); 35] = [
    (
        "epochs num-epochs num-train-epochs",
        "`--steps N` counts steps; an epoch is the training documents over `--batch`",
    ),
    ("max-iters max-steps num-iterations iterations iters n-iters", "`--steps N` is the number of steps"),
    ("lr-decay-iters", "`--steps N` is the length of the learning rate's schedule"),
    ("eval-interval eval-every eval-steps val-interval val-loss-every", "`--val-every N` validates every N steps"),
    ("eval-iters eval-batches val-max-steps", "`--val-docs N` is the number of documents of a validation"),
    ("log-interval logging-steps print-every", "`--log-every N` prints every N-th step"),
    ("out out-dir output output-dir work-dir checkpoint-dir model-out", "`--save FILE` saves the model"),
    ("save-interval save-steps checkpoint-every", "`--save-every N` saves every N steps"),
    (
        "load load-from checkpoint ckpt pretrained resume-from",
        "`--resume FILE` continues a run, `--init-from FILE` starts from its weights",
    ),
    ("lr learningrate", "`--learning-rate X` is the largest learning rate"),
    ("min-learning-rate learning-rate-min lr-min", "`--min-lr X` is the learning rate at the end"),
    ("warmup-iters warmup-steps lr-warmup warmup-ratio", "`--warmup N` is the number of steps of the warm-up"),
    ("wd decay l2", "`--weight-decay X` is the decoupled weight decay"),
    ("grad-clip clip clip-grad max-norm gradient-clip", "`--max-grad-norm X` clips the gradient"),
    ("batch-size per-device-train-batch-size train-batch-size", "`--batch B` is the number of documents of a step"),
    (
        "gradient-accumulation-steps grad-accum accumulate",
        "`--batch B` takes any number of documents, in the memory that one needs and more",
    ),
    ("heads num-heads nhead n-heads num-attention-heads", "`--n-head N` is the number of attention heads"),
    ("layers num-layers depth n-layers num-hidden-layers", "`--n-layer N` is the number of layers"),
    ("hidden-size d-model width dim n-emb embed-dim", "`--n-embd N` is the number of channels"),
    (
        "context context-length ctx seq-len seq-length sequence-length max-seq-len",
        "`--block-size N` is the longest context",
    ),
    ("cuda", "`--device cuda` uses the GPU"),
    ("cpu no-cuda", "`--device cpu` uses the CPU"),
    ("workers num-workers jobs num-threads", "`--threads N` is the number of CPU threads"),
    ("verbose", "notices are printed unless `--quiet` is given"),
    ("silent", "`--quiet` leaves out notices and progress"),
    ("replicas", "`seeds` is the number of models side by side"),
    ("start", "`--prompt TEXT` starts every sample"),
    ("num-samples n-samples", "`--samples N` is the number of samples"),
    ("max-new-tokens max-length", "`--sample-length N` is the length of a sample, with its prompt"),
    ("sample-only generate", "`microgpt sample MODEL` samples from a saved model"),
    ("eval-only evaluate", "`microgpt eval MODEL FILE` evaluates a saved model"),
    (
        "patience early-stopping early-stopping-patience",
        "`--stop-early N` ends after N validations without a better one",
    ),
    ("data dataset data-dir train-file input-file", "`--input FILE` is the corpus"),
    ("dropout", "there is no dropout; `--stop-early` and `--save-best` limit what overfitting costs"),
    ("wandb wandb-log tensorboard log-dir", "`--metrics FILE.csv` writes the curves to a file"),
];

/// The least similarity of two flags of which one may be meant by the other, from 0 to 1.
const SIMILAR: f64 = 0.85;

/// Returns the hint for a flag that another program has.
pub(super) fn hint(flag: &str) -> Option<&'static str> {
    let name = name(flag);
    let is_it = |(names, _): &&(&str, &str)| names.split(' ').any(|other| other == name);
    FLAGS.iter().find(is_it).map(|(_, hint)| *hint)
}

/// Returns whether one flag may be meant by the other.
pub(super) fn is_similar(a: &str, b: &str) -> bool {
    similarity(a, b) >= SIMILAR
}

/// Returns the flag that is meant by `flag`, if one is similar to it.
pub(super) fn nearest<'a>(flag: &str, flags: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let nearest = flags.max_by(|a, b| similarity(flag, a).total_cmp(&similarity(flag, b)))?;
    is_similar(flag, nearest).then_some(nearest)
}

fn similarity(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(&name(a), &name(b))
}

/// Returns a flag without its dashes, in lower case and with `-` for `_`.
fn name(flag: &str) -> String {
    flag.trim_start_matches('-').replace('_', "-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::args::Cli;
    use super::*;

    #[test]
    fn no_flag_of_this_program_has_a_hint_and_every_hint_names_one() {
        let command = Cli::command();
        let flags: Vec<&str> = command.get_arguments().filter_map(|arg| arg.get_long()).collect();
        for flag in &flags {
            assert_eq!(hint(flag), None, "{flag}");
        }
        for (names, hint) in FLAGS {
            let mut named = hint.split("`--").skip(1).map(|rest| rest.split(['`', ' ']).next().unwrap());
            assert!(named.all(|flag| flags.contains(&flag)), "{names}: {hint}");
        }
    }

    #[test]
    fn a_flag_is_found_in_every_spelling_and_a_far_one_is_not_suggested() {
        assert_eq!(hint("--max_iters"), hint("--max-iters"));
        assert!(hint("--LR").is_some() && hint("--zzz").is_none());
        let flags = ["steps", "seeds", "n-embd", "learning-rate"];
        for (flag, meant) in [("--learning_rate", Some("learning-rate")), ("--step", Some("steps")), ("--epochs", None)]
        {
            assert_eq!(nearest(flag, flags.into_iter()), meant, "{flag}");
        }
    }
}
