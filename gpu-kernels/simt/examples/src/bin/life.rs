//! The Game of Life in the terminal, computed by the kernel of `life.rs` on the CPU. The argument is the number of
//! generations, by default 200.

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use simt::{Cpu, Global};
use simt_examples::life::Life;

const WIDTH: usize = 64;
const HEIGHT: usize = 44;

fn main() -> ExitCode {
    let generations = match std::env::args().nth(1).map(|text| text.parse().map_err(|_| text)) {
        None => 200,
        Some(Ok(generations)) => generations,
        Some(Err(text)) => {
            eprintln!("the argument is `{text}`, expected a number of generations");
            return ExitCode::FAILURE;
        }
    };
    match draw(generations) {
        // A closed pipe, as of `head`, is the reader's wish to stop.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("cannot draw: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Draws the generations after an R-pentomino in the middle.
fn draw(generations: usize) -> io::Result<()> {
    let (mut cells, mut next) = (vec![0; WIDTH * HEIGHT], vec![0; WIDTH * HEIGHT]);
    for (y, x) in [(0, 1), (0, 2), (1, 0), (1, 1), (2, 1)] {
        cells[(HEIGHT / 2 + y) * WIDTH + WIDTH / 2 + x] = 1;
    }
    let cpu = Cpu::new();
    let mut out = io::stdout().lock();
    for generation in 0..=generations {
        let rows = cells.chunks(2 * WIDTH).map(|rows| {
            let (upper, lower) = rows.split_at(WIDTH);
            let glyphs =
                upper.iter().zip(lower).map(|(upper, lower)| [' ', '▄', '▀', '█'][(2 * upper + lower) as usize]);
            glyphs.chain(['\n']).collect::<String>()
        });
        // The control sequence moves the cursor to the upper left corner.
        let (clear, picture) = (if generation == 0 { "\x1b[2J" } else { "" }, rows.collect::<String>());
        writeln!(out, "{clear}\x1b[H{picture}generation {generation}")?;
        out.flush()?;
        let life = Life { cells: Global::of(&cells), next: Global::of_mut(&mut next), width: WIDTH as u32 };
        // SAFETY: both arrays live and have the same length, and no block reads what another one writes.
        unsafe { cpu.launch(4, &life) };
        std::mem::swap(&mut cells, &mut next);
        sleep(Duration::from_millis(50));
    }
    Ok(())
}
