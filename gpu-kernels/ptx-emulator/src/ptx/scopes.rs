//! The nested scopes of a function body.

use std::collections::HashMap;

/// The open scopes of a function body, the innermost last, with the unique name of each declared name.
#[derive(Default)]
pub(super) struct Scopes {
    open: Vec<HashMap<String, String>>,
    renamed: usize,
}

impl Scopes {
    /// Opens a scope.
    pub(super) fn push(&mut self) {
        self.open.push(HashMap::new());
    }

    /// Closes the innermost scope; returns whether another one is still open.
    pub(super) fn pop(&mut self) -> bool {
        self.open.pop();
        !self.open.is_empty()
    }

    /// Declares a name in the innermost scope; returns its unique name.
    pub(super) fn declare(&mut self, name: &str) -> String {
        let mut unique = name.to_string();
        if self.open.len() > 1 {
            self.renamed += 1;
            unique = format!("{name}'{}", self.renamed);
        }
        let scope = self.open.last_mut().expect("a body is open");
        scope.insert(name.to_string(), unique.clone());
        unique
    }

    /// Returns the unique name of a name that is declared in an open scope.
    pub(super) fn declared(&self, name: &str) -> Option<String> {
        self.open.iter().rev().find_map(|scope| scope.get(name).cloned())
    }

    /// Returns the unique name of a name that may also be declared outside of the function.
    pub(super) fn resolve(&self, name: &str) -> String {
        self.declared(name).unwrap_or_else(|| name.to_string())
    }
}
