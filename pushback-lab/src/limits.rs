//! The limits that run against each other: the library's, and baselines of others, one file each.
//!
//! Here all of them may go from 1 to 2000 places, or from the least that their rules allow, because the scenarios' optima lie
//! between 1 and 782 and runs begin at 1, 20 and 1000; each type's own `new` has its source's bounds.
//!
//! Another one is a file in `limits/` and three lines here: `mod`, `pub use`, and its line in `ALL`.

mod bbr;
mod brpc;
mod dice;
mod envoy;
mod failsafe;
mod mutants;
pub(crate) mod steering;
#[cfg(test)]
mod testing;
mod times;
mod utilisation;

use std::{fmt, ops::RangeInclusive, time::Duration};

use pushback::limit::{Aimd, Auto, AutoPart, Gradient2, Limit, Vegas};

pub use bbr::Bbr;
pub use brpc::Brpc;
pub use envoy::Envoy;
pub use failsafe::Failsafe;
pub use mutants::RandomWalk;
pub use utilisation::Utilisation;

use crate::words;

use self::steering::Steering;

/// A limit that takes part, by its name.
#[derive(Clone)]
pub struct Contender {
    /// What it is called: `vegas`, `fixed:20`.
    pub name: String,
    /// Whether it never moves, so that one beginning is as good as another.
    pub is_fixed: bool,
    /// Whether it is there to fail, so that the scenarios are seen to tell good from bad.
    pub is_mutant: bool,
    make: Make,
}

#[derive(Clone, Copy)]
enum Make {
    Fixed(u32),
    /// The oracle's limit of each phase, so long after its beginning.
    Late(Duration),
    Named(Maker),
    AutoWithout(AutoPart),
    /// Auto that begins at so many at most.
    AutoFrom(u32),
    /// Auto that is told the deadline.
    AutoPatient,
    /// Auto whose calls bring it.
    AutoTold,
}

type Maker = fn(Wish) -> Box<dyn Limit>;

/// What a run wants of a limit.
#[derive(Debug, Clone)]
struct Wish {
    initial: u32,
    seed: u64,
    utilisation: Utilisation,
}

/// The name of each, and how it is made; mutants are marked.
const ALL: &[(&str, Kind, Maker)] = &[
    ("auto", Kind::Limit, |wish| Box::new(Auto::new().bounds(BOUNDS).initial(wish.initial))),
    ("aimd", Kind::Limit, |wish| Box::new(Aimd::new().bounds(BOUNDS).initial(wish.initial))),
    ("vegas", Kind::Limit, |wish| {
        Box::new(Vegas::new().bounds(BOUNDS).initial(wish.initial).seed(wish.seed))
    }),
    ("gradient2", Kind::Limit, |wish| {
        Box::new(Gradient2::new().bounds(4..=MAX).initial(wish.initial.max(4)))
    }),
    ("envoy", Kind::Limit, |wish| {
        Box::new(Envoy::new().bounds(3..=MAX).initial(wish.initial).seed(wish.seed))
    }),
    ("envoy-unpinned", Kind::Limit, |wish| {
        Box::new(Envoy::new().unpinned().bounds(3..=MAX).initial(wish.initial).seed(wish.seed))
    }),
    ("brpc", Kind::Limit, |wish| {
        Box::new(Brpc::new().bounds(2..=MAX).initial(wish.initial.max(2)).seed(wish.seed))
    }),
    ("failsafe", Kind::Limit, |wish| Box::new(Failsafe::new().bounds(BOUNDS).initial(wish.initial))),
    ("bbr", Kind::Limit, |wish| Box::new(Bbr::new(wish.utilisation, MAX).initial(wish.initial))),
    ("frozen", Kind::Mutant, |wish| Box::new(wish.initial)),
    ("minimum", Kind::Mutant, |_| Box::new(1)),
    ("maximum", Kind::Mutant, |_| Box::new(MAX)),
    ("random-walk", Kind::Mutant, |wish| Box::new(RandomWalk::new(wish.initial, BOUNDS, wish.seed))),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Limit,
    Mutant,
}

/// How late the oracle is that all are measured beside: what comes of knowing all that can be seen, but only when it can be seen.
const LATE: &str = "late:1s";
const LATE_MAX: Duration = Duration::from_secs(3600);

/// `auto-without-dips` is Auto without its dips.
const WITHOUT: &str = "auto-without-";

/// Auto that is told how long callers wait: the scenario's deadline.
const PATIENT: &str = "auto-patient";

/// Auto to which each call tells that deadline.
const TOLD: &str = "auto-told";

/// `auto-from:20` is Auto that begins at 20, where Auto begins lower.
const FROM: &str = "auto-from:";

fn part_name(part: AutoPart) -> &'static str {
    match part {
        AutoPart::Cohorts => "cohorts",
        AutoPart::Start => "start",
        AutoPart::FirstLook => "first-look",
        AutoPart::Dips => "dips",
        AutoPart::NotOurs => "not-ours",
        AutoPart::Idle => "idle",
        AutoPart::Knee => "knee",
        AutoPart::Breakdown => "breakdown",
        AutoPart::StandStill => "stand-still",
        AutoPart::Late => "late",
        AutoPart::Chance => "chance",
        _ => "unknown",
    }
}

