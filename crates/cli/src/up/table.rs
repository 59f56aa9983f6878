//! The table of who listens where.

use crate::terminal::{Colour, Style};

use super::plan::{ADMIN_ROOT, NODE_ROOT, Plan, Role};
use super::store_url::StoreUrl;

/// The lines of the table, set off by empty ones. `pid_of` knows the process id of a child by its name.
pub(super) fn table(
    plan: &Plan,
    store: &StoreUrl,
    pid_of: impl Fn(&str) -> Option<u32>,
    style: Style,
) -> Vec<String> {
    let mut rows =
        vec![["instance", "role", "pid", "endpoints of flows", "editor"].map(str::to_owned)];
    for instance in &plan.instances {
        let base = format!("http://{}", plan.address(instance.port));
        rows.push([
            instance.name.clone(),
            instance.role.name().to_owned(),
            pid_of(&instance.name).map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            format!("{base}{NODE_ROOT}"),
            match instance.role {
                Role::Admin => format!("{base}{ADMIN_ROOT}"),
                Role::Worker => String::new(),
            },
        ]);
    }
    let mut lines = aligned(&rows);
    lines[0] = style.paint(Colour::Bold, &lines[0]);
    lines.insert(0, String::new());
    lines.push(String::new());
    lines.push(match plan.store {
        Some(_) => format!("store     {store}"),
        None => format!(
            "store     {store}, data in {}",
            plan.directory.store().display()
        ),
    });
    let own_settings = plan.directory.own_settings();
    lines.push(if own_settings.exists() {
        format!(
            "settings  {}; the URLs above do not know what it changes",
            own_settings.display()
        )
    } else {
        format!("settings  of your own go into {}", own_settings.display())
    });
    if !plan.host.is_loopback() {
        lines.push(style.paint(
            Colour::Yellow,
            &format!(
                "warning   whoever reaches {} can change and run flows unless adminAuth is set in \
                 your settings",
                plan.host,
            ),
        ));
    }
    lines.push("stop      Ctrl-C (twice: at once, without an orderly end)".to_owned());
    lines.push(String::new());
    lines
}

/// Cells side by side, each column as wide as its widest cell.
fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    rows.iter()
        .map(|row| {
            let cells: Vec<String> = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_rows_end_with_their_last_cell() {
        let rows = [["name", "pid"], ["worker-10", ""], ["admin", "12"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(
            aligned(&rows),
            ["name       pid", "worker-10", "admin      12"]
        );
    }
}
