//! The comparison of models by their losses on each validation document.

use super::args::Cli;
use super::console::Loss;
use super::sweep::SweepResult;
use crate::device::Evaluation;
use crate::error::{Error, Result};
use crate::run::Run;
use crate::trainer::Trainer;

/// The number of standard errors below which a difference may be chance.
const ERRORS_APART: f64 = 2.0;

/// A mean over all tokens, and its standard error if there are two documents or more.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Estimate {
    mean: f64,
    standard_error: Option<f64>,
}

impl Estimate {
    /// Returns the sum of the documents' values over that of their tokens.
    ///
    /// The standard error is that of a ratio, since documents vary in both: the deviation of `value - mean * tokens`,
    /// times the root of the number of documents, over the number of tokens.
    fn of(documents: impl Iterator<Item = (f64, u64)> + Clone) -> Self {
        let (sum, tokens) = documents.clone().fold((0.0, 0), |(sum, all), (value, tokens)| (sum + value, all + tokens));
        let (mean, n) = (sum / tokens as f64, documents.clone().count() as f64);
        let squares: f64 = documents.map(|(value, tokens)| (value - mean * tokens as f64).powi(2)).sum();
        let standard_error = (n > 1.0).then(|| (squares * n / (n - 1.0)).sqrt() / tokens as f64);
        Self { mean, standard_error }
    }
}

/// Returns the standard error of the loss on these documents, or `None` for a single document.
pub(super) fn standard_error(documents: &[Evaluation]) -> Option<f64> {
    Estimate::of(documents.iter().map(|one| (one.nll, one.tokens))).standard_error
}

/// Adds the losses of a model to the sums over models, document by document. No sums are those of no models.
fn add(sums: &mut Vec<Evaluation>, documents: &[Evaluation]) {
    sums.resize(documents.len(), Evaluation { nll: 0.0, tokens: 0 });
    for (sum, one) in sums.iter_mut().zip(documents) {
        *sum = Evaluation { nll: sum.nll + one.nll, tokens: sum.tokens + one.tokens };
    }
}

/// Returns the loss of a trainer's model on each validation document. A stop does not end this work, because the run has
/// no result without it.
fn evaluate_each(trainer: &mut Trainer, i: usize, documents: usize) -> Result<Vec<Evaluation>> {
    loop {
        match trainer.device(i).evaluate_each(documents) {
            Err(Error::Stopped) => trainer.outlast_stop(),
            each => return each,
        }
    }
}

/// A model that takes part in a comparison, with its loss on each validation document.
struct Candidate {
    run: Run,
    loss: f64,
    documents: Vec<Evaluation>,
}

/// The models of a run that have been compared so far.
#[derive(Default)]
pub(super) struct Comparison {
    /// The losses of each configuration.
    pub(super) results: Vec<SweepResult>,
    /// The best two models, the better one first. In a sweep they are of two configurations.
    ranking: Vec<Candidate>,
}

impl Comparison {
    /// Adds the models of a group that has been trained. A model that diverged has no validation loss.
    pub(super) fn record(&mut self, trainer: &mut Trainer, runs: &[Run], val_losses: &[f64], cli: &Cli) -> Result<()> {
        let seeds = cli.training.seeds;
        for (first, val_losses) in (0..).step_by(seeds).zip(val_losses.chunks(seeds)) {
            let mut sums = Vec::new();
            for (i, &loss) in (first..).zip(val_losses).filter(|(_, loss)| !loss.is_nan()) {
                let documents = evaluate_each(trainer, i, cli.val_docs())?;
                add(&mut sums, &documents);
                self.rank(Candidate { run: runs[i].clone(), loss, documents });
            }
            let (config, val_losses) = (runs[first].config.clone(), val_losses.to_vec());
            // The loss over the summed documents is the mean of the models' losses.
            self.results.push(SweepResult { config, val_losses, standard_error: standard_error(&sums) });
        }
        Ok(())
    }

    /// Keeps a model if it is one of the best two. The best seed of a swept configuration stands for it.
    fn rank(&mut self, candidate: Candidate) {
        let config = &candidate.run.config;
        let is_same = |other: &Candidate| !config.swept.is_empty() && other.run.config == *config;
        if let Some(place) = self.ranking.iter().position(is_same) {
            if self.ranking[place].loss <= candidate.loss {
                return;
            }
            self.ranking.remove(place);
        }
        let place = self.ranking.partition_point(|other| other.loss <= candidate.loss);
        self.ranking.insert(place, candidate);
        self.ranking.truncate(2);
    }

    /// Returns the standard error of the best model's loss, for the end of the line that names the model.
    pub(super) fn standard_error(&self) -> String {
        let error = self.ranking.first().and_then(|best| standard_error(&best.documents));
        error.map_or(String::new(), |error| format!(" | standard error {}", Loss(error)))
    }

