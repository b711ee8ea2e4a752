//! Errors in the words of the page.

use microgpt::error::Error;

/// The flags of the command line that errors name, and the names of the same settings in the page.
const CONTROLS: [(&str, &str); 4] =
    [("--n-embd", "n_embd"), ("--n-head", "n_head"), ("--n-layer", "n_layer"), ("--block-size", "block_size")];

/// Returns the report of an error. It names the settings of the page, and its hint names no flag.
pub(super) fn report(error: &Error) -> String {
    let mut text = error.report();
    if let Some(hint) = hint(error) {
        let end = text.rfind("\nhint: ").unwrap_or(text.len());
        text.truncate(end);
        text += "\nhint: ";
        text += hint;
    }
    for (flag, control) in CONTROLS {
        text = text.replace(flag, control);
    }
    text
}

/// Returns the page's own hint for an error whose hint names flags that the page lacks.
fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::TooFewDocuments { .. } => Some("put at least two documents on lines of their own"),
        Error::Memory { .. } | Error::OutOfMemory(_) => {
            Some("lower n_embd, n_layer or block_size, or use a part of a large corpus")
        }
        Error::Diverged { .. } | Error::AllDiverged | Error::Sample { .. } => {
            Some("lower the learning rate and train again")
        }
        Error::OtherEncoding { .. } | Error::NotUtf8 { .. } => {
            Some("save the text as UTF-8, which is a choice of the editor’s Save As")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_the_settings_of_the_page() {
        let indivisible = report(&Error::IndivisibleChannels { n_embd: 16, n_head: 3 });
        let expected = "error: `n_embd 16` is not divisible by `n_head 3`\n\
                        hint: choose a divisor of n_embd, for instance `n_head 2`";
        assert_eq!(indivisible, expected);
        let diverged = report(&Error::Diverged { step: 3, reason: "the loss is NaN".to_owned(), saves: false });
        assert!(diverged.ends_with("\nhint: lower the learning rate and train again"), "{diverged}");
        assert!(!diverged.contains("--"), "{diverged}");
    }
}
