//! Tests of whole workflow files: what is read, what is refused, what may run when.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::spec::{Conclusion, JobSpec, Shell, StepAction};
use super::{Decision, ErrorKind, JobOutcome, JobProgress, Workflow, ready};

const BUILD: &str = "
name: CI
on: [push]
env: {A: workflow, B: workflow}
jobs:
  build:
    name: Build
    runs-on: [self-hosted, '${{ matrix.os }}']
    env: {B: job}
    timeout-minutes: 2.5
    strategy:
      fail-fast: true
      max-parallel: 2
      matrix:
        os: [linux, mac]
        n: [1, 2]
        exclude: [{os: mac, n: 2}]
        include: [{os: linux, extra: x}, {os: bsd, n: 9}]
    outputs: {v: '${{ steps.s.outputs.v }}'}
    steps:
      - uses: actions/checkout@v4
      - {id: s, run: 'echo \"v=${{ matrix.n }}\" >> $GITHUB_OUTPUT', shell: bash}
  test:
    needs: build
    runs-on: {group: big, labels: arm}
    environment: {name: prod}
    steps: [{run: make}]
  report:
    needs: [build, test]
    if: ${{ always() && needs.build.result != 'cancelled' }}
    runs-on: self-hosted
    steps: [{run: true}]
";

fn parse(text: &str) -> Workflow {
    Workflow::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_whole_file_is_read() {
    let workflow = parse(BUILD);
    assert_eq!(workflow.name(), Some("CI"));
    let names: Vec<&str> = workflow.jobs().iter().map(|job| job.name.as_str()).collect();
    let expected = ["Build (linux, 1, x)", "Build (linux, 2, x)", "Build (mac, 1)", "Build (bsd, 9)", "test", "report"];
    assert_eq!(names, expected);
    let job = &workflow.jobs()[2];
    assert_eq!(job.runs_on, ["self-hosted", "mac"]);
    assert_eq!((job.timeout_ms, job.max_parallel, job.fail_fast), (150_000, Some(2), true));
    let spec = job.spec();
    assert_eq!(spec.env, BTreeMap::from([("A".into(), "workflow".into()), ("B".into(), "job".into())]));
    assert_eq!(spec.matrix["os"], json!("mac"));
    assert_eq!(spec.steps[0].action, StepAction::Checkout { uses: "actions/checkout@v4".into() });
    assert!(matches!(&spec.steps[1].action, StepAction::Run { shell: Some(Shell::Bash), .. }));
    let test = &workflow.jobs()[4];
    assert_eq!((test.runner_group.as_deref(), test.environment.as_deref()), (Some("big"), Some("prod")));
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<JobSpec>(&text).unwrap(), spec);
}

#[test]
fn mistakes_are_told_with_line_and_advice() {
    let job = |body: &str| format!("jobs:\n  build:\n{body}");
    let step = |body: &str| job(&format!("    runs-on: x\n    steps:\n      - {body}\n"));
    let table = [
        (job("    steps: [{run: a}]\n"), ErrorKind::Missing, "line 3: `runs-on` is missing in job `build`; add e.g."),
        (job("    runs-on: x\n"), ErrorKind::Missing, "line 3: `steps` is missing"),
        (
            job("    runs_on: x\n"),
            ErrorKind::UnknownKey,
            "line 3: `runs_on` is not a key of job `build`; write `runs-on`",
        ),
        (job("    container: x\n"), ErrorKind::Unsupported, "line 3: `container` in job `build` is not supported"),
        (job("    uses: ./x.yml\n"), ErrorKind::Unsupported, "line 3: `uses`"),
        (
            step("uses: actions/cache@v4"),
            ErrorKind::Unsupported,
            "line 5: step 1 of job `build` uses `actions/cache@v4`",
        ),
        (step("name: x"), ErrorKind::Missing, "line 5: step 1 of job `build` has neither"),
        (step("run: echo ${{ nope }}"), ErrorKind::Expression, "line 5:"),
        (step("{run: a, if: '${{ a'}"), ErrorKind::Expression, "line 5:"),
        (step("{run: a, shell: pwsh}"), ErrorKind::Unsupported, "line 5: the shell `pwsh`"),
        (step("{run: a, if: !cancelled()}"), ErrorKind::Yaml, "line 5:"),
        (step("{run: a, timeout-minutes: soon}"), ErrorKind::Shape, "line 5:"),
        (
            job("    needs: gone\n    runs-on: x\n    steps: [{run: a}]\n"),
            ErrorKind::Needs,
            "line 2: job `build` needs",
        ),
        (job("    needs: build\n    runs-on: x\n    steps: [{run: a}]\n"), ErrorKind::Needs, "line 2: these jobs wait"),
        (job("    runs-on: [[x]]\n    steps: [{run: a}]\n"), ErrorKind::Shape, "line 3:"),
        (job("    runs-on: ${{ github.x }}\n    steps: [{run: a}]\n"), ErrorKind::Shape, "line 3: a label"),
        ("on: push\n".into(), ErrorKind::Missing, "line 1: `jobs` is missing"),
        ("jobs: {}\n".into(), ErrorKind::Missing, "line 1: `jobs` is empty"),
        ("jobs: [a]\n".into(), ErrorKind::Shape, "line 1:"),
        ("- a\n".into(), ErrorKind::Shape, "line 1:"),
        ("a: b: c\n".into(), ErrorKind::Yaml, "line 1:"),
    ];
    for (text, kind, start) in table {
        let error = Workflow::parse(&text).unwrap_err();
        assert!(error.to_string().starts_with(start), "{text}\n=> {error}");
        assert_eq!(error.kind, kind, "{text}");
    }
}

