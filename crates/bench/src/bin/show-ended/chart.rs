//! The chart: which share of ends is refused by every follower after how many milliseconds.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 48.0;
const COLOURS: [&str; 2] = ["#2f6fde", "#c4562f"];

/// Draws sorted milliseconds as steps, one curve for each name.
#[expect(clippy::cast_precision_loss, reason = "coordinates of a chart")]
pub fn draw(curves: &[(&str, Vec<f64>)]) -> String {
    let longest =
        curves.iter().filter_map(|(_, millis)| millis.last()).fold(10.0, |a: f64, b| a.max(*b));
    let most = (longest / 10.0).ceil() * 10.0;
    let x = |millis: f64| LEFT + (WIDTH - LEFT - 16.0) * millis / most;
    let y = |share: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <title>From the answer of an end until every follower refuses the session</title>\n\
         <style>text{{fill:#333}}.line{{stroke:#ccc}}@media(prefers-color-scheme:dark){{text{{fill:#ddd}}.line{{stroke:#555}}}}</style>\n"
    );
    for step in 0..=4 {
        let share = f64::from(step) / 4.0;
        let (line, percent) = (y(share), share * 100.0);
        let _ = writeln!(
            svg,
            "<line class=\"line\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{line:.1}\" y2=\"{line:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{percent:.0} %</text>",
            WIDTH - 16.0,
            LEFT - 8.0,
            line + 4.0
        );
    }
    for step in 0..=5 {
        let millis = most * f64::from(step) / 5.0;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{millis:.0} ms</text>",
            x(millis),
            HEIGHT - BOTTOM + 20.0
        );
    }
    for (index, (name, millis)) in curves.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let mut path = format!("M{:.1} {:.1}", x(0.0), y(0.0));
        for (rank, at) in millis.iter().enumerate() {
            let share = (rank + 1) as f64 / millis.len() as f64;
            let _ = write!(path, "H{:.1}V{:.1}", x(*at), y(share));
        }
        let _ = writeln!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{:.1}\" y=\"20\" \
             style=\"fill:{colour}\">{name}</text>",
            LEFT + 150.0 * index as f64
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">from the answer of an end until every follower refuses the session</text>\n</svg>",
        f64::midpoint(LEFT, WIDTH),
        HEIGHT - 8.0
    );
    svg
}
