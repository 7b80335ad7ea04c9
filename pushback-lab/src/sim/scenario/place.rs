//! Where in its file a fault of a scenario stands.

/// What does not hold between several keys.
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) problem: String,
}

/// Where a fault stands.
pub(super) enum Place {
    Whole,
    FirstLine,
    /// The first line that has this.
    Line(&'static str),
    /// The line that sets this limit's expectation.
    Expect(String),
    /// The first line that has this within a phase, by its number from 0.
    InPhase(usize, String),
}

const PHASE: &str = "[[phase]]";

impl Place {
    /// The number of its line, from 0.
    pub(super) fn line(&self, text: &str) -> Option<usize> {
        // Comments have the words too, but not the fault.
        let lines = text.lines().map(str::trim_start).enumerate().filter(|(_, line)| !line.starts_with('#'));
        let with = |word: &str| -> Vec<usize> {
            lines.clone().filter(|(_, line)| line.contains(word)).map(|(number, _)| number).collect()
        };
        match self {
            Place::Whole => None,
            Place::FirstLine => Some(0),
            Place::Line(key) => with(key).first().copied(),
            Place::Expect(name) => {
                with("[expect]").first().and_then(|begin| with(name).into_iter().find(|line| line > begin))
            }
            Place::InPhase(phase, key) => {
                let phases = with(PHASE);
                let begin = *phases.get(*phase)?;
                let end = phases.get(phase + 1).copied().unwrap_or(usize::MAX);
                with(key).into_iter().find(|number| (begin..end).contains(number)).or(Some(begin))
            }
        }
    }
}

/// A fault with the number and the text of its line.
pub(super) fn in_line(text: &str, number: usize, problem: &str) -> String {
    let line = text.lines().nth(number).unwrap_or_default().trim();
    let (number, problem) = (number + 1, problem.replace('\n', " "));
    if line.is_empty() {
        format!("line {number}: {problem}")
    } else {
        format!("line {number}: `{line}`: {problem}")
    }
}
