//! The source locations of instructions (PTX ISA, section 11.5.3: `.loc`).

use std::collections::HashMap;

use super::cursor::Cursor;
use super::error::Error;
use super::syntax::SourceLocation;

/// The file and line of the calls that each line's `.loc` was inlined at, innermost first.
pub(super) type Chains = HashMap<u32, Vec<(u32, u32)>>;

/// Returns the chains that comments give: `.loc 3 199 17 // inlined at 14:12 33:80` names file and line of each call. A build
/// step writes them so for a compiler without `inlined_at`, which the directive has since version 7.2.
pub(super) fn chains(text: &str) -> Chains {
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

/// The source locations in a function.
#[derive(Default)]
pub(super) struct SourceLocations {
    /// The location of the instructions that follow.
    pub(super) now: SourceLocation,
    /// The locations so far by file, line and column, which `inlined_at` refers to.
    known: HashMap<(u32, u32, u32), SourceLocation>,
}

impl SourceLocations {
    /// Parses a `.loc` from the word after it on.
    pub(super) fn directive(&mut self, cursor: &mut Cursor, chains: &Chains) -> Result<(), Error> {
        let line = cursor.line();
        let at = (cursor.small()?, cursor.small()?, cursor.small()?);
        let mut frames = vec![(at.0, at.1)];
        if cursor.eat(',') {
            attribute(cursor, "function_name")?;
            cursor.word()?;
            if cursor.eat('+') {
                cursor.int()?;
            }
            cursor.want(',')?;
            attribute(cursor, "inlined_at")?;
            let call = (cursor.small()?, cursor.small()?, cursor.small()?);
            match self.known.get(&call) {
                Some(outer) => frames.extend(&outer.0),
                None => frames.push((call.0, call.1)),
            }
        }
        match chains.get(&line) {
            Some(chain) => frames.extend(chain),
            // Line 0 is code of no line; its file is that of the instruction before it.
            None if at.1 == 0 && frames.len() == 1 => frames.clear(),
            None => {}
        }
        self.now = SourceLocation(frames);
        self.known.insert(at, self.now.clone());
        Ok(())
    }
}

fn attribute(cursor: &mut Cursor, name: &str) -> Result<(), Error> {
    if cursor.word()? == name { Ok(()) } else { cursor.error(format!("expected `{name}`")) }
}
