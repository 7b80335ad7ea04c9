//! The proxy under all attacks at once, for a minute or for as many seconds as `PUSHBACK_SOAK_SECONDS` says: its honest clients must
//! hardly notice, and at the end nothing may be left of it.
//!
//! Phases without and with the attack take turns, so that what else this machine does meets both alike. A test program of its own, for
//! cargo runs those one after the other.

mod attackers;
mod figures;
mod honest;
mod proxy;
#[path = "../proxy/attacks/raw.rs"]
mod raw;
#[path = "../proxy/attacks/streams.rs"]
mod streams;
#[path = "../proxy/support.rs"]
#[expect(dead_code, reason = "it is asked for less here than in the tests of the proxy")]
mod support;
#[path = "../proxy/attacks/within.rs"]
mod within;

use std::{panic::resume_unwind, time::Duration};

use tokio::{task::JoinSet, time::interval};

use self::{
    attackers::Attackers,
    honest::{Answers, Honest},
    proxy::Soaked,
    within::within,
};
use crate::support::Service;

/// How long it takes, if nothing is said.
const USUAL: u64 = 60;
/// How often it is looked at in a phase, and how many times: longer than a connection may be silent.
const LOOK: Duration = Duration::from_secs(1);
const LOOKS: u32 = 15;
/// What must be left of goodput.
const SHARE: f64 = 0.95;
/// How much more memory may be in use after the last attack than after the first: so many times as much, and so many KiB.
const MEMORY: f64 = 1.2;
const MEMORY_MORE: f64 = 4096.0;
/// How many more files may be open at the end than before the first attack: connections to the service that are kept for a while.
const FILES_MORE: usize = 4;
/// Where the limit goes by itself with no more than two honest calls in flight: four times that, and ten.
const AT_REST: f64 = 18.0;
/// How long anything may take that an attack leaves behind.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_attacks_at_once_are_hardly_noticed_and_leave_nothing_behind() {
    let service = Service::start();
    let soaked = Soaked::start(&service.url());
    let honest = Honest::start(&soaked.proxy.address);
    honest.serve(200).await;
    let files = soaked.files();
    let mut phases = Vec::new();
    for _ in 0..turns() {
        phases.push(phase(false, &soaked, &honest).await);
        let attackers = Attackers::start(&soaked);
        // In a few seconds, the pipe is full.
        let stalled = soaked.stall_the_log().await;
        let attacked = phase(true, &soaked, &honest).await;
        drop(stalled);
        let done = attackers.stop().await;
        soaked.waits_for("no places of attackers", |figures| figures.in_flight_beside_honest() < 1.0).await;
        phases.push(Phase { memory: soaked.memory(), ..attacked });
        println!("{:?}\n{done:?}", &phases[phases.len() - 2..]);
    }
    soaked.waits_for_files(files + FILES_MORE).await;
    honest.stop().await;
    soaked.waits_for("no places of anybody", |figures| figures.in_flight() < 1.0).await;
    let mut wrong = compare(&phases);
    wrong.extend(soaked.figures().await.wrong());
    wrong.extend(soaked.end());
    assert!(wrong.is_empty(), "{wrong:#?}\n{phases:#?}");
}

/// How often a phase without and one with the attack are run.
fn turns() -> u64 {
    let seconds = std::env::var("PUSHBACK_SOAK_SECONDS")
        .map_or(USUAL, |seconds| seconds.parse().expect("PUSHBACK_SOAK_SECONDS is a number of seconds"));
    (seconds / (2 * u64::from(LOOKS) * LOOK.as_secs())).max(2)
}

#[derive(Debug)]
struct Phase {
    is_attacked: bool,
    answers: Answers,
    /// The median of the honest calls' limit: where it stands, and not where it goes for a moment when the machine had no processor for
    /// this. What a moment costs them is judged by their answers.
    limit: f64,
    /// Where it stood at each look, and why.
    #[expect(dead_code, reason = "it is printed when something is wrong")]
    whys: Vec<String>,
    /// KiB that the proxy has resident when all is over.
    memory: f64,
    /// How long the proxy and these clients have waited for a processor, all their threads together.
    waited: Duration,
}

/// What becomes of honest calls in a phase.
async fn phase(is_attacked: bool, soaked: &Soaked, honest: &Honest) -> Phase {
    let mut ticks = interval(LOOK);
    ticks.tick().await; // which comes at once
    let (before, waited_before) = (honest.answers(), soaked.waited());
    let (mut limits, mut whys) = (Vec::new(), Vec::new());
    for look in 0..LOOKS {
        if is_attacked {
            soaked.reload(look);
        }
        ticks.tick().await;
        limits.push(soaked.figures().await.limit());
        whys.push(soaked.why());
    }
    let (answers, waited) = (honest.answers() - before, soaked.waited() - waited_before);
    limits.sort_by(f64::total_cmp);
    let limit = limits[limits.len() / 2];
    Phase { is_attacked, answers, limit, whys, memory: soaked.memory(), waited }
}

/// What the attack has bent.
fn compare(phases: &[Phase]) -> Vec<String> {
    let (with, without): (Vec<_>, Vec<_>) = phases.iter().partition(|phase| phase.is_attacked);
    let served = |phases: &[&Phase]| phases.iter().map(|phase| f64::from(phase.answers.in_time)).sum::<f64>();
    let waited = |phases: &[&Phase]| phases.iter().map(|phase| phase.waited).sum::<Duration>();
    // A miss is told apart by it from a machine that had no processor for this.
    println!("waited for a processor: {:?} without, {:?} with", waited(&without), waited(&with));
    let [first, .., last] = without[..] else { panic!("there are two turns at least") };
    let mut wrong = Vec::new();
    // The second, for what lasts longer than the attack would be missed by the first.
    for (what, without, with) in [
        ("all phases", served(&without), served(&with)),
        ("the first and the last one without it", served(&[first]), served(&[last])),
    ] {
        println!("answers in time in {what}: {without} without the attack, {with} with or after it");
        if with < SHARE * without {
            wrong.push(format!("goodput in {what}: {with} of {without} is left"));
        }
    }
    let least = phases.iter().map(|phase| phase.limit).fold(f64::INFINITY, f64::min);
    println!("the limit: {} before the attack, and then {least} at least", first.limit);
    if least < first.limit.min(AT_REST) {
        wrong.push(format!("the limit: {} before the attack, and then {least}", first.limit));
    }
    let (once, at_end) = (with[0].memory, with[with.len() - 1].memory);
    println!("memory: {once} KiB after the first attack, {at_end} KiB after the last");
    if at_end > MEMORY * once + MEMORY_MORE {
        wrong.push(format!("memory: {once} KiB after the first attack, {at_end} KiB after the last"));
    }
    wrong
}

/// Ends clients; if one of them has panicked, so does this.
async fn stop(mut clients: JoinSet<()>) {
    clients.abort_all();
    while let Some(ended) = clients.join_next().await {
        match ended {
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            _ => (),
        }
    }
}
