//! `pushback sim` as its users run it.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

const SCENARIO: &str = "# A short one.\ndeadline = \"200ms\"\nwarmup = \"1s\"\n\n[[station]]\nname = \"workers\"\n\
    workers = 4\ntime.exponential = \"20ms\"\n\n[[phase]]\nlasts = \"5s\"\nrate = 300\n";

/// A folder with a scenario in it that goes away with its test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn with(&self, text: &str) -> PathBuf {
        let file = self.file("short.toml");
        fs::write(&file, text).unwrap();
        file
    }
}

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pushback")).arg("sim").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// It failed before it ran, with one line that says these words.
fn fails(arguments: &[&str], words: &[&str]) {
    let output = sim(arguments);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    for word in words {
        assert!(said.contains(word), "'{word}' is missing: {said}");
    }
}

#[test]
fn the_json_has_a_summary_by_limit() {
    let folder = Folder::new();
    let file = folder.with(SCENARIO);
    let output = sim(&[file.to_str().unwrap(), "--limit", "vegas,fixed:8", "--seeds", "1", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let summary = report["summary"].as_object().unwrap();
    assert_eq!(summary.keys().collect::<Vec<_>>(), ["fixed:8", "vegas"]);
    for limit in summary.values() {
        for key in ["worst_percent_of_oracle", "mean_percent_of_oracle"] {
            assert!(limit[key].is_number(), "{key}: {limit}");
        }
        // No phase of it is healthy.
        assert_eq!(limit["false_refusals_percent_half_load"], Value::Null);
    }
    assert!(summary["fixed:8"]["worst_percent_of_oracle"].as_f64().unwrap() > 90.0);
    assert_eq!(report["scenarios"][0]["shows"], "A short one.");
    // Four workers of 20 ms can give 200 a second.
    let phase = &report["scenarios"][0]["limits"]["fixed:8"]["phases"][0];
    let [goodput, p50] = [&phase["goodput_per_second"], &phase["admitted"]["p50_ms"]].map(Value::as_f64);
    assert!((150.0..220.0).contains(&goodput.unwrap()) && p50.unwrap() > 14.0, "{phase}");
}

#[test]
fn the_table_the_page_and_the_plot_name_all_limits() {
    let folder = Folder::new();
    let (file, page, plot) = (folder.with(SCENARIO), folder.file("page.html"), folder.file("plot.svg"));
    let [file, page, plot] = [&file, &page, &plot].map(|path| path.to_str().unwrap());
    let output = sim(&[
        file,
        "--limit",
        "aimd,envoy",
        "--initial",
        "20",
        "--seeds",
        "1",
        "--report",
        page,
        "--plot",
        plot,
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let [page, plot] = [page, plot].map(|file| fs::read_to_string(file).unwrap());
    for shown in [text(&output.stdout), page.clone(), plot] {
        assert!(shown.contains("aimd") && shown.contains("envoy") && shown.contains("short"), "{shown}");
    }
    // It needs nothing from elsewhere.
    assert!(!page.contains("<script") && !page.contains("src=") && page.contains("<svg"));
    assert!(!page.contains("href=\"http"));
}

#[test]
fn a_scenario_that_names_itself_as_markup_is_shown_as_text() {
    let folder = Folder::new();
    let file = folder.with(&SCENARIO.replace("A short one", "<b>bold</b> & \"so\""));
    let page = folder.file("page.html");
    let [file, page] = [&file, &page].map(|path| path.to_str().unwrap());
    assert!(sim(&[file, "--limit", "fixed:8", "--seeds", "1", "--report", page]).status.success());
    let page = fs::read_to_string(page).unwrap();
    assert!(!page.contains("<b>") && page.contains("&lt;b&gt;bold&lt;/b&gt; &amp; &quot;so&quot;"), "{page}");
}

#[test]
fn a_wrong_file_is_one_line_that_names_the_line_the_key_and_what_is_allowed() {
    let cases = [
        ("workers = 4", "workers = 0", ["line 7", "workers = 0", "1 to 100000"]),
        ("workers = 4", "wrokers = 4", ["line 7", "wrokers", "workers"]),
        ("rate = 300", "rate = -5", ["line 12", "rate = -5", "0 to 1000000"]),
        ("rate = 300", "rate = \"many\"", ["line 12", "many", "0 to 1000000"]),
        ("\"20ms\"", "\"soon\"", ["line 8", "soon", "1ns to 24h"]),
        ("\"20ms\"", "20", ["line 8", "time.exponential = 20", "no unit; write \"20ms\" or \"20s\""]),
        ("\"20ms\"", "\"1.5\"", ["line 8", "no unit", "write \"1.5ms\" or \"1.5s\""]),
        ("rate = 300", "", ["line 10", "[[phase]]", "a rate or callers"]),
        ("rate = 300", "rate = 300\ncallers = 5", ["line 10", "[[phase]]", "a rate or callers"]),
        ("rate = 300", "rate = 300\nchange.other.speed = 1", ["line 13", "'other'", "workers"]),
        ("rate = 300", "callers = 50", ["line 12", "callers = 50", "think"]),
        ("deadline", "client.retries = 21\ndeadline", ["line 2", "retries = 21", "0 to 20"]),
        ("deadline", "pause = { every = \"1s\", lasts = \"1s\" }\ndeadline", ["line 2", "pause", "shorter"]),
        ("rate = 300", "rate = nan", ["line 12", "rate = nan", "0 to 1000000"]),
        ("lasts = \"5s\"", "lasts = \"3h\"", ["line 11", "longer", "2h"]),
        ("# A short one.\n", "", ["line 1", "comment", "shows"]),
        ("deadline", "deadlin", ["line 2", "deadlin", "deadline"]),
        (
            "deadline = \"200ms\"\n",
            "",
            ["short.toml, at the top", "missing field `deadline`", "before all tables"],
        ),
        ("lasts = \"5s\"\n", "", ["line 10: `[[phase]]`", "missing field", "`lasts`"]),
        ("warmup = \"1s\"", "warmup = \"5s\"", ["line 3", "warmup is 5s", "last 5s, so nothing would count"]),
        ("warmup = \"1s\"\n", "", ["warmup is 5s (5s, if none is given)", "last 5s", "longer phases"]),
        (
            "rate = 300",
            "rate = 300\n[expect]\natuo = [1, 2]",
            ["line 14: `atuo = [1, 2]`", "'atuo', which is no limit", "allowed: auto, "],
        ),
        ("[[phase]]", "[[phase", ["line 10", "[[phase", "]"]),
    ];
    for (right, wrong, words) in cases {
        let folder = Folder::new();
        let file = folder.with(&SCENARIO.replacen(right, wrong, 1));
        fails(&[file.to_str().unwrap()], &words);
    }
}

#[test]
fn what_comes_otherwise_than_expected_is_said_and_exit_code_1() {
    let folder = Folder::new();
    let with = |expect: &str| {
        let file = folder.with(&format!("{SCENARIO}\n[expect]\n\"fixed:8\" = {expect}\n"));
        sim(&[file.to_str().unwrap(), "--limit", "fixed:8", "--seeds", "1"])
    };
    let missed = with("[0, 10]");
    let said = text(&missed.stderr);
    assert_eq!((missed.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.starts_with("error: not as [expect] says: short: fixed:8 came to "), "{said}");
    assert!(said.ends_with(" % at worst, and 0 to 10 % were expected\n"), "{said}");
    let table = text(&missed.stdout);
    assert!(table.starts_with("1 scenario, from the limits 1, 20, 1000, 1 seed; "), "{table}");
    assert!(with("[50, 110]").status.success());
}

#[test]
fn a_fault_is_told_of_the_phase_that_has_it() {
    let folder = Folder::new();
    let second = "\n# callers\n[[phase]]\nlasts = \"5s\"\ncallers = 5\n";
    let file =
        folder.with(&format!("# Also callers.{}{second}", SCENARIO.trim_start_matches("# A short one.")));
    fails(&[file.to_str().unwrap()], &["line 17: `callers = 5`", "a time to think"]);
    let file = folder.with(&format!("{SCENARIO}\n[[phase]]\nlasts = \"5s\"\n"));
    fails(&[file.to_str().unwrap()], &["line 14: `[[phase]]`", "a rate or callers"]);
}

#[test]
fn wrong_arguments_are_one_line_that_names_the_value_and_what_is_allowed() {
    let cases: [(&[&str], &[&str]); 11] = [
        (&["--limit", "late:2"], &["'late:2'", "no unit; write \"2ms\" or \"2s\""]),
        (&["--limit", "vegsa"], &["'vegsa'", "--limit", "vegas", "fixed:N"]),
        (&["--limit", "fixed:0"], &["'fixed:0'", "fixed:1 to fixed:2000"]),
        (&["--initial", "0"], &["'0'", "1 to 2000"]),
        (&["--initial", "20,x"], &["'x'", "1 to 2000"]),
        (&["--seeds", "0"], &["'0'", "1 to 100"]),
        (&["--report", "page.txt"], &["'page.txt'", ".html"]),
        (
            &["--plot", "page.svg"],
            &["--plot", "one scenario", "there are 11", "name one FILE.toml", "--report FILE.html"],
        ),
        (&["nowhere.toml"], &["nowhere.toml", "No such file"]),
        (&["/"], &["/", "directory"]),
        (&["--full", "some.toml"], &["--full", "[FILE.toml]"]),
    ];
    for (arguments, words) in cases {
        fails(arguments, words);
    }
}

#[test]
fn what_cannot_be_written_is_named_with_its_flag() {
    let folder = Folder::new();
    let scenario = folder.with(SCENARIO);
    for (flag, name) in [("--report", "page.html"), ("--plot", "plot.svg")] {
        let file = folder.file(name);
        // A link to a folder that is not there: it shows only when it is written.
        std::os::unix::fs::symlink("/nowhere/file", &file).unwrap();
        let [scenario, file] = [&scenario, &file].map(|path| path.to_str().unwrap());
        let output = sim(&[scenario, "--limit", "fixed:8", "--seeds", "1", flag, file]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("cannot write {flag} {file}: No such file")), "{said}");
    }
}

#[test]
fn recorded_arrivals_stand_beside_the_scenario() {
    let folder = Folder::new();
    let file = folder.with(&SCENARIO.replace("rate = 300", "rate = 300\narrivals.recorded = \"calls.txt\""));
    let file = file.to_str().unwrap();
    fails(&[file], &["short.toml, arrivals.recorded: cannot read", "calls.txt", "No such file"]);
    fs::write(folder.file("calls.txt"), "0\n0.5\nlater\n").unwrap();
    fails(&[file], &["calls.txt, line 3", "`later`", "never less than on the line before"]);
    fs::write(folder.file("calls.txt"), "0\n0.5\n0.25\n").unwrap();
    fails(&[file], &["calls.txt, line 3", "`0.25`"]);
    fs::write(folder.file("calls.txt"), "").unwrap();
    fails(&[file], &["calls.txt", "records no time"]);
    fs::write(folder.file("calls.txt"), "0\n0.01\n0.5\n1.25\n").unwrap();
    assert!(sim(&[file, "--limit", "fixed:8", "--seeds", "1"]).status.success());
}

#[test]
fn a_scenario_at_random_can_be_kept_and_is_the_same_when_it_is_run_from_its_file() {
    let folder = Folder::new();
    let kept = folder.file("kept");
    let output = sim(&["--random", "3", "--seed", "7", "--write", kept.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let names: Vec<_> = (1..=3).map(|number| kept.join(format!("random-7-{number}.toml"))).collect();
    let shared = ["--limit", "auto,late:500ms", "--seeds", "1", "--initial", "20", "--json"];
    let files: Vec<_> = names.iter().map(|name| name.to_str().unwrap()).collect();
    let from_files = sim(&[&files, &shared[..]].concat());
    let at_once = sim(&[&["--random", "3", "--seed", "7"], &shared[..]].concat());
    assert!(from_files.status.success() && at_once.status.success(), "{}", text(&at_once.stderr));
    assert!(text(&at_once.stdout).contains("p25_percent_of_oracle"));
    assert_eq!(from_files.stdout, at_once.stdout);
}

#[test]
fn what_is_wrong_about_scenarios_at_random_is_said() {
    fails(&["--random", "0"], &["'0'", "1 to 1000"]);
    fails(&["--random", "5", "--full"], &["--random", "--full"]);
    fails(&["--seed", "5"], &["--random"]);
    fails(&["--random", "5", "--seed", "-1"], &["'-1'", "0 to 4294967295"]);
    fails(&["--random", "5", "--limit", "late:x"], &["'late:x'", "in late:TIME, allowed: 0s to 1h"]);
}
