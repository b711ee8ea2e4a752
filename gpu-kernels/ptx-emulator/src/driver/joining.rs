//! The step of a linker that joins modules into one.

use std::collections::HashSet;

use crate::ptx::syntax::{Module, SourceLocation, Statement};

/// Adds the functions and variables of `next` to `whole`. A definition replaces the declarations of its name. An error
/// names a symbol that both define.
pub fn join(whole: &mut Module, mut next: Module) -> Result<(), String> {
    let defined = |module: &Module| -> HashSet<String> {
        let functions = module.functions.iter().filter(|function| function.body.is_some()).map(|f| &f.name);
        functions.chain(module.variables.iter().filter(|v| v.size > 0).map(|v| &v.name)).cloned().collect()
    };
    let (mine, theirs) = (defined(whole), defined(&next));
    if let Some(name) = mine.intersection(&theirs).min() {
        return Err(format!("two of the linked modules define `{name}`"));
    }
    let declared: HashSet<String> = whole.variables.iter().map(|variable| variable.name.clone()).collect();
    whole.functions.retain(|function| function.body.is_some() || !theirs.contains(&function.name));
    whole.variables.retain(|variable| variable.size > 0 || !theirs.contains(&variable.name));
    let known: HashSet<String> = whole.functions.iter().map(|function| function.name.clone()).collect();
    next.functions.retain(|function| function.body.is_some() || !known.contains(&function.name));
    next.variables.retain(|v| v.size > 0 || !mine.contains(&v.name) && !declared.contains(&v.name));
    // The number of a file may be the largest one. A wrong name in a report does no harm.
    let shift = whole.files.keys().max().map_or(0, |last| last.wrapping_add(1));
    for body in next.functions.iter_mut().filter_map(|function| function.body.as_mut()) {
        for statement in &mut body.statements {
            if let Statement::Instruction(instruction) = statement {
                let SourceLocation(lines) = &mut instruction.source_location;
                for (file, _) in lines {
                    *file = file.wrapping_add(shift);
                }
            }
        }
    }
    whole.files.extend(next.files.drain().map(|(number, file)| (number.wrapping_add(shift), file)));
    whole.functions.append(&mut next.functions);
    whole.variables.append(&mut next.variables);
    whole.missing.extend(next.missing);
    whole.target = whole.target.max(next.target);
    Ok(())
}
