//! The drawing of a plot as an SVG or a PNG.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::data::fitting_range;
use plotters::prelude::*;

use super::{Plot, Points};
use crate::error::Cause;

/// The chart, with the axes of steps and losses.
type Chart<'a, B> = ChartContext<'a, B, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The width and the height in pixels.
const SIZE: (u32, u32) = (1200, 720);
/// The colours, a palette by Okabe and Ito for colour-blind readers. A lone series has the first colour.
const COLOURS: [(u8, u8, u8); 7] =
    [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (90, 90, 90)];
/// The largest number of series that the legend has room for.
const MAX_LABELS: usize = 24;

/// The label of the axis of losses. A plot as SVG is known by it.
const LOSS: &str = "loss (nats a token)";
/// The program's name in the metadata of a PNG, which a plot as PNG is known by, and its key.
const SOFTWARE: [&str; 2] = ["Software", "microgpt"];

/// Returns whether a file that begins with these bytes, of which a few hundred suffice, is a plot of this program.
pub fn is_plot(start: &[u8]) -> bool {
    let has = |text: &str| start.windows(text.len()).any(|part| part == text.as_bytes());
    (start.starts_with(b"<svg") && has(LOSS)) || (start.starts_with(b"\x89PNG") && has(&SOFTWARE.join("\0")))
}

/// Returns the colour of a series. After the last colour, darker shades of all colours follow, and then lighter ones.
fn colour_of(series: usize) -> RGBColor {
    let (r, g, b) = COLOURS[series % COLOURS.len()];
    let shade = |channel: u8| match series / COLOURS.len() % 3 {
        0 => channel,
        1 => channel / 2,
        _ => channel / 2 + 128,
    };
    RGBColor(shade(r), shade(g), shade(b))
}

impl Plot {
    /// Returns the bytes of the picture.
    pub(super) fn draw(&self) -> Result<Vec<u8>, Cause> {
        if !self.png {
            let mut text = String::new();
            self.draw_on(&SVGBackend::with_string(&mut text, SIZE).into_drawing_area())?;
            return Ok(text.into_bytes());
        }
        let mut pixels = vec![0; 3 * SIZE.0 as usize * SIZE.1 as usize];
        self.draw_on(&BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area())?;
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, SIZE.0, SIZE.1);
        encoder.set_color(png::ColorType::Rgb);
        let [key, name] = SOFTWARE.map(str::to_owned);
        encoder.add_text_chunk(key, name)?;
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        writer.finish()?;
        Ok(bytes)
    }

    fn draw_on<B: DrawingBackend<ErrorType: 'static>>(&self, area: &DrawingArea<B, Shift>) -> Result<(), Cause> {
        // The PNG's letters are drawn with this font, and the SVG's letters are measured with it.
        plotters::style::register_font("sans-serif", FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
            .map_err(|_| "the font is damaged")?;
        let alone = self.series.len() == 1;
        let points: Vec<Points> = self.series.iter().map(|series| series.points(alone)).collect();
        area.fill(&WHITE)?;
        let mut chart = axes(area, &points)?;
        for (i, (series, points)) in self.series.iter().zip(points).enumerate() {
            draw_series(&mut chart, points, &series.label, i, self.series.len())?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .label_font(("sans-serif", 16))
            .margin(12)
            .legend_area_size(32)
            .draw()?;
        Ok(area.present()?)
    }
}

/// Draws the axes, with a margin around the points.
fn axes<'a, B: DrawingBackend<ErrorType: 'static>>(
    area: &DrawingArea<B, Shift>,
    points: &[Points],
) -> Result<Chart<'a, B>, Cause> {
    let all = || points.iter().flat_map(|points| [&points.losses, &points.band, &points.mean, &points.val]).flatten();
    let steps = fitting_range(all().map(|point| &point.0));
    let losses = fitting_range(all().map(|point| &point.1));
    let margin = ((losses.end - losses.start) * 0.05).max(1e-3);
    let steps = steps.start.min(steps.end - 1.0)..steps.end;
    let losses = losses.start - margin..losses.end + margin;
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .margin_right(32)
        .set_label_area_size(LabelAreaPosition::Left, 64)
        .set_label_area_size(LabelAreaPosition::Bottom, 48)
        .build_cartesian_2d(steps, losses)?;
    // In a short run, some ticks lie between two steps and get no label.
    let step_label = |step: &f64| if (step - step.round()).abs() < 1e-6 { format!("{step:.0}") } else { String::new() };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .label_style(("sans-serif", 16))
        .axis_desc_style(("sans-serif", 18))
        .x_label_formatter(&step_label)
        .x_desc("step")
        .y_desc(if points.len() == 1 { LOSS.to_owned() } else { format!("{LOSS}, lines: moving mean of training") })
        .draw()?;
    Ok(chart)
}

/// Draws series `i` of `count` series, and its entries in the legend. The moving mean of the training losses is drawn
/// over every loss of a lone run, or over the band of the runs of several seeds.
fn draw_series<B: DrawingBackend<ErrorType: 'static>>(
    chart: &mut Chart<B>,
    Points { losses, band, mean, val }: Points,
    label: &str,
    i: usize,
    count: usize,
) -> Result<(), Cause> {
    let (alone, colour) = (count == 1, colour_of(i));
    if !losses.is_empty() {
        let drawn = chart.draw_series(LineSeries::new(losses, colour.mix(0.3)))?;
        drawn.label("training loss").legend(swatch(colour.mix(0.3).stroke_width(1)));
    }
    if !band.is_empty() {
        let drawn = chart.draw_series([Polygon::new(band, colour.mix(0.2))])?;
        if alone {
            drawn.label("seeds, least to largest").legend(swatch(colour.mix(0.2).stroke_width(10)));
        }
    }
    let drawn = chart.draw_series(LineSeries::new(mean, colour.stroke_width(2)))?;
    let label = match i {
        _ if alone => "training loss, moving mean",
        _ if i < MAX_LABELS => label,
        MAX_LABELS => &format!("and {} more", count - i),
        _ => "",
    };
    if !label.is_empty() {
        drawn.label(label).legend(swatch(colour.stroke_width(2)));
    }
    // A lone series has dots of another colour than its line. The legend has one entry for the dots of several series.
    let (dots, legend) = if alone { (colour_of(1), colour_of(1)) } else { (colour, BLACK) };
    let drawn = chart.draw_series(val.iter().map(|&at| Circle::new(at, 4, dots.filled())))?;
    if i + 1 == count && !val.is_empty() {
        drawn.label("validation loss").legend(move |(x, y)| Circle::new((x + 12, y), 4, legend.filled()));
    }
    chart.draw_series(LineSeries::new(val, dots.mix(0.6)))?;
    Ok(())
}

/// Returns the drawing of a stroke for the legend.
fn swatch(style: ShapeStyle) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> {
    move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style)
}
