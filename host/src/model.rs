//! A trained model, which can be saved, loaded and sampled from.

#[cfg(not(target_family = "wasm"))]
use std::path::Path;

#[cfg(not(target_family = "wasm"))]
use crate::atomic_file::AtomicFile;
#[cfg(not(target_family = "wasm"))]
use crate::checkpoint::{self, StoredModel};
use crate::device::State;
#[cfg(not(target_family = "wasm"))]
use crate::error::Result;
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

#[cfg(not(target_family = "wasm"))]
impl Model {
    /// Reads a model from a safetensors file that states its dimensions and its vocabulary, as [`Self::save`] and the command
    /// line's `--save` write it.
    ///
    /// # Errors
    /// If the file cannot be read, or holds no such model.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let StoredModel { vocabulary, state, .. } = checkpoint::read(path.as_ref())?;
        Ok(Self { state, tokenizer: Tokenizer::from_chars(vocabulary)? })
    }

    /// Writes the model to a safetensors file. A failure leaves an earlier file as it was.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        AtomicFile::new(path.as_ref())?.save(&checkpoint::to_bytes(&self.state, self.tokenizer.chars(), None)?)
    }
}
