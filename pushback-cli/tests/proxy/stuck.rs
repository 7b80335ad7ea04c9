//! Outputs that somebody has given to the program and that take nothing.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    thread,
};

/// The disk is full.
pub(crate) fn full_disk() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").expect("Linux has it").into()
}

/// A pipe whose reader has ended.
pub(crate) fn dead_reader() -> Stdio {
    let mut reader = Command::new("true").stdin(Stdio::piped()).spawn().expect("every system has true");
    let pipe = reader.stdin.take().expect("it is piped");
    reader.wait().expect("it ends");
    pipe.into()
}

/// A full pipe whose reader lives and does not read, so that a write waits for him.
pub(crate) struct StalledReader {
    reader: Child,
    pipe: File,
}

impl StalledReader {
    pub(crate) fn start() -> Self {
        let mut reader =
            Command::new("sleep").arg("600").stdin(Stdio::piped()).spawn().expect("every system has sleep");
        let pipe = File::from(OwnedFd::from(reader.stdin.take().expect("it is piped")));
        let mut fills = pipe.try_clone().expect("a file more");
        // It ends with the reader.
        thread::spawn(move || while fills.write_all(&[b'\n'; 4096]).is_ok() {});
        StalledReader { reader, pipe }
    }

    pub(crate) fn output(&self) -> Stdio {
        self.pipe.try_clone().expect("a file more").into()
    }
}

impl Drop for StalledReader {
    fn drop(&mut self) {
        let _ = self.reader.kill();
        let _ = self.reader.wait();
    }
}
