//! A variant of an instruction, its oracle, and the kernel that runs the variant.

use crate::driver::{Driver, THREADS};
use crate::values::{Rows, rows};

/// The expected result of an instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expected {
    /// These bits, truncated to the width of the destination.
    Bits(u64),
    /// Any single-precision NaN, because the manual leaves the bits of a NaN open.
    Nan32,
    /// Any double-precision NaN.
    Nan64,
    /// A single-precision value and its largest relative error. Near zero, an absolute error of 1e-37 passes too.
    Near(f64, f64),
    /// A double-precision value and its largest relative error.
    NearDouble(f64, f64),
    /// Any bits, because the manual leaves the result open.
    Unspecified,
}

impl From<u64> for Expected {
    fn from(bits: u64) -> Self {
        Self::Bits(bits)
    }
}

/// A function from the sources, truncated to their widths, to the result.
pub type Oracle = Box<dyn Fn(&[u64]) -> Expected>;

/// A variant and its oracle.
pub struct Case {
    /// The form, as in `ptx_emulator::Variant::form`.
    pub form: String,
    rows: Rows,
    /// The distance between the rows that the case runs on.
    step: usize,
    oracle: Oracle,
    /// The value of `const` in the form.
    constant: u64,
}

/// Returns the width of an operand in bits. The width of a vector is the sum of the widths of its parts.
fn width(kind: &str) -> u32 {
    kind.split(['{', ',', '}', '|'])
        .map(|part| match part {
            "b16" => 16,
            "b32" => 32,
            "b64" | "const" => 64,
            "pred" | "!pred" => 1,
            _ => 0,
        })
        .sum()
}

/// Returns the lowest `bits` bits of `value`.
pub fn cut(value: u64, bits: u32) -> u64 {
    if bits >= 64 { value } else { value & ((1 << bits) - 1) }
}

/// Splits `b32,{b16,b16},!pred` at the commas outside of braces.
fn kinds(operands: &str) -> Vec<String> {
    let mut kinds = vec![String::new()];
    let mut depth = 0;
    for c in operands.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c {
            ',' if depth == 0 => kinds.push(String::new()),
            c => kinds.last_mut().expect("there is one").push(c),
        }
    }
    kinds
}

/// Returns an operand's declaration, its name in the instruction, the code that loads it from `[%at+offset]`, and the
/// code that stores it to `[%to]`.
fn operand(kind: &str, name: &str, offset: usize, constant: u64) -> [String; 4] {
    match kind {
        "const" => [String::new(), constant.to_string(), String::new(), String::new()],
        "pred" | "!pred" => [
            format!(".reg .pred %{name}; .reg .b32 %w{name};"),
            format!("{}%{name}", &kind[..kind.len() - 4]),
            format!(
                "ld.global.b32 %w{name}, [%at+{offset}]; and.b32 %w{name}, %w{name}, 1; setp.ne.b32 %{name}, %w{name}, 0;"
            ),
            format!("selp.b32 %w{name}, 1, 0, %{name}; st.global.b32 [%to], %w{name};"),
        ],
        "pred|pred" => [
            format!(".reg .pred %{name}, %{name}q; .reg .b32 %w{name}, %wq;"),
            format!("%{name}|%{name}q"),
            String::new(),
            format!(
                "selp.b32 %w{name}, 1, 0, %{name}; selp.b32 %wq, 2, 0, %{name}q; or.b32 %w{name}, %w{name}, %wq; \
                 st.global.b32 [%to], %w{name};"
            ),
        ],
        vector if vector.starts_with('{') => {
            let parts: Vec<&str> = vector.trim_matches(['{', '}']).split(',').collect();
            let bytes = width(parts[0]) as usize / 8;
            let each = |f: &dyn Fn(usize) -> String| (0..parts.len()).map(f).collect::<Vec<_>>().join(" ");
            let names = each(&|i| format!("%{name}{i}")).replace(' ', ", ");
            [
                each(&|i| format!(".reg .{} %{name}{i};", parts[0])),
                format!("{{{names}}}"),
                each(&|i| format!("ld.global.{} %{name}{i}, [%at+{}];", parts[0], offset + i * bytes)),
                each(&|i| format!("st.global.{} [%to+{}], %{name}{i};", parts[0], i * bytes)),
            ]
        }
        register => [
            format!(".reg .{register} %{name};"),
            format!("%{name}"),
            format!("ld.global.{register} %{name}, [%at+{offset}];"),
            format!("st.global.{register} [%to], %{name};"),
        ],
    }
}

