//! The costs of kernels as ptxas assigns them, and their comparison with the last build.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::assembler::{self, Resources};
use crate::build::Ptx;
use crate::error::Error;
use crate::modules::Module;

/// The names of the costs, in the order of the columns.
const NAMES: [&str; 5] = ["registers", "spilled bytes", "stack bytes", "shared bytes", "instructions"];

/// The costs of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Costs {
    kernel: String,
    /// The costs of [`NAMES`]. The instructions are those of the PTX.
    values: [usize; 5],
}

impl Costs {
    fn new(Module { kernel, ptx }: &Module, resources: Resources) -> Self {
        let Resources { registers, shared, stack, spill_stores, .. } = resources;
        let is_instruction = |line: &&str| line.ends_with(';') && !line.starts_with('.');
        let instructions = ptx.lines().map(|line| line.split("//").next().unwrap_or_default().trim());
        let instructions = instructions.filter(is_instruction).count();
        Self { kernel: kernel.clone(), values: [registers as usize, spill_stores, stack, shared, instructions] }
    }

    /// Reads a line of the record of a build.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let kernel = words.next()?.to_owned();
        let values: Vec<usize> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
        Some(Self { kernel, values: values.try_into().ok()? })
    }
}

impl Ptx {
    /// Assembles the kernels, and returns a table of the kernels of which a cost rose since the build that the file
    /// `record` describes. The file is then replaced. Without the file, the table has all kernels. The text is empty if no
    /// cost rose, or if ptxas is not found.
    ///
    /// # Errors
    /// If ptxas refuses a kernel, or a file cannot be written.
    pub fn risen_costs(&self, record: &Path) -> Result<String, Error> {
        if !assembler::is_found() {
            return Ok(String::new());
        }
        let assembled = |module: &Module| {
            let cubin = record.with_file_name(&module.kernel).with_extension("cubin");
            let resources = assembler::assemble(&module.ptx, &module.kernel, self.arch, &cubin).map_err(Error)?;
            Ok(Costs::new(module, resources))
        };
        let costs = self.modules.iter().map(assembled).collect::<Result<Vec<_>, Error>>()?;
        let last = fs::read_to_string(record).ok();
        let lines = costs
            .iter()
            .map(|Costs { kernel, values }| format!("{kernel} {}\n", values.map(|x| x.to_string()).join(" ")));
        fs::write(record, lines.collect::<String>()).map_err(Error::io("write", record))?;
        let last = last.map(|text| text.lines().filter_map(Costs::parse).collect::<Vec<_>>());
        Ok(table(&costs, last.as_deref()))
    }
}

/// Returns the table of the kernels of which a cost rose, or of all kernels if there is no last build.
fn table(costs: &[Costs], last: Option<&[Costs]>) -> String {
    let rises = |Costs { kernel, values }: &Costs| -> Option<[usize; 5]> {
        let Some(last) = last else { return Some([0; 5]) };
        let before = last.iter().find(|last| last.kernel == *kernel).map_or(*values, |last| last.values);
        let rises: [usize; 5] = std::array::from_fn(|i| values[i].saturating_sub(before[i]));
        rises.iter().any(|rise| *rise > 0).then_some(rises)
    };
    let rows: Vec<_> = costs.iter().filter_map(|costs| Some((costs, rises(costs)?))).collect();
    if rows.is_empty() {
        return String::new();
    }
    let width = rows.iter().map(|(costs, _)| costs.kernel.len()).chain([6]).max().unwrap_or_default();
    let mut text = format!("{:width$}", "kernel");
    for name in NAMES {
        _ = write!(text, "  {name:>16}");
    }
    for (Costs { kernel, values }, rises) in rows {
        _ = write!(text, "\n{kernel:width$}");
        for (value, rise) in values.iter().zip(rises) {
            let cell = if rise > 0 { format!("{value} (+{rise})") } else { value.to_string() };
            _ = write!(text, "  {cell:>16}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(kernel: &str, values: [usize; 5]) -> Costs {
        Costs { kernel: kernel.to_owned(), values }
    }

    #[test]
    fn the_table_has_what_rose() {
        let last = [costs("saxpy", [24, 0, 0, 64, 120]), costs("scan", [40, 8, 8, 0, 300])];
        let now =
            [costs("saxpy", [26, 0, 0, 64, 110]), costs("scan", [39, 8, 8, 0, 300]), costs("life", [9, 0, 0, 0, 5])];
        let table = table(&now, Some(&last));
        let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1..], [["saxpy", "26", "(+2)", "0", "0", "64", "110"]]);
    }

    #[test]
    fn the_first_table_has_all_kernels() {
        let now = [costs("saxpy", [26, 0, 0, 64, 110]), costs("scan", [39, 8, 8, 0, 300])];
        assert_eq!(table(&now, None).lines().count(), 3);
        assert_eq!(table(&now, Some(&now)), "");
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        assert_eq!(Costs::parse("scan 39 8 16 0 300"), Some(costs("scan", [39, 8, 16, 0, 300])));
        assert_eq!(Costs::parse("scan 39 8"), None);
    }

    #[test]
    fn instructions_are_counted_without_directives_and_labels() {
        let ptx = "\t.reg .b32 %r<3>;\n$L__BB0_1:\n\tmov.b32 %r1, 0; // comment\n\t@%p1 bra $L__BB0_1;\n\tret;\n}\n";
        let module = Module { kernel: "k".to_owned(), ptx: ptx.to_owned() };
        let resources = Resources { registers: 8, shared: 1, stack: 2, spill_stores: 3, spill_loads: 4 };
        assert_eq!(Costs::new(&module, resources), costs("k", [8, 3, 2, 1, 3]));
    }
}
