//! `pushback top`: the live page, in a terminal.

mod frame;
mod screen;
mod stream;
mod words;

use std::{
    io::{IsTerminal, stdout},
    path::PathBuf,
    time::Duration,
};

use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
};
use tokio::{sync::mpsc, time::sleep};

use self::{screen::Screen, stream::Source};
use crate::{failure::Failure, output::print, proxy::Token, shutdown::Shutdown};

/// How long until a server that is gone is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// Where a proxy's live page is if nothing else is said, and a demo's.
const PROXY: &str = "http://127.0.0.1:9900";
const DEMO: &str = "http://127.0.0.1:8000";

/// Watch the gauges of a proxy, a demo or a service with pushback's dashboard, live.
///
/// Arrow keys choose a gauge, q ends. If the server goes away, it waits until the server is back.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the live page is: http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]
    #[arg(value_name = "URL", default_value = PROXY, value_parser = Source::parse)]
    source: Source,
    /// A file with the token, if the page needs one
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// A file with the certificates to trust, in PEM, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print the gauges once as text, and end
    #[arg(long)]
    once: bool,
}

/// What happens while one looks.
enum Happened {
    Key(KeyCode),
    Resized,
    Frame(Box<frame::Frame>),
    Lost(String),
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { source, token, ca, once } = arguments;
    let token = token.map(|file| {
        Token::read(&file).map_err(|problem| Failure::wrong(format!("--token is {file:?}; {problem}")))
    });
    let source = source.with(token.transpose()?, ca).map_err(Failure::wrong)?;
    if !once && !stdout().is_terminal() {
        return Err(Failure::wrong("standard output is no terminal; use --once to print text"));
    }
    // Where nothing ever was, waiting for its return helps nobody.
    let mut frames = source
        .open()
        .await
        .map_err(|problem| Failure::run(format!("{problem}{}", elsewhere(&source.to_string()))))?;
    let first = frames.next().await.map_err(Failure::run)?;
    let mut screen = Screen::new(source.to_string());
    screen.add(first);
    if once {
        // Rates need two moments.
        screen.add(frames.next().await.map_err(Failure::run)?);
        return print(&screen.text());
    }

    let mut shutdown =
        Shutdown::catch().map_err(|error| Failure::run(format!("cannot catch signals: {error}")))?;
    let (happens, happened) = mpsc::channel(16);
    let keys = happens.clone();
    // Its read cannot be interrupted; the process's end ends it.
    std::thread::spawn(move || read_keys(&keys));
    let reader = tokio::spawn(follow(source, frames, happens));
    let terminal =
        ratatui::try_init().map_err(|error| Failure::run(format!("cannot use the terminal: {error}")))?;
    let shown = tokio::select! {
        shown = show(terminal, &mut screen, happened) => shown,
        // From elsewhere; the terminal is left as it was.
        _ = shutdown.next() => Ok(()),
    };
    ratatui::restore();
    reader.abort();
    shown.map_err(|error| Failure::run(format!("cannot write to the terminal: {error}")))
}

/// Where else a page may be, for whoever said nothing and meant a demo.
fn elsewhere(asked: &str) -> String {
    if asked == PROXY { format!("; for a demo: pushback top {DEMO}") } else { String::new() }
}

async fn show(
    mut terminal: DefaultTerminal,
    screen: &mut Screen,
    mut happened: mpsc::Receiver<Happened>,
) -> std::io::Result<()> {
    loop {
        terminal.draw(|area| screen.draw(area))?;
        match happened.recv().await {
            None | Some(Happened::Key(KeyCode::Char('q') | KeyCode::Esc)) => return Ok(()),
            Some(Happened::Key(KeyCode::Up | KeyCode::Char('k'))) => screen.choose(-1),
            Some(Happened::Key(KeyCode::Down | KeyCode::Char('j'))) => screen.choose(1),
            Some(Happened::Key(_) | Happened::Resized) => (),
            Some(Happened::Frame(frame)) => screen.add(*frame),
            Some(Happened::Lost(reason)) => screen.lose(reason),
        }
    }
}

/// A terminal in raw mode hands Ctrl-C on as a key.
fn read_keys(keys: &mpsc::Sender<Happened>) {
    while let Ok(event) = event::read() {
        let happened = match event {
            Event::Key(key) if key.kind == KeyEventKind::Release => continue,
            Event::Key(key)
                if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') =>
            {
                Happened::Key(KeyCode::Esc)
            }
            Event::Key(key) => Happened::Key(key.code),
            Event::Resize(..) => Happened::Resized,
            _ => continue,
        };
        if keys.blocking_send(happened).is_err() {
            return;
        }
    }
    // Without keys, nobody could end it in a terminal that hands on Ctrl-C as a key.
    let _ = keys.blocking_send(Happened::Key(KeyCode::Esc));
}

/// Reads frames for as long as anybody wants them, over one connection after the other.
async fn follow(source: Source, mut frames: stream::Frames, happens: mpsc::Sender<Happened>) {
    loop {
        let mut lost = loop {
            let frame = match frames.next().await {
                Ok(frame) => Happened::Frame(Box::new(frame)),
                Err(reason) => break reason,
            };
            if happens.send(frame).await.is_err() {
                return;
            }
        };
        frames = loop {
            if happens.send(Happened::Lost(lost)).await.is_err() {
                return;
            }
            sleep(RETRY).await;
            match source.open().await {
                Ok(frames) => break frames,
                Err(reason) => lost = reason,
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_said_no_url_hears_where_a_demo_is() {
        let usual = Source::parse(PROXY).unwrap().to_string();
        assert_eq!(elsewhere(&usual), "; for a demo: pushback top http://127.0.0.1:8000");
        assert_eq!(elsewhere("http://127.0.0.1:1"), "");
    }
}
