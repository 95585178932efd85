//! The picture: what became of the calls, how long answers took, and how each policy came through the day. Plain SVG.

use std::fmt::Write as _;

use crate::report::{AnswerTier, PIECES, Report};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 30.0;
/// Height of a policy's row.
const ROW: f64 = 26.0;
const LINES_HEIGHT: f64 = 240.0;
/// The logarithmic axis of response times, in milliseconds.
const FASTEST: f64 = 10.0;
const SLOWEST: f64 = 20_000.0;

/// Colours that are told apart without colour vision too (Okabe and Ito).
const POLICY_COLOURS: [&str; 6] = [
    "#666666", "#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2",
];
/// Answered here in time, on a neighbour, in the cloud; late; turned away.
const OUTCOMES: [(&str, &str); 5] = [
    ("answered here", "#0072B2"),
    ("by a neighbour", "#56B4E9"),
    ("in the cloud", "#009E73"),
    ("refused: too late anywhere", "#F0E442"),
    ("refused: other reasons", "#D55E00"),
];

/// Draws the reports, in their order.
pub(crate) fn svg(reports: &[Report]) -> String {
    let rows = ROW * reports.len() as f64;
    let bars = 70.0;
    let times = bars + rows + 110.0;
    let lines = times + rows + 100.0;
    let height = lines + LINES_HEIGHT + 80.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif\" font-size=\"13\" \
         fill=\"#1f2328\">\n<title>Offloading policies compared</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    draw_outcomes(&mut out, reports, bars);
    draw_times(&mut out, reports, times);
    draw_day(&mut out, reports, lines);
    out.push_str("</svg>\n");
    out
}

fn draw_outcomes(out: &mut String, reports: &[Report], top: f64) {
    heading(out, top - 46.0, "What became of the calls");
    let mut at = LEFT;
    for (name, colour) in OUTCOMES {
        rectangle(out, [at, top - 32.0, 12.0, 12.0], colour);
        text(out, at + 17.0, top - 21.0, "start", name);
        at += 40.0 + 6.4 * name.len() as f64;
    }
    for (row, report) in reports.iter().enumerate() {
        let y = top + ROW * row as f64;
        text(out, LEFT - 8.0, y + 16.0, "end", &report.policy);
        let places = [AnswerTier::Here, AnswerTier::Neighbour, AnswerTier::Cloud]
            .map(|place| report.count(place));
        let counts = places.into_iter().chain([report.too_late, report.overload]);
        let mut x = LEFT;
        for (count, (_, colour)) in counts.zip(OUTCOMES) {
            let width = along(report.share(count)) - LEFT;
            rectangle(out, [x, y + 3.0, width, ROW - 6.0], colour);
            x += width;
        }
        // The mark: how many were answered in time.
        let mark = along(report.share(report.in_time));
        line(out, [(mark, y), (mark, y + ROW)], "#000000", 2.0);
    }
    let bottom = top + ROW * reports.len() as f64;
    for tenths in (0..=10_u8).step_by(2) {
        let x = along(f64::from(tenths) / 10.0);
        line(out, [(x, bottom), (x, bottom + 5.0)], "#57606a", 1.0);
        text(
            out,
            x,
            bottom + 19.0,
            "middle",
            &format!("{} %", u32::from(tenths) * 10),
        );
    }
    text(
        out,
        along(0.5),
        bottom + 38.0,
        "middle",
        "share of all calls; black mark: answered in time",
    );
}

fn draw_times(out: &mut String, reports: &[Report], top: f64) {
    heading(out, top - 18.0, "Response times of answered calls");
    let bottom = top + ROW * reports.len() as f64;
    for ms in [10.0, 100.0, 1_000.0, 10_000.0] {
        let x = along_time(ms);
        line(out, [(x, top), (x, bottom)], "#d0d7de", 1.0);
        text(out, x, bottom + 17.0, "middle", &format!("{ms} ms"));
    }
    for (row, report) in reports.iter().enumerate() {
        let y = top + ROW * (row as f64 + 0.5);
        text(out, LEFT - 8.0, y + 4.0, "end", &report.policy);
        let half = along_time(report.response_ms(50));
        let most = along_time(report.response_ms(95));
        line(out, [(half, y), (most, y)], "#0072B2", 3.0);
        circle(out, half, y, "#ffffff");
        circle(out, most, y, "#0072B2");
    }
    text(
        out,
        along(0.5),
        bottom + 36.0,
        "middle",
        "time until the answer, logarithmic; open: median; filled: 95th percentile",
    );
}

