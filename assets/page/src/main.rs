//! The command that writes `assets/microgpt.html` from the sources. Run it with `cargo run --release -p page`.

use std::fs;
use std::io::{self, BufRead, Write};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use page_wasm::session::Session;

/// Writes assets/microgpt.html, with the sources side by side and the kernels as a WebAssembly module.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Answer the page's requests, lines of JSON on stdin, with the native kernels
    Native,
    /// Measure the native kernels, for `npm run speed` in assets/page/tests
    Speed,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Some(Command::Native) => answer(),
        Some(Command::Speed) => Ok(serde_json::to_writer(io::stdout().lock(), &page::speed::native()?)?),
        None => {
            let html = page::page()?;
            let path = page::root().join(page::PATH);
            fs::write(&path, &html).with_context(|| format!("cannot write `{}`", path.display()))?;
            println!("{}: {} KB", page::PATH, html.len() / 1000);
            Ok(())
        }
    }
}

/// Answers each line of stdin.
fn answer() -> Result<()> {
    let mut session = Session::default();
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        out.write_all(&session.answer(line?.as_bytes()))?;
        writeln!(out)?;
    }
    Ok(())
}
