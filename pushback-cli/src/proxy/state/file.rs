//! The state file, as JSON: `{"version":1,"time":1764280000,"gauges":{"api":37}}`.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::proxy::front::gauges::Stood;

const VERSION: u64 = 1;
/// In bytes: more than any number of gauges that makes sense needs.
const SIZE_MAX: u64 = 16 << 20;

/// Where limits stood, and when, in seconds since 1970.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) time: u64,
    pub(super) limits: Stood,
}

impl Remembered {
    /// Nothing, if there is no file yet; an error says what is wrong with it.
    pub(super) fn read(file: &Path) -> Result<Option<Self>, String> {
        let mut text = String::new();
        match File::open(file).and_then(|file| file.take(SIZE_MAX).read_to_string(&mut text)) {
            Ok(_) => Remembered::parse(&text).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("it cannot be read: {error}")),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let all: Value = serde_json::from_str(text).map_err(|error| format!("this is not JSON: {error}"))?;
        let (version, time, gauges) = (&all["version"], &all["time"], &all["gauges"]);
        if *version != VERSION {
            return Err(format!("version is {version}; allowed: {VERSION}"));
        }
        let time = time.as_u64().ok_or_else(|| format!("time is {time}; allowed: seconds since 1970"))?;
        let gauges =
            gauges.as_object().ok_or_else(|| format!("gauges is {gauges}; allowed: limits by name"))?;
        let limits = gauges.iter().map(|(name, limit)| {
            let places =
                limit.as_u64().and_then(|limit| u32::try_from(limit).ok()).filter(|limit| *limit > 0);
            let problem = || format!("gauges.{name} is {limit}; allowed: 1 to {}", u32::MAX);
            places.map(|places| (name.clone(), places)).ok_or_else(problem)
        });
        Ok(Remembered { time, limits: limits.collect::<Result<_, _>>()? })
    }

    /// Whoever reads it meanwhile, or after a crash, has what was there before or all of this.
    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        let text = json!({ "version": VERSION, "time": self.time, "gauges": self.limits }).to_string();
        let new = beside(file, ".new");
        let written = write_new(&new, &text).and_then(|()| fs::rename(&new, file));
        if written.is_err() {
            let _ = fs::remove_file(&new); // a part of it helps nobody, and may fill the disk
        }
        written
    }
}

/// Whether a file can be written there. It takes another name than what a proxy that runs may be writing.
pub(super) fn try_folder(file: &Path) -> io::Result<()> {
    let new = beside(file, ".check");
    write_new(&new, "")?;
    fs::remove_file(&new)
}

pub(super) fn folder(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What was left there before goes, and what a link there leads to is left alone.
fn write_new(file: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let mut new = File::options().write(true).create_new(true).open(file)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()
}

/// A file in the same folder, which can become this one in one step.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.file_name().map(OsString::from).unwrap_or_default();
    name.push(ending);
    file.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_as_the_same_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        assert_eq!(Remembered::read(&file), Ok(None));
        fs::write(beside(&file, ".new"), "from a crash").unwrap();
        for limit in [1, 37, u32::MAX] {
            let limits = Stood::from([("a.b".to_owned(), limit), ("\"".to_owned(), 2)]);
            let remembered = Remembered { time: 1_764_280_000, limits };
            remembered.write(&file).unwrap();
            assert_eq!(Remembered::read(&file), Ok(Some(remembered)));
        }
        try_folder(&file).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        let remembered = |limit| Remembered { time: 1, limits: Stood::from([("a".to_owned(), limit)]) };
        remembered(5).write(&file).unwrap();
        fs::create_dir(beside(&file, ".new")).unwrap();
        remembered(6).write(&file).unwrap_err();
        assert_eq!(Remembered::read(&file), Ok(Some(remembered(5))));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_value_and_what_is_allowed() {
        for (text, words) in [
            ("", "this is not JSON: "),
            ("{\"version\":1,\"time\":1,\"gau", "this is not JSON: "),
            ("[]", "version is null; allowed: 1"),
            (r#"{"version":2,"time":1,"gauges":{}}"#, "version is 2; allowed: 1"),
            (r#"{"version":1,"time":-1,"gauges":{}}"#, "time is -1; allowed: seconds since 1970"),
            (r#"{"version":1,"time":1,"gauges":[]}"#, "gauges is []; allowed: limits by name"),
            (
                r#"{"version":1,"time":1,"gauges":{"a":7,"b":"many"}}"#,
                "gauges.b is \"many\"; allowed: 1 to 4294967295",
            ),
            (r#"{"version":1,"time":1,"gauges":{"a":0}}"#, "gauges.a is 0; allowed: 1 to 4294967295"),
            (r#"{"version":1,"time":1,"gauges":{"a":1.5}}"#, "gauges.a is 1.5; allowed: 1 to 4294967295"),
            (
                r#"{"version":1,"time":1,"gauges":{"a":4294967296}}"#,
                "gauges.a is 4294967296; allowed: 1 to 4294967295",
            ),
        ] {
            let error = Remembered::parse(text).unwrap_err();
            assert!(error.starts_with(words), "{text}: {error}");
        }
    }
}
