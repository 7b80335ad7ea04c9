//! Who is served where there is not enough for all: calls of several priorities, without a line and with one. Medians of seven seeds.

mod case;

use pushback::limit::Limit;

use case::{CAPACITY, LINE, Outcome, auto, checkouts, prefetches, scenario};

#[test]
fn checkouts_are_served_and_reports_have_what_is_left() {
    for workers in [1, 8] {
        let outcome = Outcome::of(&checkouts(workers, "constant"), auto);
        println!("{workers}: {outcome}");
        assert!(outcome.available[0] >= 99.0, "{workers}: {outcome}");
        assert!(outcome.good >= 0.97 * CAPACITY, "{workers}: {outcome}");
    }
}

#[test]
fn twelve_times_as_many_prefetches_are_not_felt_by_users() {
    for line in ["", LINE] {
        let outcome = Outcome::of(&prefetches(line), auto);
        println!("{outcome}");
        assert!(outcome.available[0] > 99.9, "{outcome}");
        assert!(outcome.available[2] > 99.0, "{outcome}");
        assert!(outcome.available[3] < 60.0, "somebody must be refused: {outcome}");
        assert!(outcome.good >= 0.95 * CAPACITY, "{outcome}");
    }
}

#[test]
fn without_pressure_nobody_is_refused_for_his_priority() {
    let text = scenario(8, "exponential", "", &[("critical", 30), ("background", 30)]);
    let outcome = Outcome::of(&text, auto);
    assert!(outcome.available[1] > 99.9, "{outcome}");
}

/// With the short waits of a line that stands, a rank of which nobody waited was taken for one that is hardly ever served, and refused at
/// arrival for ever, while less important calls had its places.
#[test]
fn in_every_line_the_important_are_served_first() {
    for discipline in ["fifo", "codel", "adaptive-lifo"] {
        let line = format!("line = {{ places = 20, wait = \"1s\", discipline = \"{discipline}\" }}\n");
        for limit in [auto as fn() -> Box<dyn Limit>, || Box::new(12), || Box::new(16)] {
            let outcome = Outcome::of(&prefetches(&line), limit);
            println!("{discipline}: {outcome}");
            assert!(outcome.available[0] > 99.9, "{discipline}: {outcome}");
            assert!(outcome.available[1] > 99.0, "{discipline}: {outcome}");
            assert!(outcome.available[2] > 98.0, "{discipline}: {outcome}");
            assert!(outcome.available[3] < 40.0, "{discipline}: {outcome}");
        }
    }
}
