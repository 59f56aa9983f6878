//! What was done or would be done, as lines: a table by scope and what to do next.

use node_red_cluster_core::context::migrate::{Action, Conflicts, Counts, Report};

use crate::terminal::{Colour, Style};

/// Columns of the table after the scope.
const COLUMNS: [&str; 6] = ["register", "move", "replace", "drop", "left", "in order"];
/// Scopes that are shown one by one; a cluster may have as many as nodes.
const SCOPES_SHOWN: usize = 50;

/// The lines after those about single keys.
pub(super) fn summary(
    report: &Report,
    action: Action,
    conflicts: Conflicts,
    style: Style,
) -> Vec<String> {
    let total = report.total();
    let mut lines = Vec::new();
    if total != Counts::default() {
        lines.push(String::new());
        lines.extend(table(report, &total, style));
    }
    lines.push(String::new());
    lines.push(outcome(report, &total, action));
    if total.undecided() > 0 {
        lines.push(format!(
            "Left for you to decide: {}. The lines that begin with ! say why, docs/migrating.md says \
             what to do.",
            keys(total.undecided())
        ));
    }
    if total.conflicts > 0 && conflicts == Conflicts::Keep {
        lines.push(format!(
            "With --overwrite the values of {} take the place of what is under the right key, where \
             that is a value of context.",
            keys(total.conflicts)
        ));
    }
    lines
}

/// What became of it all, in a sentence or two.
fn outcome(report: &Report, total: &Counts, action: Action) -> String {
    let changed = total.changed();
    match (action, report.complete) {
        (Action::Preview, false) => {
            "Ended before everything was looked at. Nothing was changed.".to_owned()
        }
        (Action::Apply, false) => format!(
            "Ended before everything was looked at, done for {}. What is done stays done; run it \
             again to go on.",
            keys(changed)
        ),
        (_, true) if changed == 0 => "There is nothing to do.".to_owned(),
        (Action::Preview, true) => format!(
            "Nothing was changed. Run it again with --apply to do this for {}.",
            keys(changed)
        ),
        (Action::Apply, true) => format!("Done for {}.", keys(changed)),
    }
}

fn keys(count: usize) -> String {
    match count {
        1 => "1 key".to_owned(),
        _ => format!("{count} keys"),
    }
}

fn table(report: &Report, total: &Counts, style: Style) -> Vec<String> {
    let busy = |counts: &Counts| counts.changed() + counts.undecided() > 0;
    let mut rows = vec![row("scope", COLUMNS.map(str::to_owned))];
    let shown = report.scopes.iter().filter(|(_, counts)| busy(counts));
    let more = shown.clone().count().saturating_sub(SCOPES_SHOWN);
    for (scope, counts) in shown.take(SCOPES_SHOWN) {
        rows.push(row(&printable(scope.as_str()), cells(counts)));
    }
    let scopes = match report.scopes.len() {
        1 => "1 scope".to_owned(),
        count => format!("{count} scopes"),
    };
    rows.push(row(&scopes, cells(total)));
    let mut lines = aligned(&rows);
    lines[0] = style.paint(Colour::Bold, &lines[0]);
    if more > 0 {
        lines.insert(lines.len() - 1, format!("... and {more} more"));
    }
    lines
}

fn row(scope: &str, cells: [String; 6]) -> [String; 7] {
    let [a, b, c, d, e, f] = cells;
    [scope.to_owned(), a, b, c, d, e, f]
}

fn cells(counts: &Counts) -> [String; 6] {
    [
        counts.registered,
        counts.moved,
        counts.replaced,
        counts.dropped,
        counts.undecided(),
        counts.in_order,
    ]
    .map(|count| count.to_string())
}

/// The first column to the left, the others to the right.
fn aligned(rows: &[[String; 7]]) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: [usize; 7] = std::array::from_fn(width);
    let line = |row: &[String; 7]| {
        let mut line = format!("{:<width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(widths).skip(1) {
            line.push_str(&format!("  {cell:>width$}"));
        }
        line
    };
    rows.iter().map(line).collect()
}

/// A scope is part of a key that anybody may have written.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use node_red_cluster_core::keyspace::Scope;

    use super::*;

    fn report(scopes: &[(&str, Counts)], complete: bool) -> Report {
        Report {
            scopes: scopes
                .iter()
                .map(|(scope, counts)| (Scope::new(*scope), *counts))
                .collect(),
            complete,
            ..Report::default()
        }
    }

    fn shown(report: &Report, action: Action, conflicts: Conflicts) -> String {
        summary(report, action, conflicts, Style::default()).join("\n")
    }

    #[test]
    fn scopes_with_nothing_to_do_are_only_counted() {
        let busy = Counts {
            registered: 12,
            conflicts: 1,
            left: 2,
            ..Counts::default()
        };
        let idle = Counts {
            in_order: 5,
            ..Counts::default()
        };
        let report = report(&[("f1", idle), ("global", busy)], true);
        assert_eq!(
            shown(&report, Action::Preview, Conflicts::Keep),
            "
scope     register  move  replace  drop  left  in order
global          12     0        0     0     3         0
2 scopes        12     0        0     0     3         5

Nothing was changed. Run it again with --apply to do this for 12 keys.
Left for you to decide: 3 keys. The lines that begin with ! say why, docs/migrating.md says what to do.
With --overwrite the values of 1 key take the place of what is under the right key, where that is a \
value of context."
        );
        assert!(!shown(&report, Action::Apply, Conflicts::Overwrite).contains("--overwrite"));
    }

    #[test]
    fn a_table_of_many_scopes_is_cut_short_and_its_total_is_whole() {
        let one = Counts {
            moved: 1,
            ..Counts::default()
        };
        let names: Vec<_> = (0..60).map(|flow| format!("f{flow:02}")).collect();
        let scopes: Vec<_> = names.iter().map(|name| (&**name, one)).collect();
        let text = shown(&report(&scopes, true), Action::Apply, Conflicts::Keep);
        assert!(text.contains("f49") && !text.contains("f50"), "{text}");
        assert!(text.contains("... and 10 more\n60 scopes"), "{text}");
        assert!(text.ends_with("Done for 60 keys."), "{text}");
    }

    #[test]
    fn an_end_before_the_end_is_told() {
        let text = shown(&report(&[], false), Action::Apply, Conflicts::Keep);
        assert!(text.contains("run it again"), "{text}");
        let text = shown(&report(&[], false), Action::Preview, Conflicts::Keep);
        assert!(text.contains("Nothing was changed"), "{text}");
        let text = shown(&report(&[], true), Action::Apply, Conflicts::Keep);
        assert_eq!(text, "\nThere is nothing to do.");
    }
}