impl Case {
    /// Creates a case of this form.
    pub fn new<E: Into<Expected>>(form: impl Into<String>, rows: Rows, oracle: impl Fn(&[u64]) -> E + 'static) -> Self {
        Self { form: form.into(), rows, step: 1, oracle: Box::new(move |sources| oracle(sources).into()), constant: 9 }
    }

    /// Replaces the constant.
    pub fn with_constant(self, constant: u64) -> Self {
        Self { constant, ..self }
    }

    /// Returns the kernel `k(from, to)`, which runs one thread for each row.
    pub fn kernel(&self) -> String {
        let (mnemonic, operands) = self.form.split_once(' ').expect("a form has operands");
        let names = ["d", "a", "b", "c", "e"];
        let parts: Vec<_> = kinds(operands)
            .iter()
            .zip(names)
            .enumerate()
            .map(|(i, (kind, name))| operand(kind, name, 8 * i.saturating_sub(1), self.constant))
            .collect();
        let column = |of: usize, from: usize, separator: &str| {
            parts[from..].iter().map(|part| part[of].clone()).collect::<Vec<_>>().join(separator)
        };
        format!(
            ".version 7.0\n.target sm_75\n.address_size 64\n.visible .entry k(.param .u64 from, .param .u64 to)\n{{\n\
             .reg .b64 %at, %to, %i; .reg .b32 %t, %u;\n{}\n\
             mov.u32 %t, %ctaid.x; mov.u32 %u, %tid.x; mad.lo.u32 %t, %t, {THREADS}, %u; ld.param.u64 %at, [from];\n\
             mul.wide.u32 %i, %t, 32; add.u64 %at, %at, %i; ld.param.u64 %to, [to]; mul.wide.u32 %i, %t, 8; add.u64 %to, %to, %i;\n\
             {}\n{mnemonic} {};\n{}\nret;\n}}\n",
            column(0, 0, "\n"),
            column(2, 1, "\n"),
            column(1, 0, ", "),
            parts[0][3],
        )
    }

    /// Runs the case on a part of the rows. Another case tests the same comparison on all rows.
    pub fn sparse(self) -> Self {
        Self { step: 13, ..self }
    }

    /// Returns the rows of operands that the case runs on.
    pub fn rows(&self) -> Vec<[u64; 4]> {
        rows(self.rows).iter().step_by(self.step).copied().collect()
    }

    /// Runs the case on a driver and compares the results.
    pub fn check(&self, driver: &Driver) {
        self.compare(&driver.map(&self.kernel(), &self.rows()));
    }

    /// Compares the results, one for each row, with the oracle's.
    pub fn compare(&self, found: &[u64]) {
        let operands = kinds(self.form.split_once(' ').expect("a form has operands").1);
        let bits = width(&operands[0]);
        for (row, found) in self.rows().iter().zip(found) {
            let source = |(kind, value): (&String, &u64)| match kind.as_str() {
                "const" => self.constant,
                // The instruction reads the negated predicate, so the oracle gets that.
                "!pred" => cut(!value, 1),
                kind => cut(*value, width(kind)),
            };
            let sources: Vec<u64> = operands[1..].iter().zip(row).map(source).collect();
            let (expected, found) = ((self.oracle)(&sources), cut(*found, bits));
            let single = f64::from(f32::from_bits(found as u32));
            let agrees = match expected {
                Expected::Bits(expected) => cut(expected, bits) == found,
                Expected::Nan32 => single.is_nan(),
                Expected::Nan64 => f64::from_bits(found).is_nan(),
                Expected::Near(value, part) if value.is_finite() => {
                    (single - value).abs() <= part * value.abs() + 1e-37
                }
                Expected::Near(value, _) => single.is_nan() && value.is_nan() || single == value,
                Expected::NearDouble(value, part) => {
                    let found = f64::from_bits(found);
                    let near = (found - value).abs() <= part * value.abs();
                    found.is_nan() && value.is_nan() || found == value || value.is_finite() && near
                }
                Expected::Unspecified => true,
            };
            assert!(agrees, "{} of {sources:#x?} is {found:#x}, expected {expected:#x?}\n{}", self.form, self.kernel());
        }
    }
}
