//! What the disciplines of a line do before one worker: under twice the load that it can do, and at 93 % of it. Medians of seven
//! seeds. The overload is the one of bohde's `codel` (github.com/bohde/codel): Poisson 1,000 a second into exponential 500 a second.

mod case;
mod textbook;

use case::{HEALTHY, OVERLOADED, SEEDS, median};
use pushback::Reason;
use pushback_lab::sim::{Scenario, Steering, run};
use textbook::Textbook;

#[test]
fn a_plain_line_makes_everybody_late_and_codel_does_not() {
    let (fifo, codel) = (OVERLOADED.with("fifo"), OVERLOADED.with("codel"));
    println!(
        "fifo {:.1} ms, codel {:.1} ms; {} and {} served",
        fifo.p99_ms, codel.p99_ms, fifo.good, codel.good
    );
    assert!(fifo.p99_ms > 1_000.0);
    assert!(codel.p99_ms <= 63.0, "{:.1} ms", codel.p99_ms);
    assert!(codel.good >= 0.99 * fifo.good, "{} and {}", codel.good, fifo.good);
}

#[test]
fn codel_refuses_few_of_a_service_that_is_nearly_full() {
    let codel = HEALTHY.with("codel");
    println!("{:.2} % refused, p99 {:.1} ms", codel.refused_percent, codel.p99_ms);
    assert!(codel.refused_percent <= 3.0, "{:.2} %", codel.refused_percent);
}

#[test]
fn at_three_times_the_load_hardly_anybody_waits_for_nothing() {
    for (service, workers, cost) in
        [("2ms", 1, 1), ("20ms", 10, 1), ("20ms", 10, 2), ("20ms", 10, 3), ("20ms", 10, 5)]
    {
        for discipline in ["fifo", "codel"] {
            let rate = 1_500 / cost;
            let text = format!(
                "# A test.\ndeadline = \"1s\"\nwarmup = \"1ns\"\n\
                 line = {{ places = 10000, wait = \"200ms\", discipline = \"{discipline}\" }}\n\
                 [[route]]\nshare = 1\nwork = 1\ncost = {cost}\n\
                 [[station]]\nname = \"worker\"\nworkers = {workers}\ntime.exponential = \"{service}\"\n\
                 [[phase]]\nlasts = \"20s\"\nrate = {rate}"
            );
            let scenario = Scenario::parse("test", &text).unwrap();
            let waited = median((1..=SEEDS).map(|seed| {
                let refusals = run(&scenario, Steering::by_phase(vec![workers]), seed).unwrap().refusals;
                100.0 * refusals.by(Reason::WaitedTooLong) as f64 / refusals.total() as f64
            }));
            println!(
                "{discipline}, {workers} of {service}, cost {cost}: {waited:.2} % of the refused had waited"
            );
            assert!(waited <= 1.0, "{discipline}, {workers} of {service}, cost {cost}: {waited:.2} %");
        }
    }
}

#[test]
fn half_of_the_answers_come_at_once_where_the_newest_is_next_in_a_line_that_stands() {
    let newest = OVERLOADED.with("adaptive-lifo");
    println!("p50 {:.1} ms, p99 {:.1} ms, {} served", newest.p50_ms, newest.p99_ms, newest.good);
    assert!(newest.p50_ms <= 10.0, "{:.1} ms", newest.p50_ms);
    assert!(newest.p99_ms <= 100.0, "{:.1} ms", newest.p99_ms);
}

/// Why the library has no line in which whoever came last is next and the textbook's CoDel drops: the newest have hardly waited, so it sees no
/// line at all. Half of the calls wait until their callers give up. Adaptive LIFO refuses them.
#[test]
fn the_textbooks_codel_does_not_see_the_line_of_which_the_newest_is_next() {
    let runs =
        (1..=SEEDS).map(|seed| Textbook { newest_first: true, ..Textbook::default() }.run(&OVERLOADED, seed));
    let waiting = median(runs.map(|run| {
        println!("{} served, {} dropped, {} wait for ever", run.times.len(), run.dropped, run.waiting);
        run.waiting as f64
    }));
    let refused = OVERLOADED.with("adaptive-lifo").refused_percent;
    println!("the textbook's CoDel leaves {waiting} waiting, adaptive LIFO refuses {refused:.1} %");
    assert!(waiting > 4_000.0, "{waiting} of 10,000 wait for ever");
    assert!(refused > 45.0, "{refused:.1} %");
}