const MAX: u32 = 2000;
const BOUNDS: RangeInclusive<u32> = 1..=MAX;

impl Contender {
    /// All of them, and the oracle a second late.
    pub fn all() -> Vec<Contender> {
        let named = ALL.iter().map(|(name, kind, make)| Contender::named(name, *kind, *make));
        named.chain(Contender::parse(LATE)).collect()
    }

    /// The one of this name, or a fixed limit: `fixed:20`, or the oracle's, set late: `late:1s`.
    ///
    /// # Errors
    ///
    /// If there is none of this name; the error says which there are.
    pub fn parse(name: &str) -> Result<Contender, String> {
        if let Some(places) = name.strip_prefix("fixed:") {
            let places = places.parse().ok().filter(|places| BOUNDS.contains(places));
            let places = places.ok_or(format!("allowed: fixed:1 to fixed:{MAX}"))?;
            let make = Make::Fixed(places);
            return Ok(Contender { name: name.to_owned(), is_fixed: true, is_mutant: false, make });
        }
        if let Some(late) = name.strip_prefix("late:") {
            let late = words::time(late, Duration::ZERO..=LATE_MAX);
            let make = Make::Late(late.map_err(|problem| format!("in late:TIME, {problem}"))?);
            return Ok(Contender { name: name.to_owned(), is_fixed: false, is_mutant: false, make });
        }
        let mut knows = [(PATIENT, Make::AutoPatient), (TOLD, Make::AutoTold)].into_iter();
        if let Some((_, make)) = knows.find(|(known, _)| *known == name) {
            return Ok(Contender { name: name.to_owned(), is_fixed: false, is_mutant: false, make });
        }
        if let Some(most) = name.strip_prefix(FROM) {
            let most = most.parse().ok().filter(|most| BOUNDS.contains(most));
            let make = Make::AutoFrom(most.ok_or(format!("allowed: {FROM}1 to {FROM}{MAX}"))?);
            return Ok(Contender { name: name.to_owned(), is_fixed: false, is_mutant: false, make });
        }
        if let Some(part) = name.strip_prefix(WITHOUT) {
            let part = AutoPart::ALL.into_iter().find(|known| part_name(*known) == part);
            let part = part.ok_or_else(|| {
                let names = AutoPart::ALL.map(|part| format!("{WITHOUT}{}", part_name(part)));
                format!("allowed: {}", names.join(", "))
            })?;
            let make = Make::AutoWithout(part);
            return Ok(Contender { name: name.to_owned(), is_fixed: false, is_mutant: false, make });
        }
        let known = ALL.iter().find(|(known, ..)| *known == name);
        let (name, kind, make) = known.ok_or_else(|| {
            let names: Vec<_> = ALL.iter().map(|(name, ..)| *name).collect();
            format!("allowed: {}, fixed:N, late:TIME", names.join(", "))
        })?;
        Ok(Contender::named(name, *kind, *make))
    }

    fn named(name: &str, kind: Kind, make: Maker) -> Self {
        let is_mutant = kind == Kind::Mutant;
        Contender { name: name.to_owned(), is_fixed: false, is_mutant, make: Make::Named(make) }
    }

    /// Whether it needs to know the oracle's limits before it runs.
    pub fn is_of_oracle(&self) -> bool {
        matches!(self.make, Make::Late(_))
    }

    /// For one run. What needs the oracle stays where it begins, and callers wait for ever.
    pub fn steering(&self, initial: u32, seed: u64) -> Steering {
        self.steering_in(initial, seed, Duration::MAX, &[])
    }

    /// For one run of a scenario with this deadline, in which these are the oracle's limits, by phase.
    pub(crate) fn steering_in(
        &self,
        initial: u32,
        seed: u64,
        deadline: Duration,
        oracle: &[u32],
    ) -> Steering {
        let utilisation = Utilisation::default();
        let limit: Box<dyn Limit> = match self.make {
            Make::Fixed(places) => Box::new(places),
            Make::Late(late) => {
                return Steering::ByPhase { limits: oracle.to_vec(), late: Some((initial, late)) };
            }
            Make::AutoWithout(part) => Box::new(Auto::new().bounds(BOUNDS).initial(initial).without(part)),
            Make::AutoFrom(most) => Box::new(Auto::new().bounds(BOUNDS).initial(initial).initial_max(most)),
            Make::AutoTold => Box::new(Auto::new().bounds(BOUNDS).initial(initial)),
            Make::AutoPatient => Box::new(Auto::new().bounds(BOUNDS).initial(initial).patience(deadline)),
            Make::Named(make) => make(Wish { initial, seed, utilisation: utilisation.clone() }),
        };
        Steering::Limit { limit, utilisation, tells: matches!(self.make, Make::AutoTold) }
    }
}

impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
