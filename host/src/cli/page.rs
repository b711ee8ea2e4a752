//! The page of a trained model, which is the page of the repository with the model and its corpus in it.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::args::Cli;
use super::overwrite::refuse_other_than_page;
use crate::atomic_file::AtomicFile;
use crate::config::{OptimizerConfig, num_params};
use crate::corpus::{CorpusMode, Dataset};
use crate::device::State;
use crate::error::{Error, Result};
use crate::run::RunConfig;
use crate::trainer::Checkpoint;

/// The page of the repository, which `cargo run --release -p page` writes.
const PAGE: &str = include_str!("../../../assets/microgpt.html");

/// The place of the trained model in the page.
const PLACE: &str = "<script type=\"application/json\" id=\"trained\">null</script>";

/// The largest size of the model and the corpus in bytes. A browser takes several times as much memory to open them.
const LIMIT: usize = 50_000_000;

/// The largest seed of a run that a page can repeat, which is the largest integer that JavaScript stores exactly.
const MAX_SEED: u64 = (1 << 53) - 1;

/// The file of a page.
pub(super) struct Page(AtomicFile);

impl Page {
    /// Checks that the page of a run can be written to `path`, before anything is trained.
    ///
    /// # Errors
    /// If the name does not end in `.html` or is that of a file of another kind, if the page cannot show such a corpus, if the
    /// page would be too large, and those of [`AtomicFile::new`].
    pub(super) fn new(path: &Path, cli: &Cli, documents: &[&str], vocab: usize) -> Result<Self> {
        let refused = |reason: String, hint| {
            Err(Error::usage(format!("cannot write the page `{}`: {reason}", path.display()), hint))
        };
        if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("html")) {
            return refused(
                "its name does not end in .html".to_owned(),
                "choose such a name, as in `--page model.html`",
            );
        }
        if cli.mode() == CorpusMode::Text {
            return refused(
                "it shows models of lines, not of a text".to_owned(),
                "leave `--corpus text` or `--page` out",
            );
        }
        if documents.iter().any(|document| document.trim() != *document) {
            let reason = "it trims the documents, which have white space at their ends".to_owned();
            return refused(reason, "leave `--keep-spaces` or `--page` out");
        }
        let model = |config: &RunConfig| Ok(12 * num_params(config.model.shape(vocab)?));
        let model = cli.configs.iter().map(model).collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or_default();
        let corpus: usize = documents.iter().map(|document| document.len() + 1).sum();
        for (name, size, hint) in
            [("the corpus", corpus, "train on a part of the corpus"), ("the model", model, "choose a smaller model")]
        {
            if size > LIMIT {
                let (size, limit) = (size.div_ceil(1_000_000), LIMIT / 1_000_000);
                return refused(format!("{name} has {size} MB, expected {limit} MB or less"), hint);
            }
        }
        let file = AtomicFile::new(path)?;
        refuse_other_than_page(path)?;
        Ok(Self(file))
    }

    /// Returns the path as the user gave it.
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes the page of the model that a run has ended with.
    pub(super) fn save(&self, cli: &Cli, last: &Checkpoint, dataset: &Dataset, documents: &[&str]) -> Result<()> {
        let Checkpoint { run, state, val_loss, is_validated, .. } = last;
        let (model, train) = (run.config.model, run.config.train);
        // The page has no flags for the rest of the optimiser's values and the batch, so it cannot repeat other runs.
        let optimizer = OptimizerConfig { learning_rate: train.optimizer.learning_rate, ..Default::default() };
        // The page's language has no larger integers.
        let seed = (run.seed <= MAX_SEED && cli.run.init_from.is_none()).then_some(run.seed);
        let repeats = train.batch == 1
            && train.optimizer == optimizer
            && seed == Some(cli.run.seed)
            && !cli.run.no_shuffle
            && state.step == train.steps;
        let trained = json!({
            "settings": {
                "steps": train.steps,
                "learning_rate": train.optimizer.learning_rate,
                "seed": cli.run.seed,
                "n_embd": model.n_embd,
                "n_head": model.n_head,
                "n_layer": model.n_layer,
                "block_size": model.block_size,
            },
            "step": state.step,
            "val_loss": is_validated.then_some(val_loss),
            "val_docs": cli.val_docs().min(dataset.val.len()),
            "initial_seed": seed,
            "repeats": repeats,
            "shuffle": !cli.run.no_shuffle,
            "vocabulary": dataset.tokenizer.chars().iter().collect::<String>(),
            "corpus": documents.join("\n"),
            "values": STANDARD.encode(values(state)),
        });
        // A `<` could begin a tag that ends the script. JSON has another form for it.
        let trained = trained.to_string().replace('<', "\\u003c");
        let (before, after) = PAGE.split_once(PLACE).expect("`the_page_has_one_place_for_a_trained_model` checks this");
        let script = PLACE.replace("null", &trained);
        self.0.save([before, &script, after].concat().as_bytes())
    }
}

/// Returns the weights and both moments, one after the other, as little-endian values.
fn values(state: &State) -> Vec<u8> {
    let arrays = [&state.weights, &state.m, &state.v];
    arrays.iter().flat_map(|array| &array.values).flat_map(|value| value.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_place_for_a_trained_model() {
        assert_eq!(PAGE.matches(PLACE).count(), 1);
    }
}
