//! The models of a run: one, or several that differ in their seed or in values that are swept.

use std::fmt;

use serde_json::{Map, Value};

use crate::config::{ModelConfig, TrainConfig};
use crate::report::Loss;

/// A combination of swept values, and what becomes of the configuration with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Flags without their dashes, and their values: none, where nothing is swept.
    pub values: Vec<(String, String)>,
    /// The model's dimensions.
    pub model: ModelConfig,
    /// How it is trained.
    pub train: TrainConfig,
}

/// For a legend: `learning-rate 0.003, n-embd 16`.
impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.values.iter().map(|(flag, value)| format!("{flag} {value}")).collect();
        f.write_str(&values.join(", "))
    }
}

/// A model of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The seed of its initial weights.
    pub seed: u64,
    /// What it is a replica of.
    pub variant: Variant,
}

/// For a notice.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}", self.seed)?;
        if self.variant.values.is_empty() { Ok(()) } else { write!(f, ", {}", self.variant) }
    }
}

impl Member {
    /// The swept values, as numbers.
    pub fn sweep(&self) -> Map<String, Value> {
        // As the flags read them, which take more than JSON does, such as `.01`.
        let number = |text: &str| {
            let whole = text.parse::<u64>().map(Value::from);
            whole.unwrap_or_else(|_| text.parse::<f64>().map_or_else(|_| Value::from(text), Value::from))
        };
        self.variant.values.iter().map(|(flag, value)| (flag.clone(), number(value))).collect()
    }
}

/// The variants in groups that train side by side: those of one shape and one batch size, in the order of the first of each.
pub fn groups(variants: &[Variant]) -> Vec<Vec<Variant>> {
    let mut groups: Vec<Vec<Variant>> = Vec::new();
    for variant in variants {
        let same = |other: &Variant| other.model == variant.model && other.train.batch == variant.train.batch;
        match groups.iter_mut().find(|group| same(&group[0])) {
            Some(group) => group.push(variant.clone()),
            None => groups.push(vec![variant.clone()]),
        }
    }
    groups
}

/// `replicas` models of each variant, from the seeds `seed`, `seed + 1`, ..
pub fn members(variants: &[Variant], replicas: usize, seed: u64) -> Vec<Member> {
    let replicas = |variant: &Variant| {
        let variant = variant.clone();
        (0..replicas as u64).map(move |i| Member { seed: seed.wrapping_add(i), variant: variant.clone() })
    };
    variants.iter().flat_map(replicas).collect()
}

/// The table at the end of a sweep: a line for each variant with its values and the validation losses of its replicas, NaN
/// for those that diverged.
pub fn table(results: &[(Variant, Vec<f64>)]) -> String {
    let flags = results.first().map(|(variant, _)| &variant.values[..]).unwrap_or_default();
    let mut head: Vec<String> = flags.iter().map(|(flag, _)| flag.clone()).collect();
    head.extend(["val loss", "std", "best", "worst", "diverged"].map(str::to_owned));
    let row = |(variant, losses): &(Variant, Vec<f64>)| {
        let mut row: Vec<String> = variant.values.iter().map(|(_, value)| value.clone()).collect();
        let finite = losses.iter().copied().filter(|loss| loss.is_finite());
        match Summary::of(finite.clone()) {
            Some(Summary { mean, std, min, max }) => row.extend([mean, std, min, max].map(|x| Loss(x).to_string())),
            None => row.extend([const { "-" }; 4].map(str::to_owned)),
        }
        row.push((losses.len() - finite.count()).to_string());
        row
    };
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(results.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().enumerate().map(|(i, cell)| format!("{cell:>w$}", w = width(i))).collect();
        cells.join("  ")
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Mean, standard deviation, least and largest of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation (with n - 1); 0 for one number.
    pub std: f64,
    /// The least.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// Of these numbers, if there are any.
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let n = values.clone().count();
        if n == 0 {
            return None;
        }
        let mean = values.clone().sum::<f64>() / n as f64;
        let squares: f64 = values.clone().map(|value| (value - mean).powi(2)).sum();
        let std = if n == 1 { 0.0 } else { (squares / (n - 1) as f64).sqrt() };
        let (min, max) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), x| (min.min(x), max.max(x)));
        Some(Self { mean, std, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OptimizerConfig;

    fn variant(values: &[(&str, &str)], n_embd: usize) -> Variant {
        let train = TrainConfig { steps: 1, batch: 1, optimizer: OptimizerConfig::default() };
        let values = values.iter().map(|&(flag, value)| (flag.to_owned(), value.to_owned())).collect();
        Variant { values, model: ModelConfig { n_embd, ..ModelConfig::default() }, train }
    }

    #[test]
    fn a_summary_is_that_of_a_sample() {
        let of = |values: &[f64]| Summary::of(values.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0]), Some(Summary { mean: 3.0, std: 0.0, min: 3.0, max: 3.0 }));
        assert_eq!(of(&[1.0, 5.0, 3.0]), Some(Summary { mean: 3.0, std: 2.0, min: 1.0, max: 5.0 }));
    }

    #[test]
    fn groups_share_a_shape_and_members_are_replicas() {
        let variants = [variant(&[("eps", "1")], 4), variant(&[("eps", "2")], 8), variant(&[("eps", "3")], 4)];
        let groups = groups(&variants);
        assert_eq!(groups, [vec![variants[0].clone(), variants[2].clone()], vec![variants[1].clone()]]);
        let members: Vec<String> = members(&groups[0], 2, u64::MAX).iter().map(Member::to_string).collect();
        let last = u64::MAX;
        assert_eq!(
            members,
            [&format!("seed {last}, eps 1"), "seed 0, eps 1", &format!("seed {last}, eps 3"), "seed 0, eps 3"]
        );
    }

    #[test]
    fn swept_values_are_numbers_however_they_are_spelt() {
        for (text, number) in [
            ("16", "16"),
            ("0.003", "0.003"),
            (".01", "0.01"),
            ("+0.5", "0.5"),
            ("+8", "8"),
            ("1.", "1.0"),
            ("1E-3", "0.001"),
        ] {
            let member = Member { seed: 0, variant: variant(&[("eps", text)], 4) };
            assert_eq!(Value::Object(member.sweep()).to_string(), format!("{{\"eps\":{number}}}"), "{text}");
        }
    }

    #[test]
    fn the_table_has_a_line_a_variant() {
        let results = [
            (variant(&[("learning-rate", "0.01"), ("n-embd", "16")], 16), vec![2.5, f64::NAN, 2.7]),
            (variant(&[("learning-rate", "0.1"), ("n-embd", "8")], 8), vec![f64::NAN]),
        ];
        let expected = "\
learning-rate  n-embd  val loss     std    best   worst  diverged
         0.01      16    2.6000  0.1414  2.5000  2.7000         1
          0.1       8         -       -       -       -         1";
        assert_eq!(table(&results), expected);
    }
}