#[test]
fn limits_hold() {
    let axis: Vec<String> = (0..17).map(|n| n.to_string()).collect();
    let axis = axis.join(",");
    let matrix = format!(
        "jobs:\n  b:\n    runs-on: x\n    strategy: {{matrix: {{a: [{axis}], b: [{axis}]}}}}\n    steps: [{{run: a}}]\n"
    );
    let many_steps = format!("jobs:\n  b:\n    runs-on: x\n    steps:\n{}", "      - run: a\n".repeat(1_001));
    let many_jobs: String = (0..501).map(|n| format!("  j{n}: {{runs-on: x, steps: [{{run: a}}]}}\n")).collect();
    for text in [matrix, many_steps, format!("jobs:\n{many_jobs}"), "#".repeat(1_048_577)] {
        assert_eq!(Workflow::parse(&text).unwrap_err().kind, ErrorKind::Limit);
    }
}

#[test]
fn rubbish_never_panics() {
    let mut random = fastrand::Rng::with_seed(7);
    let signs = b"{}[]:,-#&*!|>'\"%@`\n\t ${}~?\xc3\xa9";
    for _ in 0..4_000 {
        let mut bytes = BUILD.as_bytes().to_vec();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(0..bytes.len());
            match random.u8(0..3) {
                0 => bytes[at] = signs[random.usize(0..signs.len())],
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, signs[random.usize(0..signs.len())]),
            }
        }
        drop(Workflow::parse(&String::from_utf8_lossy(&bytes)));
    }
}

fn done(conclusion: Conclusion) -> JobProgress {
    JobProgress::Done(JobOutcome { conclusion, outputs: BTreeMap::new() })
}

fn decide(workflow: &Workflow, progress: &BTreeMap<usize, JobProgress>, cancelled: bool) -> String {
    let letter = |decision: &Decision| match decision {
        Decision::Run { .. } => 'R',
        Decision::Skip => 'S',
        Decision::Cancel => 'C',
        Decision::Fail { .. } => 'F',
        Decision::NotYet => '.',
        Decision::Settled => '-',
    };
    ready(workflow, progress, cancelled, &Value::Null).iter().map(letter).collect()
}

#[test]
fn jobs_become_ready_as_on_github() {
    let workflow = parse(BUILD);
    let mut at = BTreeMap::new();
    assert_eq!(decide(&workflow, &at, false), "RR....", "two of the matrix at once");
    at.extend([(0, JobProgress::Started), (1, JobProgress::Started)]);
    assert_eq!(decide(&workflow, &at, false), "--....");
    at.insert(0, done(Conclusion::Success));
    assert_eq!(decide(&workflow, &at, false), "--R...");
    at.insert(1, done(Conclusion::Failure));
    at.insert(2, JobProgress::Started);
    assert_eq!(decide(&workflow, &at, false), "--CC..", "fail-fast ends the running and the waiting one");
    at.extend([(2, done(Conclusion::Cancelled)), (3, done(Conclusion::Cancelled))]);
    assert_eq!(decide(&workflow, &at, false), "----S.", "a failure outweighs a cancellation");
    at.insert(4, done(Conclusion::Skipped));
    assert_eq!(decide(&workflow, &at, false), "-----R");
}

#[test]
fn outputs_and_results_are_passed_on() {
    let workflow = parse(BUILD);
    let with = |n: &str| {
        let outputs = BTreeMap::from([("v".to_owned(), n.to_owned())]);
        JobProgress::Done(JobOutcome { conclusion: Conclusion::Success, outputs })
    };
    let at = BTreeMap::from([(0, with("1")), (1, with("2")), (2, with("")), (3, with("9"))]);
    let Decision::Run { needs } = &ready(&workflow, &at, false, &Value::Null)[4] else { panic!("must run") };
    assert_eq!(needs["build"].result, Conclusion::Success);
    assert_eq!(needs["build"].outputs["v"], "9");
}

#[test]
fn a_cancelled_run_ends_all_but_what_always_runs() {
    let workflow = parse(BUILD);
    let mut at: BTreeMap<usize, JobProgress> = BTreeMap::from([(0, JobProgress::Started)]);
    assert_eq!(decide(&workflow, &at, true), "CCCCC.");
    at.extend((0..5).map(|n| (n, done(Conclusion::Cancelled))));
    assert_eq!(decide(&workflow, &at, true), "-----S".replace('S', "C"));
    at.insert(3, done(Conclusion::Failure));
    assert_eq!(decide(&workflow, &at, true), "-----R", "`always()` holds");
}

#[test]
fn an_ancestor_counts_and_continue_on_error_forgives() {
    let job = |id: &str, more: &str| format!("  {id}: {{runs-on: x, steps: [{{run: a}}]{more}}}\n");
    let text = format!(
        "jobs:\n{}{}{}{}",
        job("a", ", continue-on-error: true"),
        job("b", ", needs: a"),
        job("c", ", needs: b, if: failure()"),
        job("d", ", needs: c, if: 'needs.c.nope()'").replace("needs.c.nope()", "fromJSON(needs.c.outputs.x)")
    );
    let workflow = parse(&text);
    let mut at = BTreeMap::from([(0, done(Conclusion::Failure))]);
    assert_eq!(decide(&workflow, &at, false), "-R..", "forgiven");
    at.insert(1, done(Conclusion::Success));
    assert_eq!(decide(&workflow, &at, false), "--S.");
    at.insert(1, done(Conclusion::Failure));
    assert_eq!(decide(&workflow, &at, false), "--R.");
    at.extend([(1, done(Conclusion::Success)), (2, done(Conclusion::Success))]);
    assert_eq!(decide(&workflow, &at, false), "---F", "what cannot be evaluated fails the job");
}
