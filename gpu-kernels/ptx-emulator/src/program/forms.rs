//! The table of instructions, with a row for each form in the notation of the PTX ISA's syntax sections.

use std::collections::{BTreeMap, BTreeSet};
use std::slice::from_ref;

use super::decoder::{Decoded, Decoder};
use super::lanes::LaneFunction;

pub(super) struct Form {
    modifiers: Vec<Modifier>,
    decode: Box<dyn Fn(&mut Decoder) -> Decoded + Send + Sync>,
}

struct Modifier {
    /// The alternative names of the modifier.
    names: Vec<String>,
    optional: bool,
}

/// The forms of each opcode. The first form that fits decodes an instruction.
#[derive(Default)]
pub(super) struct Table(BTreeMap<String, Vec<Form>>);

/// Returns the names of a table of modifiers as alternatives of a pattern.
pub(super) fn alternatives<T>(table: &[(&str, T)]) -> String {
    table.iter().map(|(name, _)| *name).collect::<Vec<_>>().join("|")
}

impl Table {
    /// Returns the table of the forms that the functions of some families add.
    pub(super) fn of(families: &[fn(&mut Self)]) -> Self {
        let mut table = Self::default();
        for forms in families {
            forms(&mut table);
        }
        table
    }

    /// Adds a form. Its pattern is the opcode and the modifiers in their order, with `|` between alternatives and `?`
    /// after optional ones, as in `min.ftz?.NaN?.f32` and `brev.b32|b64`.
    pub(super) fn add(&mut self, pattern: &str, decode: impl Fn(&mut Decoder) -> Decoded + Send + Sync + 'static) {
        let mut parts = pattern.split('.');
        let opcode = parts.next().expect("a split has a first part");
        let modifier = |part: &str| Modifier {
            names: part.trim_end_matches('?').split('|').map(str::to_string).collect(),
            optional: part.ends_with('?'),
        };
        let form = Form { modifiers: parts.map(modifier).collect(), decode: Box::new(decode) };
        self.0.entry(opcode.to_string()).or_default().push(form);
    }

    /// Adds a form that computes `f` in each lane.
    pub(super) fn lanes<Sources, D>(
        &mut self,
        pattern: &str,
        f: impl LaneFunction<Sources, D> + Copy + Send + Sync + 'static,
    ) {
        self.add(pattern, move |i| i.compute(f));
    }

    /// Returns the first form that fits an opcode and modifiers, or `None` if the table lacks the opcode.
    pub(super) fn find(&self, opcode: &str, modifiers: &[String]) -> Option<Decoded<&Form>> {
        let forms = self.0.get(opcode)?;
        if let Some(form) = forms.iter().find(|form| form.mismatch(modifiers).is_none()) {
            return Some(Ok(form));
        }
        // The error names the first modifier that no form accepts.
        let mismatches = forms.iter().filter_map(|form| form.mismatch(modifiers));
        let furthest = mismatches.clone().map(|(at, _)| at).max().unwrap_or(0);
        let expected = mismatches.filter(|(at, _)| *at == furthest).flat_map(|(_, expected)| expected);
        let expected: BTreeSet<_> = expected.flat_map(|modifier| &modifier.names).map(String::as_str).collect();
        let found = modifiers.get(furthest).map_or("nothing".into(), |name| format!("`.{name}`"));
        Some(Err(if expected.is_empty() {
            format!("modifier {found} is not of the subset here")
        } else {
            format!("expected `.{}`, found {found}", expected.into_iter().collect::<Vec<_>>().join("|"))
        }))
    }

    /// Returns the opcodes of the table.
    #[cfg(test)]
    pub(super) fn opcodes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns the forms of an opcode.
    pub(super) fn forms(&self, opcode: &str) -> impl Iterator<Item = &Form> {
        self.0.get(opcode).into_iter().flatten()
    }