fn draw_day(out: &mut String, reports: &[Report], top: f64) {
    heading(out, top - 18.0, "Answered in time over the day");
    let worst = reports
        .iter()
        .flat_map(|report| report.pieces.iter().map(|piece| piece.share()))
        .fold(1.0, f64::min);
    let lowest = (worst * 10.0).floor() / 10.0;
    let high = |share: f64| top + LINES_HEIGHT * (1.0 - (share - lowest) / (1.0 - lowest).max(0.1));
    for fifth in 0..=5_u8 {
        let share = 1.0 - (1.0 - lowest).max(0.1) * f64::from(fifth) / 5.0;
        line(
            out,
            [(LEFT, high(share)), (WIDTH - RIGHT, high(share))],
            "#d0d7de",
            1.0,
        );
        text(
            out,
            LEFT - 8.0,
            high(share) + 4.0,
            "end",
            &format!("{:.0} %", share * 100.0),
        );
    }
    for ((number, report), colour) in reports
        .iter()
        .enumerate()
        .zip(POLICY_COLOURS.iter().cycle())
    {
        let mut points = String::new();
        for (index, piece) in report.pieces.iter().enumerate() {
            // Writing to a string does not fail.
            let _ = write!(
                points,
                "{:.1},{:.1} ",
                along((index as f64 + 0.5) / PIECES as f64),
                high(piece.share())
            );
        }
        let _ = writeln!(
            out,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
        let x = LEFT + 130.0 * number as f64;
        let y = top + LINES_HEIGHT + 56.0;
        line(out, [(x, y - 4.0), (x + 22.0, y - 4.0)], colour, 3.0);
        text(out, x + 28.0, y, "start", &report.policy);
    }
    for quarter in 0..=4_u8 {
        let share = f64::from(quarter) / 4.0;
        text(
            out,
            along(share),
            top + LINES_HEIGHT + 18.0,
            "middle",
            &format!("{:.0} %", share * 100.0),
        );
    }
    text(
        out,
        along(0.5),
        top + LINES_HEIGHT + 36.0,
        "middle",
        "time of arrival, of the run",
    );
}

fn along(share: f64) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * share
}

fn along_time(ms: f64) -> f64 {
    along((ms.clamp(FASTEST, SLOWEST) / FASTEST).ln() / (SLOWEST / FASTEST).ln())
}

fn heading(out: &mut String, y: f64, words: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{y:.1}\" font-size=\"16\" font-weight=\"600\">{words}</text>"
    );
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
    );
}

fn rectangle(out: &mut String, [x, y, width, height]: [f64; 4], colour: &str) {
    let _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.2}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
    );
}

fn line(out: &mut String, [from, to]: [(f64, f64); 2], colour: &str, width: f64) {
    let _ = writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn circle(out: &mut String, x: f64, y: f64, colour: &str) {
    let _ = writeln!(
        out,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{colour}\" stroke=\"#0072B2\" stroke-width=\"2\"/>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Scenario, World};
    use crate::simulation::run;

    #[test]
    fn every_policy_is_drawn_and_named() {
        let world = World::new(Scenario {
            nodes: 20,
            seconds: 5,
            seed: 1,
            load: 0.5,
        });
        let reports =
            ["localonly", "qosaware"].map(|policy| run(&world, policy).expect("a policy").0);
        let picture = svg(&reports);
        assert_eq!(picture.matches("<polyline").count(), 2);
        for words in [
            "localonly",
            "qosaware",
            "answered here",
            "share of all calls",
            "time of arrival",
        ] {
            assert!(picture.contains(words), "{words}");
        }
        assert!(!picture.contains("NaN") && !picture.contains("inf"));
        assert_eq!(
            picture.matches("<text").count(),
            picture.matches("</text>").count()
        );
    }
}
