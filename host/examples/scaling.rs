//! Measures the step of three models on one core, and predicts its time on up to 1,024 ranks. It prints the table of
//! `docs/clusters.md`, and draws the picture to the file that the argument names:
//!
//! ```sh
//! cargo run --release -p host --example scaling -- docs/scaling.svg
//! ```

use std::env;
use std::error::Error;
use std::fs;
use std::time::Instant;

use microgpt::config::{ModelConfig, OptimizerConfig, TrainConfig, num_params};
use microgpt::corpus::Dataset;
use microgpt::device::cpu::Cpu;
use microgpt::device::{Device, Executor, State, threads};
use microgpt::weights::Weights;
use plotters::prelude::*;

/// The seconds from the sending of a message to its arrival.
const LATENCY: f64 = 2e-6;

/// A computer and its network.
#[derive(Clone, Copy)]
struct Rank {
    name: &'static str,
    /// The cores, which are taken to share the work without loss.
    cores: f64,
    /// The bytes that the network moves in a second.
    bandwidth: f64,
}

/// The ranks that are compared.
const KINDS: [Rank; 3] = [
    Rank { name: "1 core at 100 Gb/s", cores: 1.0, bandwidth: 12.5e9 },
    Rank { name: "32 cores at 100 Gb/s", cores: 32.0, bandwidth: 12.5e9 },
    Rank { name: "32 cores at 400 Gb/s", cores: 32.0, bandwidth: 50e9 },
];

/// The most shards of a step.
const SHARDS: usize = 128;