    /// Returns the modifiers of every instruction that the table accepts, each with its opcode.
    pub(super) fn mnemonics(&self) -> Vec<(&str, Vec<String>)> {
        let forms = self.0.iter().flat_map(|(opcode, forms)| forms.iter().map(move |form| (opcode.as_str(), form)));
        forms.flat_map(|(opcode, form)| form.expand().into_iter().map(move |modifiers| (opcode, modifiers))).collect()
    }
}

impl Form {
    pub(super) fn decode(&self, decoder: &mut Decoder) -> Decoded {
        (self.decode)(decoder)
    }

    /// Returns whether the form accepts an instruction that begins with these modifiers.
    pub(super) fn begins_with(&self, modifiers: &[&str]) -> bool {
        let mut own = self.modifiers.iter();
        modifiers.iter().all(|wanted| {
            for modifier in own.by_ref() {
                if modifier.names.iter().any(|name| name == wanted) {
                    return true;
                }
                if !modifier.optional {
                    return false;
                }
            }
            false
        })
    }

    /// Returns the modifiers in the notation of the ISA, such as `{.ftz}{.rn|.rz}.f32`.
    pub(super) fn pattern(&self) -> String {
        let modifier = |modifier: &Modifier| {
            let names: Vec<_> = modifier.names.iter().map(|name| format!(".{name}")).collect();
            match (&names[..], modifier.optional) {
                ([name], false) => name.clone(),
                (names, false) => names.join("|"),
                (names, true) => format!("{{{}}}", names.join("|")),
            }
        };
        self.modifiers.iter().map(modifier).collect()
    }

    /// Returns the index of the first modifier that does not fit, and the form's modifiers that would fit there, or
    /// `None` if all modifiers fit.
    fn mismatch(&self, modifiers: &[String]) -> Option<(usize, &[Modifier])> {
        let (mut at, mut from) = (0, 0);
        for (index, modifier) in self.modifiers.iter().enumerate() {
            if modifiers.get(at).is_some_and(|found| modifier.names.contains(found)) {
                (at, from) = (at + 1, index + 1);
            } else if !modifier.optional {
                return Some((at, &self.modifiers[from..=index]));
            }
        }
        (at < modifiers.len()).then_some((at, &self.modifiers[from..]))
    }

    /// Returns all lists of modifiers that fit.
    fn expand(&self) -> Vec<Vec<String>> {
        let mut lists = vec![Vec::new()];
        for modifier in &self.modifiers {
            let mut longer = if modifier.optional { lists.clone() } else { Vec::new() };
            for list in &lists {
                longer.extend(modifier.names.iter().map(|name| [&list[..], from_ref(name)].concat()));
            }
            lists = longer;
        }
        lists
    }
}

/// The names of PTX for types, as Rust types.
#[allow(non_camel_case_types, reason = "PTX's own names")]
pub(super) mod types {
    pub use std::primitive::{u16, u32, u64};
    pub type b16 = u16;
    pub type b32 = u32;
    pub type b64 = u64;
    pub type s16 = i16;
    pub type s32 = i32;
    pub type s64 = i64;
}

/// Adds forms for each of some PTX types. A row `$name => $f` becomes the pattern `$name.$typ`, which computes `$f` in
/// each lane. In `$f`, `$T` is the type, and `$W` the wider type of its row.
macro_rules! typed_forms {
    ($table:ident, $T:ident in [$($typ:ident)*] $rows:tt) => {
        typed_forms! { $table, ($T, W) in [$(($typ, ()))*] $rows }
    };
    ($table:ident, ($T:ident, $W:ident) in [$(($typ:ident, $wide:ty))*] $rows:tt) => {$({
        type $T = $crate::program::forms::types::$typ;
        #[allow(dead_code, reason = "not every list of rows needs both")]
        type $W = $wide;
        typed_forms!(@rows $table $typ $rows);
    })*};
    (@rows $table:ident $typ:ident { $($name:literal => $f:expr,)* }) => {
        $($table.lanes(concat!($name, ".", stringify!($typ)), $f);)*
    };
}
pub(super) use typed_forms;
