//! Lines on their way to an output that may be full, closed or stuck, for which nobody who writes them should wait.
//!
//! Not tracing-appender: it bounds lines and not bytes, does not count what cannot be written, and when its reader is stuck at the end, it
//! prints that to standard output, which may be stuck as well.

use std::{
    io::{self, ErrorKind, Write},
    iter, mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// How many bytes may wait to be written; as many again are being written.
const WAITING_MAX: usize = 4 << 20;
/// What a pipe takes as one piece (`PIPE_BUF`), so that lines of several processes do not mix.
const PIECE_MAX: usize = 4096;
/// Until an output that somebody has made non-blocking is asked again.
const PAUSE: Duration = Duration::from_millis(10);

/// A thread of their own writes them. A line for which there is no room, or which cannot be written, is lost and counted.
pub(super) struct Lines {
    shared: Arc<Shared>,
    has_thread: bool,
}

struct Shared {
    state: Mutex<State>,
    /// There is something to write, or nothing any more.
    changed: Condvar,
    output: Mutex<Box<dyn Write + Send>>,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    is_writing: bool,
}

impl Lines {
    pub(super) fn to(output: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            output: Mutex::new(Box::new(output)),
            dropped: AtomicU64::new(0),
        });
        let writer = Arc::clone(&shared);
        let thread = thread::Builder::new().name("output".to_owned()).spawn(move || writer.write_on());
        Lines { shared, has_thread: thread.is_ok() }
    }

    pub(super) fn say(&self, text: &str) {
        self.add(format!("{text}\n").as_bytes());
    }

    /// How many were lost.
    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all are written, but no longer than this.
    pub(super) fn finish(&self, within: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        let _ = self.shared.changed.wait_timeout_while(locked(&self.shared.state), within, is_busy);
    }

    fn add(&self, lines: &[u8]) {
        if !self.has_thread {
            // Where no thread starts, the program does not get far, and should say why.
            return self.shared.put(locked(&self.shared.output).as_mut(), lines);
        }
        let mut state = locked(&self.shared.state);
        if state.waiting.len() + lines.len() > WAITING_MAX {
            return self.shared.lose(lines);
        }
        let is_first = state.waiting.is_empty();
        state.waiting.extend_from_slice(lines);
        drop(state);
        if is_first {
            self.shared.changed.notify_all();
        }
    }
}

/// Takes whole lines.
impl Write for &Lines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.add(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    /// Writes what comes, for as long as the process lives.
    fn write_on(&self) {
        let mut output = locked(&self.output);
        let mut lines = Vec::new();
        loop {
            let state = locked(&self.state);
            let waited = self.changed.wait_while(state, |state| state.waiting.is_empty());
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            mem::swap(&mut state.waiting, &mut lines);
            state.is_writing = true;
            drop(state);
            self.put(output.as_mut(), &lines);
            lines.clear();
            lines.shrink_to(PIECE_MAX);
            locked(&self.state).is_writing = false;
            self.changed.notify_all();
        }
    }

    fn put(&self, output: &mut dyn Write, lines: &[u8]) {
        for piece in pieces(lines) {
            if write_whole(output, piece).is_err() {
                self.lose(piece);
            }
        }
    }

    fn lose(&self, lines: &[u8]) {
        let count = lines.iter().filter(|byte| **byte == b'\n').count();
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// As many whole lines as a pipe takes at once; a longer line is a piece of its own.
fn pieces(mut lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_end = |byte: &u8| *byte == b'\n';
    iter::from_fn(move || {
        let first = &lines[..lines.len().min(PIECE_MAX)];
        let end = first.iter().rposition(is_end).or_else(|| lines.iter().position(is_end));
        let (piece, rest) = lines.split_at(end.map_or(lines.len(), |end| end + 1));
        lines = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn write_whole(output: &mut dyn Write, mut piece: &[u8]) -> io::Result<()> {
    while !piece.is_empty() {
        match output.write(piece) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => piece = &piece[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    output.flush()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    #[test]
    fn a_piece_is_whole_lines_that_a_pipe_takes_at_once_or_one_that_is_longer() {
        let lines = [vec![b'a'; 4000], vec![b'b'; 95], vec![b'c'; 9000], vec![], vec![b'd'; 7]].join(&b'\n');
        let lengths = |lines: &[u8]| pieces(lines).map(<[u8]>::len).collect::<Vec<_>>();
        assert_eq!(lengths(&lines), [4001, 96, 9001, 1, 7]);
        assert_eq!(lengths(b"a\nb\n"), [4]);
        assert!(lengths(b"").is_empty());
    }

    /// Says what it is given, and takes it when it is allowed to.
    struct Stuck(Sender<usize>, Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(bytes.len());
            self.1.recv().map_err(|_| ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_waits_for_an_output_that_is_stuck_is_bounded_in_bytes_and_the_rest_is_lost_and_counted() {
        let (given, taken) = (channel(), channel());
        let lines = Lines::to(Stuck(given.0, taken.1));
        lines.say("first");
        assert_eq!(given.1.recv().unwrap(), 6, "it is stuck with this one");
        let long = "a".repeat(WAITING_MAX / 4 - 1);
        for _ in 0..7 {
            lines.say(&long);
        }
        assert_eq!(lines.dropped(), 3);
        lines.finish(Duration::ZERO);
        drop(taken.0);
        lines.finish(Duration::MAX);
        assert_eq!(lines.dropped(), 3 + 5, "nor could the others be written");
    }
}
