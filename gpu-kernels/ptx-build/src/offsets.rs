//! The immediate offsets of memory accesses, into which constant addends of addresses are folded.
//!
//! A memory access in inline PTX takes its address from a register, so LLVM computes each address by an addition. ptxas
//! folds such additions into the accesses. This pass does the same in the text, so that the text has about the instructions
//! of the machine code, and counts of its instructions tell about a GPU.

use std::collections::HashMap;

/// The registers that a line defines and those that it reads.
#[derive(Default)]
struct Line<'a> {
    defines: Vec<&'a str>,
    reads: Vec<&'a str>,
    /// The address of the line's access, if it is a register with a constant.
    address: Option<Address<'a>>,
    is_label: bool,
}

/// The address of an access.
#[derive(Clone, Copy)]
struct Address<'a> {
    /// The operand between its brackets, such as `%r4+8`, `%r4+0` or `%r4`.
    text: &'a str,
    register: &'a str,
    offset: i64,
}

/// A sum of a register and a constant in a third register.
struct Sum<'a> {
    result: &'a str,
    base: &'a str,
    offset: i64,
}

/// Folds the constant addends of addresses into the accesses of a kernel, and deletes additions without a use.
pub fn fold_offsets(ptx: &str) -> String {
    let mut text = ptx.to_owned();
    // A base may itself be the sum of a register and a constant.
    while let Some(folded) = fold_once(&text) {
        text = folded;
    }
    text
}

/// Folds the additions whose sums are addresses alone, or returns `None` if there is no such addition.
fn fold_once(ptx: &str) -> Option<String> {
    let lines: Vec<&str> = ptx.lines().collect();
    let parsed: Vec<Line> = lines.iter().map(|line| parse(line)).collect();
    let mut definitions: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut reads = definitions.clone();
    for (i, line) in parsed.iter().enumerate() {
        line.defines.iter().for_each(|register| definitions.entry(register).or_default().push(i));
        line.reads.iter().for_each(|register| reads.entry(register).or_default().push(i));
    }
    let mut edited: HashMap<usize, Option<String>> = HashMap::new();
    let mut taken = vec![];
    for (i, Sum { result: sum, base, offset }) in lines.iter().enumerate().filter_map(|(i, line)| Some((i, sum(line)?)))
    {
        let (Some(uses), Some(bases)) = (reads.get(sum), definitions.get(base)) else { continue };
        let is_kept = |from: usize, to: usize| {
            let between = parsed.get(from + 1..to).unwrap_or_default();
            bases.len() == 1 || from < to && !between.iter().any(|line| line.is_label || line.defines.contains(&base))
        };
        let is_address = |at: usize| {
            parsed[at].address.is_some_and(|address| address.register == sum) && count(&parsed[at], sum) == 1
        };
        // A base that is folded in this pass has its line deleted, so what is added to it waits for the next pass.
        let is_free = |register: &&str| !taken.contains(register);
        if sum == base || definitions[sum].len() != 1 || ![sum, base].iter().all(is_free) {
            continue;
        }
        if uses.iter().all(|&at| is_address(at) && is_kept(i, at)) {
            for &at in uses {
                let old = parsed[at].address.expect("each use is an access");
                let new = address(base, old.offset + offset);
                edited.insert(at, Some(lines[at].replace(&format!("[{}]", old.text), &new)));
            }
            edited.insert(i, None);
            taken.push(sum);
        }
    }
    if edited.is_empty() {
        return None;
    }
    let mut text = String::with_capacity(ptx.len());
    for (i, line) in lines.iter().enumerate() {
        match edited.get(&i) {
            Some(None) => {}
            Some(Some(line)) => text.extend([line, "\n"]),
            None => text.extend([line, "\n"]),
        }
    }
    Some(text)
}

/// Returns how often a line reads a register.
fn count(line: &Line, register: &str) -> usize {
    line.reads.iter().filter(|read| **read == register).count()
}

/// Returns the operand of an access.
fn address(register: &str, offset: i64) -> String {
    if offset == 0 { format!("[{register}]") } else { format!("[{register}+{offset}]") }
}

/// Returns the sum that a line computes, if it adds a constant to a register.
fn sum(line: &str) -> Option<Sum<'_>> {
    let code = code(line);
    let operands = code.strip_prefix("add.s32").or_else(|| code.strip_prefix("add.s64"))?.strip_suffix(';')?;
    let [sum, base, offset] = operands.split(',').map(str::trim).collect::<Vec<_>>()[..] else { return None };
    Some(Sum { result: sum, base, offset: offset.parse().ok()? }).filter(|_| base.starts_with('%'))
}

/// Returns a line without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default().trim()
}

/// Returns what a line of a kernel defines and reads.
fn parse(line: &str) -> Line<'_> {
    let code = code(line);
    // Labels with `tmp` mark line numbers, and no branch leads to them.
    if code.starts_with('.') || code.is_empty() || code.starts_with("$L__tmp") {
        return Line::default();
    }
    if code.ends_with(':') {
        return Line { is_label: true, ..Line::default() };
    }
    let guarded = code.starts_with('@');
    let (guard, code) = if guarded { code.split_once(' ').unwrap_or((code, "")) } else { ("", code) };
    let (mnemonic, operands) = code.split_once(char::is_whitespace).unwrap_or((code, ""));
    let is_access = ["ld.", "st.", "red.", "atom."].iter().any(|prefix| mnemonic.starts_with(prefix));
    let without_result = ["st.", "red.", "bra", "bar", "ret", "exit", "fence", "trap"];
    let split = if without_result.iter().any(|prefix| mnemonic.starts_with(prefix)) {
        0
    } else if operands.trim_start().starts_with('{') {
        operands.find('}').unwrap_or(operands.len())
    } else {
        operands.find(',').unwrap_or(operands.len())
    };
    let (results, sources) = operands.split_at(split);
    let address = operands.split_once('[').and_then(|(_, rest)| rest.split_once(']')).filter(|_| is_access);
    let address = address.and_then(|(inside, _)| {
        let (register, offset) = inside.split_once('+').unwrap_or((inside, "0"));
        Some(Address { text: inside, register: register.trim(), offset: offset.trim().parse().ok()? })
    });
    // A line with a guard may leave its results as they were, so it reads them too.
    let mut reads = registers(guard);
    reads.extend(registers(sources));
    reads.extend(if guarded { registers(results) } else { vec![] });
    Line { defines: registers(results), reads, address, is_label: false }
}

/// Returns the registers in a text.
fn registers(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "%_$.".contains(c);
    text.split(|c: char| !is_part(c)).filter(|word| word.starts_with('%')).collect()
}