    /// Returns a line about the second model, if its loss may be larger than that of the best by chance.
    ///
    /// Both are measured on the same documents, so the standard error is that of the documents' differences. It is
    /// smaller than those of the two losses. Windows of a text differ with the block size. Then the error is the larger
    /// one of two independent losses.
    pub(super) fn doubt(&self) -> String {
        let [best, second] = &self.ranking[..] else { return String::new() };
        let tokens = |candidate: &Candidate| candidate.documents.iter().map(|one| one.tokens).collect::<Vec<_>>();
        let Estimate { mean, standard_error } = if tokens(best) == tokens(second) {
            let pairs = best.documents.iter().zip(&second.documents);
            Estimate::of(pairs.map(|(best, second)| (second.nll - best.nll, best.tokens)))
        } else {
            let errors = [best, second].map(|candidate| standard_error(&candidate.documents));
            let error = if let [Some(a), Some(b)] = errors { Some(a.hypot(b)) } else { None };
            Estimate { mean: second.loss - best.loss, standard_error: error }
        };
        if standard_error.is_some_and(|error| mean >= ERRORS_APART * error) {
            return String::new();
        }
        let error = standard_error.map_or("unknown".to_owned(), |error| Loss(error).to_string());
        format!("not told apart: {} | {} behind, standard error {error}\n", second.run, Loss(mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ModelConfig, TrainConfig};
    use crate::run::{RunConfig, Setting};

    fn documents(values: &[(f64, u64)]) -> Vec<Evaluation> {
        values.iter().map(|&(nll, tokens)| Evaluation { nll, tokens }).collect()
    }

    fn candidate(seed: u64, values: &[(f64, u64)]) -> Candidate {
        let config = RunConfig { swept: vec![], model: ModelConfig::default(), train: TrainConfig::default() };
        let documents = documents(values);
        let loss = crate::device::total(&documents).loss();
        Candidate { run: Run { seed, config }, loss, documents }
    }

    #[test]
    fn the_standard_error_of_documents_of_one_length_is_that_of_their_mean() {
        // The values per token are 1, 2 and 6, with a mean of 3 and a variance of 7.
        let error = standard_error(&documents(&[(2.0, 2), (4.0, 2), (12.0, 2)])).unwrap();
        assert!((error - (7.0f64 / 3.0).sqrt()).abs() < 1e-12, "{error}");
        assert_eq!(standard_error(&documents(&[(2.0, 2)])), None);
    }

    #[test]
    fn documents_of_one_loss_per_token_have_no_error() {
        assert_eq!(standard_error(&documents(&[(1.0, 2), (2.0, 4), (4.5, 9)])), Some(0.0));
    }

    #[test]
    fn the_first_two_are_told_apart_by_the_differences_on_the_same_documents() {
        let doubt = |second: &[(f64, u64)]| {
            let mut comparison = Comparison::default();
            comparison.rank(candidate(3, &[(90.0, 2), (90.0, 2), (90.0, 2)]));
            comparison.rank(candidate(2, second));
            comparison.rank(candidate(1, &[(2.0, 2), (4.0, 2), (12.0, 2)]));
            comparison.doubt()
        };
        // Every document is behind by 0.01 per token, far less than the standard error of either loss.
        assert_eq!(doubt(&[(2.02, 2), (4.02, 2), (12.02, 2)]), "");
        // The documents are behind by 0.01, 0.02 and -0.02 per token.
        let line = doubt(&[(2.02, 2), (4.04, 2), (11.96, 2)]);
        assert_eq!(line, "not told apart: seed 2 | 0.0033 behind, standard error 0.0120\n");
    }

    #[test]
    fn windows_of_two_sizes_have_the_error_of_two_independent_losses() {
        let mut comparison = Comparison::default();
        // The values per token have a mean of 3 and a variance of 7, and of 3.5 and 0.5.
        comparison.rank(candidate(1, &[(2.0, 2), (4.0, 2), (12.0, 2)]));
        comparison.rank(candidate(2, &[(9.0, 3), (12.0, 3)]));
        let error = (7.0f64 / 3.0 + 0.5 / 2.0).sqrt();
        let expected = format!("not told apart: seed 2 | 0.5000 behind, standard error {}\n", Loss(error));
        assert_eq!(comparison.doubt(), expected);
    }

    #[test]
    fn a_swept_configuration_takes_one_of_the_first_two_places() {
        let mut comparison = Comparison::default();
        for (seed, rate, loss) in [(1, "0.1", 2.0), (2, "0.1", 1.0), (1, "0.2", 5.0), (2, "0.2", 3.0), (3, "0.1", 1.5)]
        {
            let mut candidate = candidate(seed, &[(loss, 1), (loss, 1)]);
            candidate.run.config.swept = vec![Setting { flag: "beta1".to_owned(), value: rate.to_owned() }];
            comparison.rank(candidate);
        }
        let ranking: Vec<String> = comparison.ranking.iter().map(|candidate| candidate.run.to_string()).collect();
        assert_eq!(ranking, ["seed 2, beta1 0.1", "seed 2, beta1 0.2"]);
    }

    #[test]
    fn models_are_summed_document_by_document() {
        let mut sums = Vec::new();
        add(&mut sums, &documents(&[(1.0, 2), (5.0, 3)]));
        add(&mut sums, &documents(&[(3.0, 2), (6.0, 3)]));
        assert_eq!(sums, documents(&[(4.0, 4), (11.0, 6)]));
        // Two equal models have the standard error of one.
        let one = documents(&[(1.0, 2), (5.0, 3)]);
        let mut twice = one.clone();
        add(&mut twice, &one);
        assert_eq!(standard_error(&twice), standard_error(&one));
        assert_eq!(standard_error(&[]), None);
    }
}
