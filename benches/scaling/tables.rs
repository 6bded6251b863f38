//! What was measured, as Markdown.

use super::Costs;

pub(crate) fn print(all: &[Costs]) {
    looks(all);
    ratios(all);
    if all.iter().any(|costs| costs.idle.is_some()) {
        idle(all);
    }
}

fn looks(all: &[Costs]) {
    println!(
        "| CPU of one look | rescan | full sweep | `scan --embedded` | `ps` | the original | list `/proc` | \
         … and read each `cmdline` | resident |\n|---|---|---|---|---|---|---|---|---|"
    );
    for costs in all {
        let looks = [
            costs.rescan,
            costs.sweep,
            costs.embedded,
            costs.ps,
            costs.original,
            costs.listing,
            costs.cmdlines,
        ];
        let looks = looks.map(|cost| format!("{:.2} ms", cost.as_secs_f64() * 1e3));
        println!(
            "| {} processes | {} | {:.1} MB |",
            costs.processes,
            looks.join(" | "),
            costs.resident_mb
        );
    }
}

fn ratios(all: &[Costs]) {
    println!(
        "\n| ratio | rescan ÷ `ps` | sweep ÷ `ps` | embedded ÷ `ps` | rescan ÷ the original | sweep ÷ the original | \
         sweep ÷ reading each `cmdline` | embedded ÷ `ps`, wall |\n|---|---|---|---|---|---|---|---|"
    );
    for costs in all {
        let ratios = [
            (costs.rescan, costs.ps),
            (costs.sweep, costs.ps),
            (costs.embedded, costs.ps),
            (costs.rescan, costs.original),
            (costs.sweep, costs.original),
            (costs.sweep, costs.cmdlines),
            (costs.embedded_wall, costs.ps_wall),
        ];
        let ratios = ratios.map(|(one, other)| format!("{:.3}", one.div_duration_f64(other)));
        println!("| {} processes | {} |", costs.processes, ratios.join(" | "));
    }
}

fn idle(all: &[Costs]) {
    println!(
        "\n| left to itself | of one core | CPU | scans | in | resident |\n|---|---|---|---|---|---|"
    );
    for costs in all {
        let Some(idle) = costs.idle else {
            continue;
        };
        println!(
            "| {} processes | {:.3} % | {:.0} ms | {} | {} s | {:.1} MB |",
            costs.processes,
            idle.cpu.div_duration_f64(idle.lasted) * 100.0,
            idle.cpu.as_secs_f64() * 1e3,
            idle.scans,
            idle.lasted.as_secs(),
            idle.resident_mb
        );
    }
}
