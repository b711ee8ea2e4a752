//! Where instructions come from (PTX ISA, section 11.5.3: `.loc`).

use std::collections::HashMap;

use super::Error;
use super::parser::Parser;
use super::syntax::Place;

/// Where each `.loc` was inlined, as our build.rs writes it: `.loc 3 199 17 // inlined at 14:12 33:80` names file and line of
/// each call, innermost first. The directive has `inlined_at` for this since version 7.2, which our LLVM does not write.
pub(super) fn chains(text: &str) -> HashMap<u32, Vec<(u32, u32)>> {
    let frame = |frame: &str| {
        let (file, line) = frame.split_once(':')?;
        Some((file.parse().ok()?, line.parse().ok()?))
    };
    let chain = |(line, number): (&str, u32)| {
        let (directive, chain) = line.split_once("// inlined at ")?;
        let frames: Option<Vec<_>> = chain.split_whitespace().map(frame).collect();
        frames.filter(|_| directive.trim_start().starts_with(".loc")).map(|frames| (number, frames))
    };
    text.lines().zip(1..).filter_map(chain).collect()
}

/// The places seen so far in a function, by file, line and column: what `inlined_at` refers to.
#[derive(Default)]
pub(super) struct Places {
    pub(super) now: Place,
    known: HashMap<(u32, u32, u32), Place>,
}

impl Parser<'_> {
    pub(super) fn loc(&mut self, places: &mut Places) -> Result<(), Error> {
        let line = self.line();
        let at = (self.small()?, self.small()?, self.small()?);
        let mut place = Place(vec![(at.0, at.1)]);
        if self.eat(',') {
            if self.word()? != "function_name" {
                return self.error("expected `function_name`");
            }
            self.word()?;
            if self.eat('+') {
                self.int()?;
            }
            self.want(',')?;
            if self.word()? != "inlined_at" {
                return self.error("expected `inlined_at`");
            }
            let call = (self.small()?, self.small()?, self.small()?);
            let outer = places.known.get(&call).cloned().unwrap_or_else(|| Place(vec![(call.0, call.1)]));
            place.0.extend(outer.0);
        }
        match self.chains.get(&line) {
            Some(chain) => place.0.extend(chain),
            // Line 0 is code that belongs to no line; the file is that of the instruction before it.
            None if at.1 == 0 && place.0.len() == 1 => place.0.clear(),
            None => {}
        }
        places.known.insert(at, place.clone());
        places.now = place;
        Ok(())
    }
}