/// The numbers of ranks.
const RANKS: [usize; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// A model, with the documents of a step and the way to measure them.
struct Model {
    name: &'static str,
    config: ModelConfig,
    batch: usize,
    /// The documents of the two steps that are compared.
    measured: [usize; 2],
    /// The number of their repetitions.
    repeats: usize,
}

/// The constants of a model on one core.
struct Constants {
    params: usize,
    /// Whether the ranks exchange slices of the sums, and each updates a part of the weights. Otherwise the sums go whole
    /// to all ranks, and each updates all weights.
    is_split: bool,
    /// The seconds for the gradients of a document.
    document: f64,
    /// The seconds for the update of the weights.
    update: f64,
    /// The seconds for the addition of two gradients.
    addition: f64,
}

fn models() -> [Model; 3] {
    let model = |n_embd, n_head, n_layer, block_size| ModelConfig { n_embd, n_head, n_layer, block_size };
    [
        Model {
            name: "default, 256 documents",
            config: ModelConfig::default(),
            batch: 256,
            measured: [128, 256],
            repeats: 500,
        },
        Model {
            name: "384/6/6/256, 128 documents",
            config: model(384, 6, 6, 256),
            batch: 128,
            measured: [1, 3],
            repeats: 12,
        },
        Model {
            name: "768/12/14/256, 128 documents",
            config: model(768, 12, 14, 256),
            batch: 128,
            measured: [1, 2],
            repeats: 5,
        },
    ]
}

/// Returns documents of lower-case letters that fill a block.
fn dataset(block_size: usize) -> microgpt::Result<Dataset> {
    let letter = |i: usize| char::from(b'a' + (i * i % 26) as u8);
    let documents: Vec<String> = (0..300).map(|i| (0..block_size).map(|t| letter(i + t)).collect()).collect();
    Dataset::new(&documents.iter().map(String::as_str).collect::<Vec<_>>(), None, None)
}

/// Returns the seconds that `work` takes. Of a work of many ticks, Linux tells the time that this thread computed, which
/// other programs do not lengthen.
fn seconds(work: impl FnOnce() -> microgpt::Result<()>) -> microgpt::Result<f64> {
    let computed = || -> Option<f64> {
        let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Some(text.split_whitespace().next()?.parse::<f64>().ok()? * 1e-9)
    };
    let before = computed();
    let start = Instant::now();
    work()?;
    let (passed, after) = (start.elapsed().as_secs_f64(), computed());
    let computed = before.zip(after).map(|(before, after)| after - before).filter(|&seconds| seconds > 0.05);
    Ok(computed.map_or(passed, |computed| computed.min(passed)))
}

/// Measures the constants of a model. A step's time is that of its documents and of the update, so two steps tell both.
/// The two take turns, and the least times count, because other programs may run beside this one.
fn measure(model: &Model) -> microgpt::Result<Constants> {
    let dataset = dataset(model.config.block_size)?;
    let state = State::new(Weights::init(model.config.shape(dataset.tokenizer.vocab_size())?, 42));
    let open = |batch| {
        let train = TrainConfig { steps: 1_000_000, batch, optimizer: OptimizerConfig::default() };
        Cpu::new(train, &dataset, &state)
    };
    let ([fewer, more], mut least) = (model.measured, [f64::INFINITY; 3]);
    let mut steps = [open(fewer)?, open(more)?];
    let (mut sum, addend) = (state.weights.values.clone(), &state.weights.values);
    // The first step allocates memory.
    for _ in 0..=model.repeats {
        for (cpu, least) in steps.iter_mut().zip(&mut least) {
            *least = least.min(seconds(|| cpu.train(1).map(drop))?);
        }
        let addition = seconds(|| {
            sum.iter_mut().zip(addend).for_each(|(sum, x)| *sum += x);
            Ok(())
        });
        least[2] = least[2].min(addition?);
    }
    let [few, many, addition] = least;
    let document = (many - few) / (more - fewer) as f64;
    let update = (few - fewer as f64 * document).max(0.0);
    let (shape, batch) = (state.weights.shape, model.batch);
    let is_split = Executor::of_training(shape, batch) == Executor::Tiled;
    Ok(Constants { params: num_params(shape), is_split, document, update, addition })
}

/// Returns the seconds of a step on so many ranks.
///
/// The rank with the most shards decides. All ranks then tell each other whether they have failed. They either exchange the
/// slices of their sums in two parts, then collect the sums of squares, and at last the weights that the others have
/// updated, or they collect the whole sums of all ranks. More ranks than shards have no work.
fn step(constants: &Constants, batch: usize, ranks: usize, Rank { cores, bandwidth, .. }: Rank) -> f64 {
    let ranks = ranks.min(SHARDS.min(batch));
    let documents = SHARDS.min(batch).div_ceil(ranks) as f64 * batch as f64 / SHARDS.min(batch) as f64;
    let (n, levels, bytes) = (ranks as f64, (ranks as f64).log2().ceil(), 4.0 * constants.params as f64);
    // The parts of an update and of an addition that a rank computes, and those of a sum and of the weights that it sends.
    let (part, messages, sent) = if constants.is_split {
        (1.0 / n, levels + 4.0 * (n - 1.0), (2.0 + 1.0 / 16.0) / n)
    } else {
        (1.0, 2.0 * levels, 1.0)
    };
    let update = part * (constants.update + (n - 1.0) * constants.addition);
    (documents * constants.document + update) / cores + messages * LATENCY + (n - 1.0) * sent * bytes / bandwidth
}

/// Returns a number with about three digits.
fn digits(x: f64) -> String {
    match x {
        ..1.0 => format!("{x:.3}"),
        1.0..100.0 => format!("{x:.1}"),
        _ => format!("{x:.0}"),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    threads::start(Some(1))?;
    let mut curves = Vec::new();
    println!("| model | parameters | a document | the update | the addition |\n|---|---|---|---|---|");
    let models = models();
    let mut constants = Vec::new();
    for model in &models {
        let measured = measure(model)?;
        let [document, update, addition] =
            [measured.document, measured.update, measured.addition].map(|seconds| format!("{:.3} ms", seconds * 1e3));
        println!("| {} | {} | {document} | {update} | {addition} |", model.name, measured.params);
        constants.push(measured);
    }
    println!();
    for kind in KINDS {
        println!("Ranks of {}:\n", kind.name);
        println!("| ranks | {} |", models.each_ref().map(|model| model.name).join(" | "));
        println!("|---|---|---|---|");
        for ranks in RANKS {
            let cells = models.iter().zip(&constants).map(|(model, constants)| {
                let [one, all] = [1, ranks].map(|ranks| step(constants, model.batch, ranks, kind));
                format!("{} ms, {:.0} %", digits(all * 1e3), 100.0 * one / all / ranks as f64)
            });
            println!("| {ranks} | {} |", cells.collect::<Vec<_>>().join(" | "));
        }
        println!();
        for (model, constants) in models.iter().zip(&constants) {
            let speed = |ranks| step(constants, model.batch, 1, kind) / step(constants, model.batch, ranks, kind);
            let points: Vec<(f64, f64)> = RANKS.iter().map(|&ranks| (ranks as f64, speed(ranks))).collect();
            curves.push((format!("{}, {}", model.name, kind.name), points));
        }
    }
    env::args().nth(1).map_or(Ok(()), |path| draw(&path, &curves))
}

/// Draws the speed of many ranks against that of one.
fn draw(path: &str, curves: &[(String, Vec<(f64, f64)>)]) -> Result<(), Box<dyn Error>> {
    let font = epaint_default_fonts::UBUNTU_LIGHT;
    plotters::style::register_font("sans-serif", FontStyle::Normal, font).map_err(|_| "the font is damaged")?;
    let area = SVGBackend::new(path, (1000, 640)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .set_label_area_size(LabelAreaPosition::Left, 64)
        .set_label_area_size(LabelAreaPosition::Bottom, 48)
        .build_cartesian_2d((1f64..1024f64).log_scale(), (1f64..1024f64).log_scale())?;
    chart.configure_mesh().x_desc("ranks").y_desc("speed, one rank is 1").max_light_lines(0).draw()?;
    chart
        .draw_series(LineSeries::new([(1.0, 1.0), (1024.0, 1024.0)], BLACK.mix(0.3)))?
        .label("ideal")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 24, y)], BLACK.mix(0.3)));
    for (i, (name, points)) in curves.iter().enumerate() {
        // The curves of a model have one colour, and strokes of their own.
        let models = curves.len() / KINDS.len();
        let style = Palette99::pick(i % models).stroke_width(1 + (i / models) as u32);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .legend_area_size(32)
        .draw()?;
    Ok(area.present()?)
}
