//! A trained model, which can be saved, loaded and sampled from.

use crate::device::State;
use crate::tokenizer::Tokenizer;

/// A trained model and its vocabulary.
///
/// ```
/// use microgpt::{Config, Corpus, Model, Trainer};
///
/// let corpus = Corpus::from_text("emma\nolivia\nava\nisabella\nsophia\n")?;
/// let model = Trainer::new(&Config { steps: 5, ..Config::default() }, &corpus)?.finish()?;
/// let path = std::env::temp_dir().join(format!("microgpt-{}.safetensors", std::process::id()));
/// model.save(&path)?;
/// assert_eq!(Model::load(&path)?, model);
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), microgpt::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The weights, the optimiser's moments and the number of steps.
    pub state: State,
    /// The vocabulary.
    pub tokenizer: Tokenizer,
}
