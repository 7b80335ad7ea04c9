//! A pool of threads behind a gauge: jobs above the limit are refused while the pool is busy, instead of piling up in
//! its queue.
//!
//! `cargo run --example thread_pool`

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
};

use pushback::{OwnedPermit, PressureGauge, Rejected};

/// What the pool does, and the place that it holds until it is done.
struct Job {
    work: Box<dyn FnOnce() + Send>,
    permit: OwnedPermit,
}

struct Pool {
    gauge: PressureGauge,
    jobs: Sender<Job>,
    workers: Vec<JoinHandle<()>>,
}

impl Pool {
    /// `workers` threads, and as many more jobs that may wait for one.
    fn new(workers: u32) -> Self {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let inbox = Arc::new(Mutex::new(inbox));
        let threads = (0..workers)
            .map(|_| {
                let inbox = inbox.clone();
                thread::spawn(move || {
                    while let Some(job) = next(&inbox) {
                        (job.work)();
                        drop(job.permit); // the place is free when the work is done, not when it was handed over
                    }
                })
            })
            .collect();
        Pool { gauge: PressureGauge::new(2 * workers), jobs, workers: threads }
    }

    /// Hands a job to the pool, or refuses it now: the caller feels that the pool is busy.
    fn submit(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Rejected> {
        let permit = self.gauge.try_acquire()?.into_owned();
        self.jobs.send(Job { work: Box::new(work), permit }).expect("the workers live as long as the pool");
        Ok(())
    }

    /// Refuses new jobs, finishes those it has, and ends its threads.
    fn finish(self) {
        self.gauge.drain_blocking();
        drop(self.jobs);
        for worker in self.workers {
            worker.join().expect("no job panics");
        }
    }
}

fn next(inbox: &Mutex<Receiver<Job>>) -> Option<Job> {
    inbox.lock().expect("no worker panics").recv().ok()
}

fn main() {
    let pool = Pool::new(2);
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let answers: Vec<_> = (0..10)
        .map(|_| {
            let held = held.clone();
            pool.submit(move || {
                let _ = held.lock().expect("no job panics").recv();
            })
        })
        .collect();
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    println!("10 jobs for 2 workers: {taken} taken, {} refused", 10 - taken);
    assert_eq!(taken, 4, "two run, two wait for a worker");
    if let Some(Err(refused)) = answers.last() {
        println!("the last: {refused}");
    }
    drop(release);
    pool.finish();
    println!("finished");
}

#[test]
fn the_example_runs() {
    main();
}
